//! One resource, as the machine knows it.

use alloc::string::String;

use super::{Operation, Part, Resource, Stage};
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct One {
    pub(super) resource: Resource,
    pub(super) part: Part,
    pub(super) stage: Stage,
    /// The question that is not answered yet.
    pub(super) open: Option<(u64, Operation)>,
    /// Its monitor, the next start or the next stop is due then.
    pub(super) due: Instant,
    /// It failed, and has to be stopped before it is started again.
    pub(super) bad: bool,
    /// It may be promoted: it was told to be, or said that it is, and has not said otherwise since.
    pub(super) promoted: bool,
    /// Its demotion failed: it has to be stopped instead, after what needs it.
    pub(super) stubborn: bool,
    /// It has to be told what became of the other copies.
    pub(super) notify: bool,
    /// How often it failed since it worked for long without that.
    pub(super) failures: u32,
    pub(super) all_failures: u64,
    /// Since when it works.
    pub(super) works_since: Option<Instant>,
    pub(super) reason: Option<String>,
    /// It fails, and nothing is done about it for now.
    pub(super) unwell: bool,
}

impl One {
    pub(super) fn new(resource: Resource, part: Part) -> Self {
        Self {
            resource,
            part,
            stage: Stage::Probing,
            open: None,
            due: Instant::default(),
            bad: false,
            promoted: false,
            stubborn: false,
            notify: false,
            failures: 0,
            all_failures: 0,
            works_since: None,
            reason: None,
            unwell: false,
        }
    }

    /// Whether anything of it may be there.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.stage, Stage::Probing | Stage::Stopped)
    }

    /// Whether what needs it may run, as far as it is up to this one. To carry what belongs to the
    /// promoted copy (`high`) it has to be promoted, if it can be.
    pub(super) fn supports(&self, high: bool) -> bool {
        let up = match self.stage {
            Stage::Works => true,
            Stage::Promoting | Stage::Demoting => !high,
            Stage::Probing
            | Stage::Starting
            | Stage::Checking
            | Stage::Stopped
            | Stage::Stopping
            | Stage::Killing
            | Stage::Stuck => false,
        };
        let high_enough = !high || self.part != Part::Promotable || self.promoted;
        up && high_enough && !self.bad
    }

    /// Whether it runs with each copy.
    pub(super) fn is_copied(&self) -> bool {
        self.part != Part::Single
    }

    /// Whether it is certain that nothing of it does what only the holder's may do.
    pub(super) fn is_quiet(&self) -> bool {
        match (self.part, self.stage) {
            (Part::Copied, _) | (_, Stage::Stopped) => true,
            (Part::Single, _) => false,
            (Part::Promotable, Stage::Works) => !self.bad && !self.promoted,
            (
                Part::Promotable,
                Stage::Probing
                | Stage::Starting
                | Stage::Checking
                | Stage::Stopping
                | Stage::Killing
                | Stage::Stuck
                | Stage::Promoting
                | Stage::Demoting,
            ) => false,
        }
    }
}
