//! Resource agents: what they are called, what they say of themselves, and how they are to be
//! called.
//!
//! # What it is for
//! A resource agent is a program that starts, stops and watches one kind of thing (nginx, a file
//! system, an address) and that every cluster manager calls in the same way: OCF Resource Agent
//! API, versions 1.0 and 1.1. Debian's package resource-agents has 141 of them in /usr/lib/ocf;
//! they are run as they are. Everything that has to be known of that interface stands here.
//!
//! # Happy path
//! [`installed`] lists them by [`AgentName`]. [`describe`] has one print its meta-data, which
//! [`MetaData::read`] reads. [`check`] compares with it what an operator wrote. Whoever runs an
//! operation gives it [`environment`] and reads its end as an [`ExitCode`]. [`safety`] says what
//! has to be known of a node before the same thing may be started on another one.
//!
//! # Failures
//! Meta-data are bytes from outside: they are bounded, and what they lack is lacking, not an error,
//! as long as the agent can be called. An agent that hangs is killed with all that it started. What
//! meta-data say of types is often wrong, so a value of the wrong type is a warning.
//!
//! # Deliberately absent
//! Running operations, and keeping what they started. What stands in for the tools of Pacemaker
//! that agents call is `crate::tools`; [`Call::tools`] says where they are.

pub(crate) mod check;
mod collect;
mod describe;
mod duration;
mod environment;
mod exit;
#[cfg(test)]
mod fuzz;
pub(crate) mod meta;
pub(crate) mod name;
mod promotable;
mod safety;
#[cfg(test)]
mod tests;

pub use check::{Mistake, check};
pub use collect::CollectError;
pub(crate) use collect::collect;
pub(crate) use describe::for_each;
pub use describe::{DescribeError, describe, describe_all};
pub use environment::{Call, EXIT_REASON, environment};
pub use exit::ExitCode;
pub use meta::{Action, Kind, MetaData, MetaDataError, Parameter};
pub use name::{AgentName, NameError, ROOT, installed, nearest};
pub use promotable::is_promotable;
pub use safety::{address_of_cloud, adds_address, harmless, safety};
pub use stead_core::state::config::Safety;
