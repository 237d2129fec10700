//! What the task of a service does about this node's copy of it.

use stead_core::id::Epoch;
use stead_core::node::Event;
use tokio::task::spawn_blocking;

use super::executed::Executed;
use super::kept::Page;
use super::service::{Current, Service};
use super::{Wish, note, promotion};
use crate::executor::Others;

impl Service {
    /// Starts a copy, or listens to the one that runs under that epoch.
    pub(super) async fn copy(&mut self, epoch: Epoch, wish: Wish, page: Option<Page>) {
        let refusal = match (&self.current, self.ended_copy) {
            (Some(current), _) if current.epoch == epoch && current.is_copy() => None,
            (Some(current), _) if current.epoch >= epoch => {
                Some(format!("something of the later epoch {} runs", current.epoch))
            }
            (_, Some(ended)) if ended >= epoch => {
                Some(format!("epoch {epoch} is over here: its copy was stopped already"))
            }
            (Some(_) | None, _) => None,
        };
        if let Some(failed) = refusal {
            self.tell_copy_started(epoch, Some(failed));
            return;
        }
        if self.current.as_ref().is_some_and(|current| current.epoch < epoch) {
            self.end_current().await;
        }
        if self.current.is_none() {
            // What tells of something left would be written over.
            self.clear_away().await;
            match self.launch(epoch, &wish, page).await {
                Ok(held) => {
                    self.current = Some(Current::new(&self.place, &self.name, epoch, held));
                }
                Err(failed) => {
                    self.last_words().await;
                    self.tell_copy_started(epoch, Some(failed));
                    return;
                }
            }
        }
        if let Some(executed) = self.current.as_mut().and_then(|it| it.executed.as_mut()) {
            executed.begin_copy();
            self.others.iter().for_each(|others| executed.tell_others(others.clone()));
        }
        self.note_end();
        if let Some(detail) = self.current.as_ref().and_then(|current| current.ended.clone()) {
            self.last_words().await;
            self.tell_copy_ended(epoch, &detail);
            return;
        }
        self.show().await;
    }

    /// Has the copy that runs here promoted. Whatever becomes of this process, a file says so.
    pub(super) async fn promote(&mut self, epoch: Epoch, wish: Wish) {
        let refusal = match (&self.current, self.stopped) {
            (_, Some(stopped)) if stopped >= epoch => {
                Some(format!("epoch {epoch} is over here: it was stopped already"))
            }
            (Some(current), _) if !current.is_copy() || current.ended.is_some() => {
                Some("no copy of it runs here".to_owned())
            }
            // The keeper goes by the copy's epoch: it must end with whatever ends the assignment.
            (Some(current), _) if current.epoch >= epoch => {
                Some(format!("the copy that runs here is of the later epoch {}", current.epoch))
            }
            (Some(_), _) => None,
            (None, _) => Some("no copy of it runs here".to_owned()),
        };
        let noted = match refusal {
            Some(failed) => Err(failed),
            None => self.note_promotion(epoch).await,
        };
        if let Err(failed) = noted {
            self.tell_started(epoch, Some(failed));
            return;
        }
        if let Some(executed) = self.current.as_mut().and_then(|it| it.executed.as_mut()) {
            executed.promote(epoch, wish.config, wish.look);
        }
        self.show().await;
    }

    async fn note_promotion(&self, epoch: Epoch) -> Result<(), String> {
        let path = self.place.promoted(&self.name);
        let failed = format!("can't write {}", path.display());
        let written = spawn_blocking(move || promotion::write(&path, epoch)).await;
        let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        written.map_err(|error| format!("{failed}: {error}"))
    }

    async fn forget_promotion(&self) {
        let path = self.place.promoted(&self.name);
        let name = path.display().to_string();
        let removed = spawn_blocking(move || note::remove(&path)).await;
        // The next daemon would take it for promoted, and have it demoted first.
        if let Ok(Err(error)) = removed {
            tracing::warn!("can't remove {name}: {error}");
        }
    }

    /// Has what is promoted demoted, and waits until the executor shows that it is so, or until
    /// nothing of it is left. That may take as long as it takes: what can't be demoted must not be
    /// told to be.
    pub(super) async fn demote(&mut self, epoch: Epoch) {
        // Under which assignment it is promoted nobody knows: then the copy ends as a whole.
        let unknown = epoch == promotion::UNKNOWN;
        if !unknown {
            self.stopped = self.stopped.max(Some(epoch));
        }
        if let Some(hook) = &self.hook {
            hook.ask_to_end();
        }
        let Some(mut current) = self.current.take() else { return };
        if let Some(monitor) = current.monitor.take() {
            monitor.end().await;
        }
        self.place.show_answer(&self.name, None);
        if let Some(executed) = current.executed.as_mut().filter(|_| !unknown) {
            executed.demote(epoch);
        }
        let is_over = |it: &Executed| unknown || it.has_released(epoch);
        self.wait_executor(&mut current, "is not demoted", is_over).await;
        if let Some(executed) = &mut current.executed {
            executed.is_demoted();
        }
        let over = (unknown || current.end.is_none()).then_some(current.epoch);
        self.current = Some(current);
        if let Some(epoch) = over {
            // Its executor is gone, or goes now, and what that leaves.
            self.end_current().await;
            self.clear_away().await;
            self.ended_copy = self.ended_copy.max(Some(epoch));
            self.tell_copy_ended(epoch, "it ended while it was to be demoted");
        }
        if let Some(hook) = self.hook.take() {
            hook.over().await;
        }
        self.forget_promotion().await;
        self.place.tell(Event::Stopped { service: self.name.clone(), epoch });
        self.show().await;
    }

    /// Stops the copy, whatever of it there is.
    pub(super) async fn end_copy(&mut self, epoch: Epoch) {
        let current = self.current.as_ref().filter(|it| it.epoch <= epoch && it.is_copy());
        if current.is_some() {
            self.end_current().await;
            self.forget_promotion().await;
        }
        if self.current.is_none() {
            self.clear_away().await;
        }
        self.ended_copy = self.ended_copy.max(Some(epoch));
        self.place.tell(Event::CopyEnded { service: self.name.clone(), epoch });
    }

    pub(super) fn tell_others(&mut self, others: Others) {
        if let Some(executed) = self.current.as_ref().and_then(|it| it.executed.as_ref()) {
            executed.tell_others(others.clone());
        }
        self.others = Some(others);
    }

    fn tell_copy_started(&self, epoch: Epoch, failed: Option<String>) {
        self.place.tell(Event::CopyStarted { service: self.name.clone(), epoch, failed });
    }
}
