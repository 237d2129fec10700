//! How the task of a service ends what runs, and waits for what its executor has to do.

use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::executed::{self, Executed};
use super::service::{COMPLAIN, Current, Service, TRIM, main_end};
use super::stop;
use crate::executor::Wanted;

impl Service {
    /// Ends what was started, and waits until nothing of it is left.
    pub(super) async fn end_current(&mut self) {
        // What is run beside it does not hold its own end up.
        if let Some(hook) = &self.hook {
            hook.ask_to_end();
        }
        self.left_alone = false;
        if let Some(current) = self.current.take() {
            self.end_own(current).await;
        }
        if let Some(hook) = self.hook.take() {
            hook.over().await;
        }
    }

    async fn end_own(&self, mut current: Current) {
        if let Some(monitor) = current.monitor.take() {
            monitor.end().await;
        }
        self.place.show_answer(&self.name, None);
        if current.executed.is_some() {
            self.end_executor(&mut current).await;
        }
        drop(current.end.take());
        if let Some(held) = current.held {
            stop::stop(&self.name, held).await;
        }
    }

    /// Has the executor stop everything in its order, and waits for it, however long that takes:
    /// each of its steps has its time, and what can't be stopped must not be told to be gone.
    async fn end_executor(&self, current: &mut Current) {
        if let Some(executed) = &current.executed {
            executed.stop();
        }
        self.wait_executor(current, "does not end", |_| false).await;
        self.place.show(&self.name, None);
        // Parameters may be secrets, and nobody needs them now, unless something may be left.
        let (place, service) = (self.place.clone(), self.name.clone());
        let forget = move || {
            let _ = std::fs::remove_file(Wanted::socket(&place.dir, &service));
            if matches!(Wanted::left(&place.dir, &service), Ok(None)) {
                Wanted::forget(&place.dir, &service);
            }
        };
        let _ = spawn_blocking(forget).await;
    }

    /// Waits until the executor has ended, or shows what is waited for. Says what it is that lasts.
    pub(super) async fn wait_executor(
        &self,
        current: &mut Current,
        lasts: &str,
        is_over: impl Fn(&Executed) -> bool,
    ) {
        let mut trim = interval(TRIM);
        trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complain = interval_at(Instant::now() + COMPLAIN, COMPLAIN);
        while current.end.is_some() && !current.executed.as_ref().is_some_and(&is_over) {
            tokio::select! {
                () = main_end(current.end.as_ref()) => current.end = None,
                picture = executed::next(&mut current.executed) => {
                    if let Some(executed) = &mut current.executed {
                        executed.see(&self.place, &self.name, picture);
                    }
                }
                _ = trim.tick() => self.trim().await,
                _ = complain.tick() => {
                    let what = current.executed.as_ref().map(Executed::left).unwrap_or_default();
                    tracing::warn!("{} {lasts}: {what}", self.name);
                }
            }
        }
    }
}
