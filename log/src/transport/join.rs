//! Letting strangers in: one request, one answer, and not often.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::debug;

use super::frame::{read_bytes, write_bytes};
use super::hello::{HelloRefusal, Purpose};
use super::identity::KeyHash;
use super::limits::{
    HANDSHAKE, JOIN_ANSWER_BYTES, JOIN_BURST, JOIN_REFILL, JOIN_REQUEST_BYTES, JOINS_AT_ONCE,
};
use super::shared::Shared;
use super::tls::ServerStream;
use super::{JoinError, Peers};
use crate::listener::Boxed;

/// Decides on strangers that want to become members.
pub trait Join: Send + Sync + 'static {
    /// Answers one request. `key` is proven to be the stranger's; nothing else about it is. The
    /// future is dropped when it takes longer than [`JOIN_TIME`] or the stranger goes away.
    fn join(&self, from: SocketAddr, key: KeyHash, request: Vec<u8>) -> Boxed<'static, Vec<u8>>;
}

/// The longest that a request to join may take.
pub const JOIN_TIME: Duration = Duration::from_secs(30);

/// The bound on how often and how many at once.
pub(super) struct Door {
    open: bool,
    tokens: Mutex<(u32, Instant)>,
    places: Arc<Semaphore>,
}

impl Door {
    pub fn new(open: bool) -> Self {
        Self {
            open,
            tokens: Mutex::new((JOIN_BURST, Instant::now())),
            places: Arc::new(Semaphore::new(JOINS_AT_ONCE)),
        }
    }

    /// Takes one of the attempts that are allowed now.
    pub fn open(&self) -> Result<(), HelloRefusal> {
        if !self.open {
            return Err(HelloRefusal::JoinClosed);
        }
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        while tokens.0 < JOIN_BURST && tokens.1.elapsed() >= JOIN_REFILL {
            *tokens = (tokens.0 + 1, tokens.1 + JOIN_REFILL);
        }
        if tokens.0 == JOIN_BURST {
            tokens.1 = Instant::now();
        }
        tokens.0 = tokens.0.checked_sub(1).ok_or(HelloRefusal::JoinBusy)?;
        Ok(())
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }
}

impl Shared {
    /// Hears one request to join. A stranger for whom there is no place is cut off.
    pub(super) async fn let_join(&self, mut stream: ServerStream, key: KeyHash, from: SocketAddr) {
        let (Some(join), Some(_place)) = (&self.join, self.door.place()) else { return };
        let request = read_bytes(&mut stream, JOIN_REQUEST_BYTES);
        let request = match tokio::time::timeout(HANDSHAKE, request).await {
            Ok(Ok(request)) => request,
            Ok(Err(error)) => {
                debug!(%from, %error, "no request to join");
                return;
            }
            Err(_elapsed) => return,
        };
        let handled = async {
            let answer = join.join(from, key, request).await;
            if answer.len() <= JOIN_ANSWER_BYTES {
                // An error means that the stranger is gone.
                drop(write_bytes(&mut stream, &answer).await);
            }
        };
        drop(tokio::time::timeout(JOIN_TIME, handled).await);
    }
}

impl Peers {
    /// Asks to be let in at `address`, whose node must hold exactly the key `pinned`; this node
    /// need not be a member of anything. Returns by `deadline`.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub async fn join(
        &self,
        address: SocketAddr,
        pinned: KeyHash,
        request: &[u8],
        deadline: Duration,
    ) -> Result<Vec<u8>, JoinError> {
        if request.len() > JOIN_REQUEST_BYTES {
            return Err(JoinError::TooLong { bytes: request.len(), most: JOIN_REQUEST_BYTES });
        }
        let silence = super::limits::silence(crate::network::Lane::Bulk);
        let asked = async {
            let dialled = self.shared.dial(None, &[address], pinned, Purpose::Join, silence).await;
            let mut stream =
                dialled.map_err(|error| JoinError::Unreachable(error.to_string()))?.stream;
            write_bytes(&mut stream, request).await.map_err(|_| JoinError::Broken)?;
            read_bytes(&mut stream, JOIN_ANSWER_BYTES).await.map_err(|_| JoinError::Broken)
        };
        let answer = tokio::time::timeout(deadline, asked).await;
        answer.unwrap_or(Err(JoinError::Deadline { waited: deadline }))
    }
}
