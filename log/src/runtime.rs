//! The runtime openraft runs on: tokio, with a place to put a seed.
//!
//! openraft draws random numbers for its election timeouts and nothing else. Inside [`seeded`] they
//! come from the seed, and so do those of every task started there; anywhere else, in the daemon
//! always, they come from the operating system as they do with openraft's own tokio runtime. With
//! tokio's paused clock and a seeded scheduler a whole cluster in one thread is then a function of
//! its seeds.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use openraft_rt::{AsyncRuntime, OptionalSend, Select2};
use openraft_rt_tokio::TokioRuntime;
use rand::rngs::{SmallRng, ThreadRng};
use rand::{SeedableRng, TryRng};

tokio::task_local! {
    static SEED: Cell<u64>;
}

/// Runs `future` so that the random numbers of every log opened in it depend on `seed` alone. For
/// simulation and tests: two logs under one seed time out together.
pub async fn seeded<F: Future>(seed: u64, future: F) -> F::Output {
    SEED.scope(Cell::new(seed), future).await
}

/// The next of a sequence of seeds (SplitMix64: a bijection, so no two tasks share one for long).
fn next(seed: &Cell<u64>) -> u64 {
    let state = seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    seed.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The random numbers of one task.
pub(crate) enum Random {
    Ordinary(ThreadRng),
    Seeded(SmallRng),
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        match self {
            Self::Ordinary(random) => random.try_next_u32(),
            Self::Seeded(random) => random.try_next_u32(),
        }
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        match self {
            Self::Ordinary(random) => random.try_next_u64(),
            Self::Seeded(random) => random.try_next_u64(),
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        match self {
            Self::Ordinary(random) => random.try_fill_bytes(bytes),
            Self::Seeded(random) => random.try_fill_bytes(bytes),
        }
    }
}

/// [`TokioRuntime`], but for its random numbers.
#[derive(Debug)]
pub(crate) struct Runtime(TokioRuntime);

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> =
        <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = Random;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match SEED.try_with(next) {
            Ok(seed) => TokioRuntime::spawn(SEED.scope(Cell::new(seed), future)),
            Err(_outside) => TokioRuntime::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F>(duration: Duration, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn select2<A, B>(
        a: A,
        b: B,
    ) -> impl Future<Output = Select2<A::Output, B::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
    {
        TokioRuntime::select2(a, b)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> Random {
        match SEED.try_with(next) {
            Ok(seed) => Random::Seeded(SmallRng::seed_from_u64(seed)),
            Err(_outside) => Random::Ordinary(TokioRuntime::thread_rng()),
        }
    }

    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        TokioRuntime::spawn_blocking(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn draws() -> (u64, u64) {
        let own = Runtime::thread_rng().try_next_u64().unwrap_or_else(|never| match never {});
        let child =
            async { Runtime::thread_rng().try_next_u64().unwrap_or_else(|never| match never {}) };
        (own, Runtime::spawn(child).await.unwrap())
    }

    #[tokio::test]
    async fn one_seed_gives_one_sequence_and_no_seed_gives_any() {
        let first = seeded(7, draws()).await;
        assert_eq!(first, seeded(7, draws()).await);
        assert_ne!(first, seeded(8, draws()).await);
        assert_ne!(first.0, first.1, "a task draws its parent's numbers");
        assert_ne!(draws().await, draws().await);
    }
}
