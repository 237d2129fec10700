//! A holder: claims the throw-away address without the kernel's knowing.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_core::redirect::{Probing, announcement};
use stead_core::time::Span;
use stead_edge::polled::Polled;
use stead_linux::packet::{Claim, PacketError, PacketSocket, Wanted, neighbor};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::frames;
use super::identity::{Heard, Identity};
use super::leash::{Leash, lock};
use super::order::{Held, Phase};
use super::role::RoleError;
use super::trial::{Form, Station, Trial};

/// A holder, from its first question until its end.
pub(super) struct Holder {
    identity: Identity,
    form: Form,
    socket: Polled<PacketSocket>,
    /// Keeps this node in the group in which an IPv6 address is asked for: switches that listen to
    /// such reports would not bring the questions otherwise.
    _group: Option<UdpSocket>,
    state: Mutex<State>,
    changed: Notify,
    pub(super) leash: Leash,
}

struct State {
    held: Held,
    /// When the last echo came.
    echo: Option<Instant>,
    /// When the present phase began.
    since: Instant,
    /// How many frames of its schedule were sent.
    number: u32,
}

impl Holder {
    /// Opens its sockets, in this network namespace, and asks for the first time whether the
    /// address is free. To be called inside a runtime.
    pub(super) fn open(
        trial: &Trial,
        interface: &str,
        number: u8,
        holders: [Station; 2],
    ) -> Result<Arc<Self>, RoleError> {
        let packet = |source| RoleError::Packet { interface: interface.to_owned(), source };
        let socket = PacketSocket::open(interface, Wanted::Takeovers).map_err(packet)?;
        if let Some(mac) = trial.mac {
            socket.also_to(mac.0).map_err(packet)?;
        }
        let group =
            match trial.address {
                IpAddr::V4(_) => None,
                IpAddr::V6(address) => Some(join(address, socket.index()).map_err(|source| {
                    RoleError::Group { interface: interface.to_owned(), source }
                })?),
            };
        let mac = trial.mac.map_or(socket.mac(), |mac| mac.0);
        let socket = Polled::new(socket)
            .map_err(|source| RoleError::Wait { interface: interface.to_owned(), source })?;
        let holders = holders.map(|station| station.0);
        let identity = Identity { trial: trial.id, number, address: trial.address, mac, holders };
        let state = State {
            held: counted(Phase::Asking, Station(mac)),
            echo: None,
            since: Instant::now(),
            number: 0,
        };
        let leash = Leash::new(trial.end());
        let changed = Notify::new();
        let form = trial.form;
        let state = Mutex::new(state);
        Ok(Arc::new(Self { identity, form, socket, _group: group, state, changed, leash }))
    }

