//! How the rest of the daemon asks the driver: a picture to look at, and changes to submit.

use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Index, NodeId};
use stead_core::node::{Event, Word};
use stead_core::state::{Change, Outcome};
use stead_log::transport::Peers;
use tokio::sync::{mpsc, oneshot, watch};

use super::view::View;

/// A change could not be submitted, or its fate is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Nobody leads the log: too few nodes can talk to each other.
    #[error("nobody coordinates at the moment; nothing was changed (see `stead status`)")]
    NoCoordinator,
    /// It was sent and no answer came in time.
    #[error(
        "no answer in time: {0}; the change may still come, look at `stead status` before you \
         repeat it"
    )]
    Unknown(String),
    /// It was certainly not made.
    #[error("{0}; nothing was changed")]
    Lost(String),
    /// The daemon is ending.
    #[error("the daemon is ending; nothing was changed")]
    Ending,
}

/// A change on its way to the driver.
pub(super) struct Submission {
    pub(super) change: Change,
    pub(super) deadline: Duration,
    pub(super) answer: oneshot::Sender<Result<(Index, Outcome), SubmitError>>,
}

/// Talks to the driver. Copies talk to the same one.
#[derive(Clone)]
pub struct Handle {
    view: watch::Receiver<Arc<View>>,
    submissions: mpsc::Sender<Submission>,
    events: mpsc::UnboundedSender<Event>,
    /// The other daemons, if there are any to be called.
    peers: Option<Arc<Peers>>,
}

impl Handle {
    /// One that talks to the driver behind these.
    pub(super) fn new(
        view: watch::Receiver<Arc<View>>,
        submissions: mpsc::Sender<Submission>,
        events: mpsc::UnboundedSender<Event>,
        peers: Arc<Peers>,
    ) -> Self {
        Self { view, submissions, events, peers: Some(peers) }
    }

    /// A handle without a driver: every change gets the answer that `answer` gives. For trying
    /// what stands on the driver. Must be called inside a tokio runtime.
    #[must_use]
    pub fn answered_by(
        view: watch::Receiver<Arc<View>>,
        mut answer: impl FnMut(Change) -> Result<(Index, Outcome), SubmitError> + Send + 'static,
    ) -> Self {
        let (submissions, mut submitted) = mpsc::channel::<Submission>(1);
        tokio::spawn(async move {
            while let Some(Submission { change, answer: fate, .. }) = submitted.recv().await {
                // An error means that nobody waits for it any more.
                drop(fate.send(answer(change)));
            }
        });
        let (events, _nobody) = mpsc::unbounded_channel();
        Self { view, submissions, events, peers: None }
    }

    /// Connects to every member that this node has no connection to, to learn what runs there.
    /// Returns at once; false if there is nobody to call.
    pub fn meet_all(&self) -> bool {
        let (Some(peers), view) = (&self.peers, self.view()) else { return false };
        let known = |node: &NodeId| view.connected.iter().any(|it| it.node == *node);
        let others = view.state.members.keys().filter(|node| **node != view.identity.node);
        let missing: Vec<_> = others.filter(|node| !known(node)).collect();
        missing.iter().for_each(|node| peers.meet(**node));
        !missing.is_empty()
    }

    /// Passes an operator's word on. What comes of it is seen in the picture.
    pub fn vouch(&self, word: Word) {
        // Nobody listens once the driver has ended.
        drop(self.events.send(Event::Vouched(word)));
    }

    /// The present picture.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Waits for the next picture. False when the driver is gone.
    pub async fn changed(&mut self) -> bool {
        self.view.changed().await.is_ok()
    }

    /// Submits a change to whoever coordinates, and waits until it is committed.
    ///
    /// # Errors
    /// See [`SubmitError`]. A refusal by the state is no error here but an [`Outcome`].
    pub async fn submit(
        &self,
        change: Change,
        deadline: Duration,
    ) -> Result<(Index, Outcome), SubmitError> {
        let (answer, fate) = oneshot::channel();
        let submission = Submission { change, deadline, answer };
        self.submissions.send(submission).await.map_err(|_| SubmitError::Ending)?;
        // Taken and not answered: the driver ended in between.
        let ended = |_| SubmitError::Unknown("the daemon ended meanwhile".to_string());
        fate.await.map_err(ended)?
    }
}
