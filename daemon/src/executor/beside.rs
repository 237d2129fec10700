//! The control groups in which others run something for this service, as its keeper knows them.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::resource::Answer;
use tokio::time::{Instant, sleep};

use crate::agent::beside;
use crate::agent::cgroup::Group;

/// How long what was killed may take to go: longer, and it sits in the kernel.
pub(super) const GOING: Duration = Duration::from_secs(10);
/// The pause between two looks at what is going.
const PAUSE: Duration = Duration::from_millis(5);

/// Shared by all resources of a service.
#[derive(Clone, Debug)]
pub(super) struct Beside {
    note: PathBuf,
    all: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Beside {
    /// None yet.
    pub(super) fn new(note: PathBuf) -> Self {
        Self { note, all: Arc::default() }
    }

    /// From here on the keeper ends what is in that group.
    pub(super) fn add(&self, group: &Group) -> io::Result<()> {
        self.change(|all| {
            all.insert(group.folder().to_owned());
        })
    }

    /// Nothing of the service will be in that group any more.
    pub(super) fn remove(&self, group: &Group) -> io::Result<()> {
        self.change(|all| {
            all.remove(group.folder());
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<PathBuf>)) -> io::Result<()> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = all.clone();
        change(&mut new);
        beside::write(&self.note, new.iter().map(PathBuf::as_path))?;
        *all = new;
        Ok(())
    }
}

/// Kills all in a group, and waits until it is empty.
pub(super) async fn seal(group: &Group, until: Instant) -> Result<(), String> {
    loop {
        let Err(error) = group.seal() else { return Ok(()) };
        if Instant::now() >= until {
            return Err(error.to_string());
        }
        sleep(PAUSE).await;
    }
}

pub(super) fn unwritten(error: &io::Error) -> Answer {
    Answer::Failed(format!("its control group can't be written down for the keeper: {error}"))
}
