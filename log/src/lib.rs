//! The replicated log behind our own types: what every member agrees on, in one order.
//!
//! openraft does the consensus; nothing else in the workspace names it. This crate gives it a disk
//! (`store`), a way to the other members (`rpc` over a [`network`]), a machine to apply to
//! (`applier`), and shows a small facade: [`Log`].
//!
//! **Happy path.** The daemon opens a [`Log`] with its [`Machine`] and reads [`Events`]. On the
//! leader it [proposes](Log::propose) encoded changes; a majority writes each to disk, the machine
//! of every member applies it, and every driver is told with an [`Event::Applied`], in one order.
//! When the guards no longer hear the coordinator, the survivors [`Log::campaign`] for one of them.
//!
//! **Failures.** Every call has a deadline, and every error says whether something may have
//! happened all the same. A disk that fails stops the log with [`Event::Failed`]; nothing is
//! acknowledged after it. A daemon without its guard neither votes nor accepts a new term
//! ([`TermListener`]). A member that can't be reached is tried again soon, and is no one else's
//! delay.
//!
//! Half of the voters goes on by a grant: [`Log::tie_vote`] lets it count one absent voter's answer
//! beside its own, [`Log::shrink`] takes that voter's vote away for good (`tie`).
//!
//! **Deliberately absent**: leases of the leader (reads always ask a majority), and joint
//! membership changes. `Status::role` is no licence to act; that is the guard's lease.

mod applier;
pub mod codec;
mod error;
mod listener;
mod log;
mod machine;
mod membership;
pub mod network;
mod options;
mod record;
mod rpc;
mod runtime;
mod status;
mod store;
mod tie;
pub mod transport;
mod types;

pub use crate::codec::DecodeError;
pub use crate::error::{
    CampaignError, InitializeError, MembershipError, OpenError, ProposeError, ReadError,
};
pub use crate::listener::{Boxed, NoListener, NotLearnt, TermListener};
pub use crate::log::{Commits, Log};
pub use crate::machine::{
    Committed, Event, Events, Failure, Machine, Membership, RestoreError, SnapshotError,
};
pub use crate::options::{CHANGE_BYTES, Options, Snapshots, Timers};
pub use crate::runtime::seeded;
pub use crate::status::{Role, Status};
pub use crate::store::{Disk, StoreError};
pub use crate::tie::{Grants, NO_GRANTS};
