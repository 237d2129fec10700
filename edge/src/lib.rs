//! What every edge needs, whichever side it is on: the daemon, and the agent on clients' machines.
//!
//! | module | what |
//! |---|---|
//! | [`duration`] | spans as people write them |
//! | [`http`] | where a URL leads, one request, an answer within bounds |
//! | [`listener`] | a port that is bound however long that takes, and no more clients than places |
//! | [`polled`] | descriptors of the kernel's that tokio waits for |
//! | [`private`] | files that nobody else may read, and secrets in them |
//!
//! Happy path: one call, one answer. Failures: an enum for each operation, its causes behind it;
//! [`chain()`] puts them on a line, [`shown()`] and [`last_of`] what strangers say. Deliberately
//! absent: anything that knows a cluster.

mod chain;
pub mod duration;
pub mod http;
pub mod listener;
pub mod polled;
pub mod private;
mod shown;

pub use chain::chain;
pub use shown::{last_of, shown};
