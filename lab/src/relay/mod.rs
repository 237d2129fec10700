//! A program in the cable that delays, loses and reorders frames.
//!
//! The kernels we build on need not have netem, so frames go through user space: two veths end in a
//! namespace of the relay's own, and one thread carries frames from one to the other. Each
//! direction has its own [`Impairment`], changeable at any time; a frame obeys the one that held
//! when it came. Chance follows from a seed, so the n-th frame of a direction always has the same
//! fate; what the n-th frame is, the kernel's timing decides.
//!
//! Failures: a frame that finds the far link down is lost, as in a cable, and counted. When the
//! thread cannot go on, the cable is dead and [`Relay::failure`] says why.
//!
//! Deliberately absent: bandwidth limits and bit errors.

mod carrier;
mod queue;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::OFlag;
use stead_linux::namespace::NetNs;
use stead_linux::netlink::VethPeer;
use stead_linux::wire::Wire;

use crate::error::{LabError, Step};
use crate::launcher::lock;
use crate::switch::{Switch, be_quiet};
use carrier::Carrier;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the host into the network.
    FromHost,
    /// From the network to the host.
    ToHost,
}

/// What happens to the frames of one direction. The default: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairment {
    /// Every frame arrives this much later.
    pub delay: Duration,
    /// Up to this much earlier or later than that, evenly spread; the order is kept.
    pub jitter: Duration,
    /// Share of the frames that are lost, 0 to 1.
    pub loss: f64,
    /// Share of the frames that are held back by `held` more, so that others overtake them, 0 to 1.
    pub reorder: f64,
    /// How long a reordered frame is held back.
    pub held: Duration,
}

/// What became of the frames of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Frames that came in.
    pub received: u64,
    /// Frames that went out.
    pub forwarded: u64,
    /// Frames lost on purpose.
    pub lost: u64,
    /// Frames held back on purpose; they count as forwarded too.
    pub reordered: u64,
    /// Frames that found the link down or the queue full.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    received: AtomicU64,
    forwarded: AtomicU64,
    lost: AtomicU64,
    reordered: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Lane {
    impairment: Mutex<Impairment>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Shared {
    from_host: Lane,
    to_host: Lane,
    failure: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Inner {
    namespace: NetNs,
    host_side: u32,
    shared: Arc<Shared>,
    /// Closing it ends the thread.
    leash: Mutex<Option<OwnedFd>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A relay in a cable. Cheap to clone; ends with its last clone.
#[derive(Debug, Clone)]
pub struct Relay(Arc<Inner>);

const HOST_SIDE: &str = "host";
const SWITCH_SIDE: &str = "switch";

impl Relay {
    /// Lays a cable from `host` to a new port of `switch` by way of a relay. Returns the port too.
    pub(crate) fn insert(
        host: &NetNs,
        switch: &Switch,
        peer: VethPeer<'_>,
        seed: u64,
    ) -> Result<(Relay, u32), LabError> {
        let what = || format!("cannot put a relay into the cable to {}", switch.name());
        let namespace = NetNs::create().step(what)?;
        be_quiet(&namespace).step(what)?;
        let mut netlink = namespace.netlink().step(what)?;
        let far = VethPeer { namespace: Some(std::os::fd::AsFd::as_fd(host)), ..peer };
        let host_side = netlink.create_veth(HOST_SIDE, None, far).step(what)?.index;
        let near = VethPeer { name: SWITCH_SIDE, namespace: None, mac: None };
        let port = switch.add_port(&namespace, near)?;
        let switch_side = netlink.link_named(SWITCH_SIDE).step(what)?.index;
        let open = || Ok((Wire::open(host_side)?, Wire::open(switch_side)?));
        let opened: std::io::Result<(Wire, Wire)> = namespace.run(open).step(what)?;
        let (wire_to_host, wire_to_switch) = opened.step(what)?;
        netlink.set_up(host_side).step(what)?;
        netlink.set_up(switch_side).step(what)?;

        let shared = Arc::new(Shared::default());
        let (ended, leash) = nix::unistd::pipe2(OFlag::O_CLOEXEC).step(what)?;
        let carrier = Carrier::new(wire_to_host, wire_to_switch, Arc::clone(&shared), ended, seed);
        let thread = std::thread::Builder::new().name("relay".to_owned());
        let thread = thread.spawn(move || carrier.carry()).step(what)?;
        let (leash, thread) = (Mutex::new(Some(leash)), Mutex::new(Some(thread)));
        Ok((Relay(Arc::new(Inner { namespace, host_side, shared, leash, thread })), port))
    }

    pub(crate) fn namespace(&self) -> &NetNs {
        &self.0.namespace
    }

    pub(crate) fn host_side_index(&self) -> u32 {
        self.0.host_side
    }

    fn lane(&self, direction: Direction) -> &Lane {
        self.0.shared.lane(direction)
    }

    /// From here on the frames of a direction fare like this.
    pub fn set(&self, direction: Direction, impairment: Impairment) {
        *lock(&self.lane(direction).impairment) = impairment;
    }

    /// From here on the frames of both directions fare like this.
    pub fn set_both(&self, impairment: Impairment) {
        self.set(Direction::FromHost, impairment);
        self.set(Direction::ToHost, impairment);
    }

    /// What became of the frames of a direction so far.
    pub fn counts(&self, direction: Direction) -> Counts {
        let counters = &self.lane(direction).counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            received: read(&counters.received),
            forwarded: read(&counters.forwarded),
            lost: read(&counters.lost),
            reordered: read(&counters.reordered),
            dropped: read(&counters.dropped),
        }
    }

    /// Why the relay's thread ended before its time.
    pub fn failure(&self) -> Option<String> {
        lock(&self.0.shared.failure).clone()
    }
}

impl Shared {
    fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::FromHost => &self.from_host,
            Direction::ToHost => &self.to_host,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        lock(&self.leash).take();
        if let Some(thread) = lock(&self.thread).take() {
            // a panic in there was printed; the cable ends here either way
            let _ = thread.join();
        }
    }
}
