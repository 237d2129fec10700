//! What this node shows to Prometheus, and what it tells the system's journal.
//!
//! The happy path: [`Metrics::text`] takes the same picture that `stead status` is made of, adds
//! what is only known by having counted ([`tally`]), and writes all of it in the text format that
//! every Prometheus reads (`text`). It is asked for in two ways: over HTTP ([`listen`]), where the
//! operator named an address, and by `stead metrics` over the local API, where nothing listens.
//! Every family is declared once, in [`family`]; a test holds the book's table against that list
//! and against what a real daemon shows. [`system_journal`] gives each notice to systemd's journal
//! with its service, node, epoch and term in fields of their own.
//!
//! Failures: a listener that can't be had is told and tried again; it never ends a daemon. A client
//! that is slow, silent or writes nonsense loses its connection, and there are only so many at a
//! time. What is not known has no sample; it is never shown as zero.
//!
//! The quorum server, which is another process, has families of its own and uses [`listen`] too.
//!
//! Deliberately absent: any decision, a registry of moving numbers beside the state (the picture is
//! the registry), histograms (nothing here is frequent enough to need them), TLS and users: the
//! listener is for this machine, and one that is open to others has to be asked for by name.

mod expose;
pub mod family;
pub mod listen;
pub mod notice;
pub(crate) mod process;
pub mod system_journal;
mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::api::report;
use crate::driver::handle::Handle;
use crate::journal::{Entry, Journal, KEPT};

use tally::Tally;
pub(crate) use tally::name_of as cause_name;

/// The type of the text, as HTTP names it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that this node can show. Copies show the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    handle: Handle,
    journal: Journal,
    tally: Mutex<Tally>,
}

impl Metrics {
    /// Counts from now on what the journal is told. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(handle: Handle, journal: Journal) -> Self {
        let coming = journal.subscribe();
        let metrics = Self(Arc::new(Inner { handle, journal, tally: Mutex::default() }));
        tokio::spawn(follow(metrics.clone(), coming));
        metrics
    }

    /// Everything as text, in version 0.0.4 of Prometheus' format.
    #[must_use]
    pub fn text(&self) -> String {
        let view = self.0.handle.view();
        let status = report::status(&view, &self.0.journal.tail(KEPT));
        let mut tally = self.0.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.look(&view);
        expose::expose(&view, &status, &tally)
    }

    fn count(&self, entry: &Entry) {
        let mut tally = self.0.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notice) = &entry.notice {
            tally.notice(notice);
        }
        tally.look(&self.0.handle.view());
    }

    fn missed(&self, lines: u64) {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner).missed(lines);
    }
}

impl listen::Exposed for Metrics {
    fn text(&self) -> String {
        Self::text(self)
    }
}

/// Counts every line until the journal ends, or nobody is there to ask for the sum.
async fn follow(metrics: Metrics, mut coming: broadcast::Receiver<Arc<Entry>>) {
    let weak = Arc::downgrade(&metrics.0);
    drop(metrics);
    loop {
        let next = coming.recv().await;
        let Some(metrics) = weak.upgrade().map(Metrics) else { return };
        match next {
            Ok(entry) => metrics.count(&entry),
            Err(broadcast::error::RecvError::Lagged(lines)) => metrics.missed(lines),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
