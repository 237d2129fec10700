//! The guard's loop.

use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use stead_core::id::Incarnation;
use stead_core::lease::{Command, Event, GateForm, Lease, Order, Report};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;
use stead_edge::chain;
use stead_linux::clock::{boottime, clock_discipline};
use stead_linux::durable::Counter;
use stead_linux::gate::Form;
use stead_linux::lock::Lock;
use stead_linux::poller::Poller;
use stead_linux::process::peer_of;
use stead_linux::realtime;
use stead_linux::seqpacket::{Connection, Listener, Received};

use super::ipc::{self, FromGuard, Hello, HelloMore, ToGuard};
use super::kernel::Kernel;
use super::links::Links;
use super::seal::Sealer;
use super::watchdog::Hands;
use crate::identity::{self, Identity};
use crate::paths::Paths;

/// The real-time priority: above ordinary real-time work, below the kernel's own threads.
const PRIORITY: i32 = 50;
/// How often the clock's discipline is looked at: whenever the guard wakes, but not more often than
/// the first, nor less often than the second. What a tenth, the most that the kernel steers by,
/// makes of that is within what is waited beyond a lease.
const CLOCK_LOOK: [Span; 2] = [Span::from_millis(2), Span::from_millis(20)];
/// How often rejected datagrams are told.
const TELL_REJECTED: Span = Span::from_millis(1_000);
/// How long a released guard goes on saying so before it ends.
const FAREWELL: Span = Span::from_millis(200);
/// How long a guard that was asked to end waits for its daemon to stop what it runs.
const ENDING_PATIENCE: Span = Span::from_millis(30_000);
/// The same, where its watchdog resets the machine after that: what is bound takes its time.
const BOUND_PATIENCE: Span = Span::from_millis(50_000);
/// The rate that the protocol allows a clock to be off by, in millionths.
const DRIFT_PPM: f64 = stead_core::time::DRIFT_PER_MILLION as f64;

const LISTENER: u64 = 1_000;
const DAEMON: u64 = 1_001;
const MONITOR: u64 = 1_002;
const SIGNALS: u64 = 1_003;

/// The guard could not start, or not go on.
#[derive(Debug, thiserror::Error)]
#[error("the guard can't {step}: {detail}")]
pub struct GuardError {
    step: &'static str,
    detail: String,
}

fn failed<E: std::error::Error + 'static>(step: &'static str) -> impl Fn(E) -> GuardError {
    move |error| GuardError { step, detail: chain(&error) }
}

/// Runs the guard until it is asked to end.
///
/// # Errors
/// It could not start, or a system call that it can't be without failed. Nothing is held then, or
/// the gate runs out by itself.
pub fn run(paths: &Paths) -> Result<(), GuardError> {
    let mut guard = Guard::start(paths)?;
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    while !guard.step()? {}
    guard.kernel.leave();
    guard.watchdog.leave(guard.lease.is_watched());
    Ok(())
}

/// Asked to end, or giving up: what is left to do.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The daemon stops what it runs, until then at the latest.
    Asked(Instant),
    /// The release is being said, until then.
    Released(Instant),
}

struct Guard {
    _lock: Lock,
    lease: Lease,
    sealer: Sealer,
    kernel: Kernel,
    watchdog: Hands,
    links: Links,
    poller: Poller,
    listener: Listener,
    daemon: Option<Connection>,
    signals: SignalFd,
    hello: Hello,
    clock_looked: Instant,
    rejected_told: Instant,
    clock_trusted: bool,
    ending: Option<Ending>,
    ready: Vec<u64>,
    buffer: Vec<u8>,
}

