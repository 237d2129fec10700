//! How a container ends: the answer to a question that the engine keeps open until then.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::api::Shown;
use super::engine::Engine;
use super::room::Room;
use crate::agent::output;
use crate::executor::operator::{Report, signal_name};
use crate::executor::say;

/// The pause before an engine that broke off is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// From here on a status says by which signal a process ended.
const BY_SIGNAL: i64 = 128;
/// The last signal.
const LAST_SIGNAL: i64 = 64;

/// A container, as far as its end matters.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) room: Room,
    /// Where its last lines shall stand.
    pub(super) output: PathBuf,
    /// How what was started last ended; nothing before that.
    pub(super) ended: watch::Sender<Option<String>>,
    /// The number of the start whose end is news; zero if it is not up yet, or is being stopped.
    pub(super) wanted: AtomicU64,
    pub(super) place: usize,
    pub(super) reports: UnboundedSender<Report>,
}

impl Followed {
    /// The end of what was started so far is no news.
    pub(super) fn forget(&self) {
        self.wanted.store(0, Ordering::Relaxed);
    }

    /// Takes it upon itself to tell the end of that start, if nobody has yet.
    pub(super) fn takes(&self, start: u64) -> bool {
        self.wanted.compare_exchange(start, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// How it ended, once it has; nothing if it has not by then.
    pub(super) async fn end(&self, within: Duration) -> Option<String> {
        let mut ended = self.ended.subscribe();
        let ended = timeout(within, ended.wait_for(Option::is_some)).await;
        ended.ok()?.ok()?.clone()
    }
}

/// Who waits for the end of one start. Dropped, nobody does.
#[derive(Debug)]
pub(super) struct Follower(AbortHandle);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Follower {
    pub(super) fn begin(followed: Arc<Followed>, engine: Engine, id: String, start: u64) -> Self {
        // How an earlier one ended is nothing of this one.
        followed.ended.send_replace(None);
        Self(tokio::spawn(follow(followed, engine, id, start)).abort_handle())
    }
}

async fn follow(followed: Arc<Followed>, engine: Engine, id: String, start: u64) {
    let status = loop {
        match engine.wait(&id).await {
            Ok(status) => break Some(status),
            // The engine is being restarted, perhaps. What runs then is for the kernel to say.
            Err(_) if followed.room.is_populated() => sleep(AGAIN).await,
            Err(_) => break None,
        }
    };
    let shown = engine.show(&id).await.ok().flatten();
    let lines = engine.last_lines(&id).await;
    print(&followed, &lines);
    let said = lines.last().map(|line| format!(", it said: {line}")).unwrap_or_default();
    let how = format!("{}{said}", how(status, shown.as_ref()));
    followed.ended.send_replace(Some(how.clone()));
    if followed.takes(start) {
        let detail = format!("the container ended: {how}");
        let _ = followed.reports.send(Report::Ended { place: followed.place, detail });
    }
}

/// How it ended, in words.
fn how(status: Option<i64>, shown: Option<&Shown>) -> String {
    let status = status.or_else(|| shown.map(|shown| shown.state.exit_code));
    let Some(status) = status else {
        return "its processes are gone, and the engine does not say why".to_owned();
    };
    let mut how = format!("exit status {status}");
    let number = status.saturating_sub(BY_SIGNAL);
    if (1..=LAST_SIGNAL).contains(&number) {
        let number = i32::try_from(number).unwrap_or_default();
        how = format!("{how} ({})", signal_name(number));
    }
    if let Some(shown) = shown {
        if shown.state.out_of_memory {
            how = format!("{how}, out of memory");
        }
        let error = shown.state.error.lines().next().unwrap_or_default();
        if !error.is_empty() {
            how = format!("{how}, {error}");
        }
    }
    how
}

/// Has its last lines stand where those of programs do.
fn print(followed: &Followed, lines: &[String]) {
    use std::io::Write as _;
    let old = followed.output.with_extension("log.old");
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let printed = output::begin(&followed.output, Some(&old))
        .and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = printed {
        say(format_args!("{}: {error}", followed.output.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let shown = |out_of_memory, error: &str| {
            let mut shown = Shown::default();
            (shown.state.out_of_memory, shown.state.error) = (out_of_memory, error.to_owned());
            shown
        };
        assert_eq!(how(Some(3), None), "exit status 3");
        let told = how(Some(137), Some(&shown(true, "")));
        assert_eq!(told, "exit status 137 (SIGKILL), out of memory");
        assert_eq!(how(Some(255), Some(&shown(false, "no\nway"))), "exit status 255, no");
        assert_eq!(how(None, Some(&shown(false, ""))), "exit status 0");
        assert!(how(None, None).contains("does not say why"));
        assert_eq!(how(Some(i64::MIN), None), format!("exit status {}", i64::MIN));
    }
}