    /// Answers for the address, until it is told to be silent.
    pub(super) fn claim(&self) -> Result<(), RoleError> {
        let mut state = lock(&self.state);
        match state.held.phase {
            Phase::Ready | Phase::Silent => {}
            Phase::Claimed => return Ok(()),
            Phase::Asking => return Err(RoleError::Asking),
            Phase::InUse(mac) => return Err(RoleError::InUse { mac: mac.0 }),
        }
        state.begin(Phase::Claimed);
        self.announce(&mut state);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Says nothing more.
    pub(super) fn silence(&self) {
        let mut state = lock(&self.state);
        if state.held.phase == Phase::Claimed {
            state.begin(Phase::Silent);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// What it did and heard.
    pub(super) fn look(&self) -> Held {
        let state = lock(&self.state);
        let echo = state.echo.map(|at| span(at.elapsed()));
        Held { echo, ..state.held.clone() }
    }

    /// Goes on until nobody wants to know any more.
    pub(super) async fn run(self: Arc<Self>) {
        let mut buffer = frames::buffer();
        loop {
            let due = self.due();
            tokio::select! {
                // A flood of frames must not keep announcements from leaving.
                biased;
                () = self.leash.ended() => return,
                () = self.changed.notified() => {}
                () = sleep_until(due) => self.on_due(),
                read = frames::read(&self.socket, &mut buffer, |frame| self.on_frame(frame)) => {
                    if read.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// When something has to be sent next; a day away if nothing has.
    fn due(&self) -> Instant {
        let state = lock(&self.state);
        let after = match state.held.phase {
            Phase::Asking => asking(state.number),
            Phase::Claimed => announcement(state.number),
            Phase::Ready | Phase::Silent | Phase::InUse(_) => Span::from_millis(86_400_000),
        };
        state.since + Duration::from_micros(after.as_micros())
    }

    fn on_due(&self) {
        let mut state = lock(&self.state);
        match state.held.phase {
            Phase::Asking if state.number >= Probing::first().count => state.begin(Phase::Ready),
            Phase::Asking => {
                state.number += 1;
                let own = self.socket.get().mac();
                let chance = self.identity.trial ^ u64::from(state.number) << 56;
                self.send(&mut state, &self.identity.probe(own, chance));
            }
            Phase::Claimed => self.announce(&mut state),
            Phase::Ready | Phase::Silent | Phase::InUse(_) => {}
        }
    }

    fn announce(&self, state: &mut State) {
        state.number = state.number.saturating_add(1);
        for frame in self.identity.announcements(self.form) {
            if self.send(state, &frame) {
                state.held.announced += 1;
            }
        }
    }

    fn send(&self, state: &mut State, frame: &[u8]) -> bool {
        match self.socket.get().send(frame) {
            Ok(()) => true,
            Err(error) => {
                state.failed(&error);
                false
            }
        }
    }

    fn on_frame(&self, frame: Result<&[u8], PacketError>) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return lock(&self.state).failed(&error),
        };
        let Some(heard) = self.identity.hear(frame) else { return };
        let mut state = lock(&self.state);
        let claimed = state.held.phase == Phase::Claimed;
        let reply = match heard {
            Heard::Question(reply) => {
                state.held.questions += 1;
                reply
            }
            Heard::Echo(reply) => {
                state.held.echoes += 1;
                state.echo = Some(Instant::now());
                reply
            }
            Heard::Ping(reply) => reply,
            Heard::Stranger(claim) => {
                let reply = self.on_stranger(&mut state, claim, frame);
                let Some(reply) = reply else { return };
                reply
            }
        };
        if claimed && self.send(&mut state, &reply) && self.identity.answer(frame).is_some() {
            state.held.answered += 1;
        }
    }

    /// Whoever already uses the address ends the trial; whoever asks for it while it is claimed is
    /// told that it is taken.
    fn on_stranger(&self, state: &mut State, claim: Claim, frame: &[u8]) -> Option<Vec<u8>> {
        let (phase, mac) = (&state.held.phase, claim.mac());
        let uses = matches!(claim, Claim::Uses(_));
        match phase {
            Phase::Asking => state.begin(Phase::InUse(Station(mac))),
            Phase::Ready | Phase::Claimed if uses => state.begin(Phase::InUse(Station(mac))),
            Phase::Claimed => return self.identity.answer(frame),
            Phase::Ready | Phase::Silent | Phase::InUse(_) => {}
        }
        None
    }
}

impl State {
    fn begin(&mut self, phase: Phase) {
        self.held = counted(phase, self.held.mac);
        self.echo = None;
        self.since = Instant::now();
        self.number = 0;
    }

    fn failed(&mut self, error: &PacketError) {
        self.held.failed += 1;
        self.held.failure = Some(error.to_string());
    }
}

fn counted(phase: Phase, mac: Station) -> Held {
    Held {
        phase,
        mac,
        announced: 0,
        failed: 0,
        failure: None,
        questions: 0,
        answered: 0,
        echoes: 0,
        echo: None,
    }
}

/// When the question of that number is due, counted from the first; after the last, when the
/// address is taken for free.
fn asking(number: u32) -> Span {
    let probing = Probing::first();
    if number < probing.count {
        return probing.interval.times(number.into());
    }
    probing.interval.times(u64::from(probing.count.saturating_sub(1))) + probing.wait
}

fn join(address: Ipv6Addr, index: u32) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    socket.join_multicast_v6(&neighbor::solicited_node(address), index)?;
    Ok(socket)
}

/// A length of the clock's as a span of ours.
pub(super) fn span(length: Duration) -> Span {
    Span::from_micros(u64::try_from(length.as_micros()).unwrap_or(u64::MAX))
}