impl Guard {
    fn start(paths: &Paths) -> Result<Self, GuardError> {
        let identity = Identity::load(paths).map_err(failed("read this node's identity"))?;
        let secret = identity::heartbeat_secret(paths).map_err(failed("read its secret"))?;
        std::fs::create_dir_all(&paths.run).map_err(failed("make its folder"))?;
        // Blocked before any thread could take them: they come through a descriptor.
        let mut asked = SigSet::empty();
        asked.add(Signal::SIGTERM);
        asked.add(Signal::SIGINT);
        asked.thread_block().map_err(failed("block signals"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&asked, flags).map_err(failed("watch signals"))?;
        let lock = Lock::acquire(&paths.guard_lock()).map_err(failed("be the only one"))?;
        let kernel =
            Kernel::take_over(&instance(&identity)).map_err(failed("take the lease gate"))?;
        let incarnation = next_incarnation(paths)?;
        let sealer = Sealer::new(identity.cluster, identity.node, incarnation, secret)
            .map_err(failed("make its key"))?;
        let hello = hello(&kernel);
        let slack = hello.slack;
        let now = Instant(boottime());
        let lease = Lease::new(identity.node, incarnation, now, slack, Timers::default());
        let lease = lease.with_gate(gate_form(kernel.form()));
        let listener = Listener::bind(&paths.guard_socket()).map_err(failed("open its door"))?;
        let poller = Poller::new().map_err(failed("wait for anything"))?;
        let watch = |fd, token| poller.watch(fd, token).map_err(failed("wait for anything"));
        watch(listener.as_fd(), LISTENER)?;
        watch(kernel.monitor.as_fd(), MONITOR)?;
        watch(signals.as_fd(), SIGNALS)?;
        Ok(Self {
            _lock: lock,
            lease,
            sealer,
            kernel,
            watchdog: Hands::new(),
            links: Links::default(),
            poller,
            listener,
            daemon: None,
            signals,
            hello,
            clock_looked: now,
            rejected_told: now,
            clock_trusted: true,
            ending: None,
            ready: Vec::new(),
            buffer: vec![0; ipc::LONGEST],
        })
    }

    /// One round: wait, take what came, do what follows. Says whether it is over.
    fn step(&mut self) -> Result<bool, GuardError> {
        let until = self.deadline();
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(Some(until.0), &mut ready).map_err(failed("wait for anything"))?;
        // Whatever else waits: first see whether the clock can be trusted, and compare it with the
        // lease.
        self.check_clock(Instant(boottime()));
        self.handle(Event::Tick);
        for token in &ready {
            match *token {
                LISTENER => self.on_connection(),
                DAEMON => self.on_daemon(),
                MONITOR => self.kernel.read_monitor(),
                SIGNALS => self.on_signal(),
                link => self.on_link(link),
            }
        }
        self.ready = ready;
        let now = Instant(boottime());
        self.kernel.tick(now);
        self.links.tick(now, &self.poller);
        self.tell_rejected(now);
        self.tell_daemon();
        Ok(self.is_over(now))
    }

    fn deadline(&self) -> Instant {
        let ending = match self.ending {
            Some(Ending::Asked(at) | Ending::Released(at)) => at,
            None => Instant::NEVER,
        };
        let work = self.kernel.deadline().min(self.links.deadline());
        let look = self.clock_looked + CLOCK_LOOK[1];
        self.lease.next_deadline().min(work).min(look).min(ending)
    }

    /// Gives an event to the machine and does what it says.
    fn handle(&mut self, event: Event) {
        self.lease.handle(Instant(boottime()), event);
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { to, heartbeat } => self.links.send(&self.sealer, to, &heartbeat),
                Command::Enforce { addresses, until } => {
                    self.kernel.enforce(addresses, until, self.lease.lapsed());
                }
                Command::Report(report) => self.report(report),
                Command::VoteKnown(term) => self.tell(&FromGuard::VoteKnown(term)),
                Command::Watchdog(act) => {
                    if let Some(armed) = self.watchdog.act(act) {
                        self.handle(Event::Watchdog(armed));
                    }
                }
            }
        }
    }

    /// Reports as held only what really stands, and what the machine can't know.
    fn report(&mut self, mut report: Report) {
        report.held.retain(|holding| self.kernel.stands(holding.address));
        report.more.gate_errors = self.kernel.gate_errors;
        if let Some(own) = &mut report.later.watch.own {
            self.watchdog.describe(own);
        }
        for (node, peer) in report.peers.iter_mut() {
            peer.more.traffic = self.links.traffic(*node);
        }
        self.tell(&FromGuard::Report(report));
    }

    fn on_link(&mut self, link: u64) {
        let Ok(link) = usize::try_from(link) else { return };
        while let Some((link, heartbeat)) = self.links.receive(link, &mut self.sealer) {
            self.handle(Event::Heartbeat { link, heartbeat });
        }
    }

    fn on_connection(&mut self) {
        loop {
            match self.listener.accept() {
                Ok(None) => return,
                Ok(Some(connection)) => self.take_daemon(connection),
                Err(error) => {
                    eprintln!("stead guard: {}", chain(&error));
                    return;
                }
            }
        }
    }

    /// The newest daemon is the one: an older one that hangs must not keep it out.
    fn take_daemon(&mut self, connection: Connection) {
        let own = nix::unistd::geteuid().as_raw();
        match peer_of(&connection) {
            Ok(peer) if peer.uid == own || peer.uid == 0 => {}
            Ok(_) | Err(_) => return,
        }
        if self.daemon.take().is_some() {
            self.handle(Event::DaemonGone);
        }
        if self.poller.watch(connection.as_fd(), DAEMON).is_err() {
            return;
        }
        self.daemon = Some(connection);
        if !self.greet() {
            // Without a greeting the daemon would tell this guard nothing. It comes again.
            if let Some(daemon) = self.daemon.take() {
                drop(self.poller.forget(daemon.as_fd()));
            }
            return;
        }
        self.handle(Event::DaemonConnected);
        if let Some(Ending::Asked(_)) = self.ending {
            self.tell(&FromGuard::Ending);
        }
    }

    /// With the hello comes the page that the daemon hands on to its programs' keepers. Whether it
    /// went out.
    fn greet(&self) -> bool {
        let hello = FromGuard::Hello(self.hello.clone());
        match (&self.daemon, &self.kernel.page, ipc::encode(&hello)) {
            (Some(daemon), Some(page), Ok(bytes)) => match daemon.send_with(&bytes, page) {
                Ok(sent) => sent,
                Err(error) => {
                    eprintln!("stead guard: the daemon was not greeted: {}", chain(&error));
                    false
                }
            },
            (..) => {
                self.tell(&hello);
                true
            }
        }
    }

    fn on_daemon(&mut self) {
        loop {
            let Some(daemon) = &self.daemon else { return };
            match daemon.receive(&mut self.buffer) {
                Ok(Received::Nothing) => return,
                Ok(Received::Message(length)) => {
                    match ipc::decode::<ToGuard>(&self.buffer[..length]) {
                        Ok(ToGuard::Network(network)) => self.on_network(&network),
                        Ok(ToGuard::Order(order)) => self.on_order(order),
                        Err(error) => {
                            eprintln!("stead guard: {}", chain(&error));
                            self.lose_daemon();
                        }
                    }
                }
                Ok(Received::Closed) | Err(_) => self.lose_daemon(),
            }
        }
    }

    fn lose_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            drop(self.poller.forget(daemon.as_fd()));
            self.handle(Event::DaemonGone);
        }
    }

    fn on_network(&mut self, network: &ipc::Network) {
        self.kernel.set_places(network);
        self.links.set(network, &self.poller);
    }

    fn on_order(&mut self, order: Order) {
        let released = order == Order::Release;
        self.handle(Event::Order(order));
        if released && !matches!(self.ending, Some(Ending::Released(_))) {
            self.ending = Some(Ending::Released(Instant(boottime()) + FAREWELL));
        }
    }

    fn on_signal(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {
            if self.ending.is_some() {
                continue;
            }
            let now = Instant(boottime());
            let patience = match self.daemon {
                _ if self.has_to_wait() => BOUND_PATIENCE,
                Some(_) => ENDING_PATIENCE,
                None => Span::ZERO,
            };
            self.ending = Some(Ending::Asked(now + patience));
            self.tell(&FromGuard::Ending);
        }
    }

    /// Whether there is nothing left to do. The address goes in any case; only a release that the
    /// daemon ordered is said to others, for only the daemon knows that its programs are gone.
    fn is_over(&mut self, now: Instant) -> bool {
        match self.ending {
            None => false,
            // Nothing ends here before what is bound is gone, or the machine is reset: whatever
            // took the device over could feed it.
            Some(Ending::Asked(at)) if self.has_to_wait() => {
                if now >= at {
                    self.kernel.shut();
                    self.watchdog.starve(now);
                }
                false
            }
            Some(Ending::Asked(at)) if now >= at || self.daemon.is_none() => {
                self.kernel.shut();
                true
            }
            Some(Ending::Released(at)) if now >= at => {
                self.kernel.shut();
                true
            }
            Some(Ending::Asked(_) | Ending::Released(_)) => false,
        }
    }

    /// Whether something bound may be here, and the watchdog is armed for it.
    fn has_to_wait(&self) -> bool {
        self.lease.is_watched() && self.watchdog.armed().is_some()
    }

    /// A clock that is steered by more than the bound can't carry a lease (rule H6).
    fn check_clock(&mut self, now: Instant) {
        if now < self.clock_looked + CLOCK_LOOK[0] {
            return;
        }
        self.clock_looked = now;
        let trusted = clock_discipline().is_none_or(|it| it.worst_ppm() <= DRIFT_PPM);
        if trusted != self.clock_trusted {
            self.clock_trusted = trusted;
            self.handle(Event::ClockTrusted(trusted));
        }
    }

    fn tell_rejected(&mut self, now: Instant) {
        if now < self.rejected_told + TELL_REJECTED {
            return;
        }
        self.rejected_told = now;
        let rejected = self.links.take_rejected();
        if !rejected.is_empty() {
            self.tell(&FromGuard::Rejected(rejected));
        }
    }

    /// Says what the hands have noticed.
    fn tell_daemon(&mut self) {
        for address in std::mem::take(&mut self.kernel.restored) {
            self.tell(&FromGuard::Restored(address));
        }
        let troubles = std::mem::take(&mut self.kernel.troubles);
        for trouble in troubles.into_iter().chain(std::mem::take(&mut self.links.troubles)) {
            eprintln!("stead guard: {trouble}");
            self.tell(&FromGuard::Trouble(trouble));
        }
    }

    /// Sends to the daemon. What it does not take is lost: everything that matters is said again.
    fn tell(&self, message: &FromGuard) {
        let Some(daemon) = &self.daemon else { return };
        match ipc::encode(message) {
            // A daemon that is gone shows when it is read from.
            Ok(bytes) => drop(daemon.send(&bytes)),
            Err(error) => eprintln!("stead guard: {}", chain(&error)),
        }
    }
}

