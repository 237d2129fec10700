//! The thread that carries the frames.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use stead_linux::wire::{FRAME_MAX, Wire};

use super::queue::{Fate, Queue};
use super::{Direction, Lane, Shared};
use crate::launcher::lock;

/// So many frames are taken from one side before the other side has its turn.
const TURN: usize = 64;
/// As the probers: above ordinary programs, below everything that is measured.
const PRIORITY: i32 = 2;

pub(super) struct Carrier {
    to_host: Wire,
    to_switch: Wire,
    shared: Arc<Shared>,
    ended: OwnedFd,
    queue_from_host: Queue,
    queue_to_host: Queue,
    buffer: Vec<u8>,
}

impl Carrier {
    pub(super) fn new(
        to_host: Wire,
        to_switch: Wire,
        shared: Arc<Shared>,
        ended: OwnedFd,
        seed: u64,
    ) -> Carrier {
        Carrier {
            to_host,
            to_switch,
            shared,
            ended,
            queue_from_host: Queue::new(seed),
            queue_to_host: Queue::new(!seed),
            buffer: vec![0; FRAME_MAX],
        }
    }

    pub(super) fn carry(mut self) {
        // a cable does not wait for the processor; where it is refused, delays are less exact
        let _ = stead_linux::realtime::set_fifo(PRIORITY);
        if let Err(error) = self.carry_on() {
            *lock(&self.shared.failure) = Some(error.to_string());
        }
    }

    fn carry_on(&mut self) -> io::Result<()> {
        while self.wait()? {
            let from_host = self.shared.lane(Direction::FromHost);
            take_in(&self.to_host, from_host, &mut self.queue_from_host, &mut self.buffer)?;
            let to_host = self.shared.lane(Direction::ToHost);
            take_in(&self.to_switch, to_host, &mut self.queue_to_host, &mut self.buffer)?;
            hand_out(&self.to_switch, from_host, &mut self.queue_from_host)?;
            hand_out(&self.to_host, to_host, &mut self.queue_to_host)?;
        }
        Ok(())
    }

    /// Waits until a frame came or is due. `false`: the relay shall end.
    fn wait(&self) -> io::Result<bool> {
        let now = Instant::now();
        let queues = [&self.queue_from_host, &self.queue_to_host];
        let next = queues.iter().filter_map(|queue| queue.next(now)).min();
        let mut fds = [self.to_host.as_fd(), self.to_switch.as_fd(), self.ended.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match ppoll(&mut fds, next.map(TimeSpec::from), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(fds[2].revents().is_none_or(|events| events.is_empty()))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn take_in(wire: &Wire, lane: &Lane, queue: &mut Queue, buffer: &mut [u8]) -> io::Result<()> {
    let how = *lock(&lane.impairment);
    for _ in 0..TURN {
        let Some(frame) = wire.receive(buffer)? else { break };
        count(&lane.counters.received);
        match queue.put(Instant::now(), frame, &how) {
            Fate::OnItsWay => {}
            Fate::HeldBack => count(&lane.counters.reordered),
            Fate::Lost => count(&lane.counters.lost),
            Fate::NoRoom => count(&lane.counters.dropped),
        }
    }
    Ok(())
}

fn hand_out(wire: &Wire, lane: &Lane, queue: &mut Queue) -> io::Result<()> {
    while let Some(frame) = queue.take(Instant::now()) {
        let counter = match wire.send(&frame)? {
            true => &lane.counters.forwarded,
            false => &lane.counters.dropped,
        };
        count(counter);
    }
    Ok(())
}
