//! Notices for systemd's journal, in its own protocol, with fields.
//!
//! Only under systemd: `JOURNAL_STREAM` says that what this process writes to its standard error
//! goes to the journal, and must name that very file (systemd.exec(5)). Everything else that is
//! logged goes on to standard error as lines.
//!
//! The protocol is `tracing-journald`'s. It writes to a socket whose reader may be slow or stopped,
//! and then it waits. So a thread of its own does that, and the daemon never waits with it; what
//! came in while it was far behind is told as a number.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use stead_core::notice::Severity;
use tokio::sync::broadcast;

use crate::journal::{Entry, Journal};

use super::notice::{fields, kind};

/// What events of notices are called among all that is logged.
pub const TARGET: &str = "stead::notice";

/// Whether standard error goes to systemd's journal.
#[must_use]
pub fn is_there() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let own = std::fs::metadata("/proc/self/fd/2");
    own.is_ok_and(|own| named == format!("{}:{}", own.dev(), own.ino()))
}

/// Gives every notice from now on to whoever listens to events of [`TARGET`], until the journal
/// ends.
///
/// # Errors
/// No thread can be started; then nothing is given.
pub fn follow(journal: &Journal) -> std::io::Result<()> {
    let mut coming = journal.subscribe();
    let thread = std::thread::Builder::new().name("system-journal".to_owned());
    let body = move || {
        loop {
            match coming.blocking_recv() {
                Ok(entry) => tell(&entry),
                Err(broadcast::error::RecvError::Lagged(lines)) => {
                    tracing::warn!(
                        "{lines} notices are missing in the system's journal: it was too slow \
                         (stead events has them)"
                    );
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    };
    thread.spawn(body).map(drop)
}

/// One event with the fields of the notice. Those that it has none of are left out.
macro_rules! event {
    ($level:ident, $entry:ident, $kind:ident, $fields:ident) => {
        tracing::event!(
            target: TARGET,
            tracing::Level::$level,
            message_id = $kind.id,
            stead_notice = $kind.name,
            stead_node = $entry.node.as_str(),
            stead_service = $fields.service,
            stead_about = $fields.about,
            stead_epoch = $fields.epoch,
            stead_term = $fields.term,
            stead_cause = $fields.cause,
            stead_revision = $fields.revision,
            "{}",
            $entry.text
        )
    };
}

fn tell(entry: &Arc<Entry>) {
    let Some(notice) = &entry.notice else { return };
    let (kind, fields) = (kind(notice), fields(notice));
    match entry.severity {
        Severity::Info => event!(INFO, entry, kind, fields),
        Severity::Warning => event!(WARN, entry, kind, fields),
        Severity::Error => event!(ERROR, entry, kind, fields),
    }
}
