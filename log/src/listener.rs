//! The one who must know a term before this node votes in it: the guard.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use stead_core::id::Term;

/// A future that can be kept in a box.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Learns every term before this node votes in it or accepts its leader.
///
/// In the daemon this is the connection to the guard. While it fails or doesn't answer, no vote and
/// no acceptance of a new term leaves the node; the log waits and asks again.
pub trait TermListener: Send + Sync + 'static {
    /// Returns once the guard has learnt `term`. Called before the vote is written, and at the
    /// start of the log with the vote found on disk; the same term may come several times.
    fn learn(&self, term: Term) -> Boxed<'_, Result<(), NotLearnt>>;
}

/// Why a term was not learnt. It will be told again.
pub type NotLearnt = Box<dyn Error + Send + Sync>;

/// For nodes without a guard (tools and tests): every term counts as learnt.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoListener;

impl TermListener for NoListener {
    fn learn(&self, _term: Term) -> Boxed<'_, Result<(), NotLearnt>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
