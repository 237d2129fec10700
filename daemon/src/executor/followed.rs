//! Where a unit is, by systemd's signals: nobody asks again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use stead_core::time::Span;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::operator::{Report, command, signal_name};
use super::surroundings::Surroundings;
use super::systemd::{At, Shown, Systemd, changed};
use super::unit::PATIENCE;
use super::{check, say};
use crate::agent::output;

/// The pause before a lost connection is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long the journal may take to show the unit's last lines.
const JOURNAL: Span = Span::from_millis(3_000);

/// A unit, as systemd's signals show it.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) unit: String,
    pub(super) surroundings: Surroundings,
    /// Where it is by the newest signal; nothing before the first.
    pub(super) at: watch::Sender<Option<At>>,
    /// The number of the start whose end is news; zero if it is being stopped, or is not there.
    pub(super) wanted: AtomicU64,
    pub(super) place: usize,
    pub(super) reports: UnboundedSender<Report>,
}

/// Keeps in mind what systemd signals, whatever happens to the connection.
pub(super) async fn follow(shared: Arc<Followed>) {
    loop {
        // Why a connection can't be had is told by whoever needs it.
        let _ = listen(&shared).await;
        sleep(AGAIN).await;
    }
}

async fn listen(shared: &Followed) -> zbus::Result<()> {
    let systemd = Systemd::connect().await?;
    let mut changes = systemd.changes(&shared.unit).await?;
    let now = systemd.show(&shared.unit).await?.at;
    shared.is_now(&systemd, now).await;
    while let Some(message) = changes.next().await {
        let Some((active, sub)) = changed(&message) else { continue };
        let before = shared.at.borrow().clone().unwrap_or_default();
        let at = At { active: active.unwrap_or(before.active), sub: sub.unwrap_or(before.sub) };
        shared.is_now(&systemd, at).await;
    }
    Ok(())
}

impl Followed {
    async fn is_now(&self, systemd: &Systemd, at: At) {
        let start = self.wanted.load(Ordering::Relaxed);
        if at.works() || start == 0 {
            self.at.send_replace(Some(at));
            return;
        }
        let why = match timeout(PATIENCE, systemd.show(&self.unit)).await {
            // What was signalled is older than what works now.
            Ok(Ok(shown)) if shown.at.works() => {
                self.at.send_replace(Some(shown.at));
                return;
            }
            Ok(Ok(shown)) => self.why(&shown).await,
            Ok(Err(_)) | Err(_) => at.active.clone(),
        };
        self.at.send_replace(Some(at));
        // It took a while to learn why: it may be another start's turn by now.
        let news = self.wanted.compare_exchange(start, 0, Ordering::Relaxed, Ordering::Relaxed);
        if news.is_err() {
            return;
        }
        let detail = format!("{} ended: {why}", self.unit);
        let _ = self.reports.send(Report::Ended { place: self.place, detail });
    }

    /// Why it ended, in words; its last lines are where those of programs are.
    pub(super) async fn why(&self, shown: &Shown) -> String {
        self.last_lines(&shown.run).await;
        let how = match shown.code {
            1 => format!(", exit status {}", shown.number),
            2 | 3 => format!(", killed by {}", signal_name(shown.number)),
            _ => String::new(),
        };
        let result = match &*shown.result {
            "" | "success" => shown.at.active.as_str(),
            result => result,
        };
        let said = output::last_lines(&self.surroundings.output, 1).pop();
        match said.or_else(|| Some(shown.status.clone()).filter(|it| !it.is_empty())) {
            Some(said) => format!("{result}{how}, it said: {said}"),
            None => format!("{result}{how}"),
        }
    }

    /// Has the journal print what that run of the unit said last.
    async fn last_lines(&self, run: &str) {
        let output = &self.surroundings.output;
        if run.is_empty() {
            return;
        }
        let run = format!("_SYSTEMD_INVOCATION_ID={run}");
        let words = ["/usr/bin/journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=10"];
        let mut words = words.map(str::to_owned).to_vec();
        words.push(run);
        match check::spec(&self.surroundings, &words, Vec::new(), output, true) {
            // Where there is none, nothing is printed.
            Ok(spec) => drop(command(spec, JOURNAL).await),
            Err(reason) => say(format_args!("{}: {reason}", self.unit)),
        }
    }
}