/// The name of this node's gate in its network namespace.
fn instance(identity: &Identity) -> String {
    let cluster = identity.cluster.to_string();
    format!("{}-{}", &cluster[..8], identity.node)
}

/// Counts this start. The number is on disk before the first datagram carries it.
fn next_incarnation(paths: &Paths) -> Result<Incarnation, GuardError> {
    let mut counter =
        Counter::open(&paths.incarnation()).map_err(failed("open the counter of its starts"))?;
    counter.increment().map(Incarnation).map_err(failed("count its starts"))
}

/// The form of the gate as heartbeats have it.
fn gate_form(form: Form) -> GateForm {
    match form {
        Form::Ebpf => GateForm::EBPF,
        Form::Nftables => GateForm::NFTABLES,
    }
}

/// Asks the system for what a guard should have, and says what it got.
fn hello(kernel: &Kernel) -> Hello {
    let said = |result: Result<(), realtime::Refused>| result.map_err(|error| chain(&error));
    let locked = said(realtime::lock_memory());
    let realtime = said(realtime::set_fifo(PRIORITY));
    for refused in [&locked, &realtime].into_iter().filter_map(|it| it.as_ref().err()) {
        eprintln!("stead guard: {refused}");
    }
    let gate = kernel.form().to_string();
    match kernel.fallback() {
        Some(reason) => eprintln!("stead guard: the gate is {gate}: {reason}"),
        None => eprintln!("stead guard: the gate is {gate}"),
    }
    Hello {
        version: env!("CARGO_PKG_VERSION").to_string(),
        pid: std::process::id(),
        gate,
        realtime,
        locked,
        slack: kernel.slack(),
        more: HelloMore { understands: ipc::REACHES_UNDERSTOOD, gate_reason: kernel.fallback() },
    }
}
