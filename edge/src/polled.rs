//! A descriptor of the kernel's that tokio waits for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Something with a nonblocking descriptor (socket, pidfd), waited for until it is readable.
pub struct Polled<T> {
    inner: T,
    /// A copy of the descriptor, so that what is registered stays open whatever `inner` does.
    waits: AsyncFd<OwnedFd>,
}

impl<T: AsFd> Polled<T> {
    /// Registers it with the runtime in whose context this is called.
    pub fn new(inner: T) -> io::Result<Self> {
        let copy = inner.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "unsound only for what may close its descriptor; an owned one is not closed \
                      before it is dropped, and the successor is unsafe"
        )]
        let waits = AsyncFd::with_interest(copy, Interest::READABLE)?;
        Ok(Self { inner, waits })
    }

    /// What is waited for.
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// Waits until it is readable; for what stays so (a pidfd after the end of its process).
    pub async fn readable(&self) -> io::Result<()> {
        self.waits.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// Waits until `read` returns something. It is asked again whenever something new came, so it
    /// has to return `None` only where nothing is left to read.
    pub async fn next<R>(&self, mut read: impl FnMut(&T) -> Option<R>) -> io::Result<R> {
        loop {
            let mut guard = self.waits.readable().await?;
            match read(&self.inner) {
                Some(found) => return Ok(found),
                // Clears only what was known when the guard was made: what came since wakes us.
                None => guard.clear_ready(),
            }
        }
    }
}
