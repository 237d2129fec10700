//! Netlink messages of both forms: attributes, requests and their answers, one atomic batch.
//!
//! Layout and numbers are those of the kernel's `linux/netlink.h`, `linux/netfilter/nfnetlink.h`
//! and `linux/netfilter/nf_tables.h`. The kernel handles a batch inside `sendmsg`, so all its
//! answers lie in the socket's buffer when the call returns; reading never waits.

use std::io;

use netlink_sys::{Socket, SocketAddr};

/// Whom a channel speaks with.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    /// Devices and their traffic control.
    Route = 0,
    /// nftables.
    Netfilter = 12,
}

const SUBSYSTEM: u16 = 10;
const FAMILY_NETDEV: u8 = 5;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const FLAG_REQUEST: u16 = 1;
pub(super) const FLAG_ACK: u16 = 4;
pub(super) const FLAG_DUMP: u16 = 0x300;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_ATTRIBUTES: u16 = 0x200;
const ACK_TEXT: u16 = 1;
const NESTED: u16 = 0x8000;
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// The step after which it is unknown whether the batch was applied.
pub(super) const ANSWER: &str = "read the kernel's answer";
/// No acknowledgement and no part of a dump is longer (the kernel caps both well below).
const RECEIVE_BYTES: usize = 64 * 1024;

/// Attributes under construction (type, length, value; padded to four bytes).
#[derive(Clone, Default)]
pub(super) struct Attrs(Vec<u8>);

impl Attrs {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // The callers cut lists into chunks far below this limit.
        let length = u16::try_from(value.len() + 4).expect("a netlink attribute below 64 KiB");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(super) fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn native32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    pub(super) fn be64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn nest(self, kind: u16, inside: &Self) -> Self {
        self.bytes(kind | NESTED, &inside.0)
    }
}

/// The attributes in `bytes`, as (type, value); what is malformed ends the walk.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The text of a string attribute, without its closing zero.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Changes that the kernel makes all together or not at all.
#[derive(Default)]
pub(super) struct Batch {
    messages: Vec<(u16, u16, Attrs)>,
    steps: Vec<&'static str>,
}

impl Batch {
    pub(super) fn push(&mut self, step: &'static str, kind: u16, flags: u16, attrs: Attrs) {
        self.messages.push((kind, flags, attrs));
        self.steps.push(step);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn encode(&self, first: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        message(&mut bytes, BATCH_BEGIN, FLAG_REQUEST, first, SUBSYSTEM, 0, &[]);
        let mut sequence = first;
        for (at, (kind, flags, attrs)) in self.messages.iter().enumerate() {
            sequence = sequence.wrapping_add(1);
            let ack = if at + 1 == self.messages.len() { FLAG_ACK } else { 0 };
            let kind = (SUBSYSTEM << 8) | kind;
            let flags = FLAG_REQUEST | flags | ack;
            message(&mut bytes, kind, flags, sequence, 0, FAMILY_NETDEV, &attrs.0);
        }
        let sequence = sequence.wrapping_add(1);
        message(&mut bytes, BATCH_END, FLAG_REQUEST, sequence, SUBSYSTEM, 0, &[]);
        bytes
    }
}

fn message(out: &mut Vec<u8>, kind: u16, flags: u16, seq: u32, res: u16, family: u8, body: &[u8]) {
    header(out, kind, flags, seq, FAMILY_HEADER + body.len());
    out.extend_from_slice(&[family, 0]);
    out.extend_from_slice(&res.to_be_bytes());
    out.extend_from_slice(body);
}

fn header(out: &mut Vec<u8>, kind: u16, flags: u16, seq: u32, body: usize) {
    let length = u32::try_from(HEADER + body).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&seq.to_ne_bytes());
    out.extend_from_slice(&0u32.to_ne_bytes());
}

/// Why the kernel refused a request. A refused batch changed nothing.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) step: &'static str,
    pub(super) detail: String,
    pub(super) source: io::Error,
}

impl Refusal {
    fn new(step: &'static str, source: io::Error) -> Self {
        Self { step, detail: String::new(), source }
    }

    pub(super) fn is(&self, errno: i32) -> bool {
        self.source.raw_os_error() == Some(errno)
    }
}

/// A netlink socket to the kernel's part for the network namespace it was opened in.
pub(super) struct Channel {
    socket: Socket,
    sequence: u32,
}

impl Channel {
    pub(super) fn open(protocol: Protocol) -> io::Result<Self> {
        let mut socket = Socket::new(protocol as isize)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Both only make answers better or shorter; kernels before 4.12 do without.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self { socket, sequence: 1 })
    }

    /// Hands one batch to the kernel in one system call and reads what it says.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), Refusal> {
        if batch.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(batch.messages.len()).unwrap_or(u32::MAX);
        let first = self.sequence;
        self.sequence = first.wrapping_add(count).wrapping_add(2);
        self.drain();
        self.send(&batch.encode(first)).map_err(|error| Refusal::new("send the batch", error))?;
        let mut acknowledged = false;
        let mut refusal = None;
        while let Some(bytes) = self.receive().map_err(|error| Refusal::new(ANSWER, error))? {
            for answer in messages(&bytes) {
                let at = answer.sequence.wrapping_sub(first);
                if answer.kind != NLMSG_ERROR || at > count {
                    continue;
                }
                let (code, detail) = answer.error();
                if code == 0 {
                    acknowledged |= at == count;
                } else if refusal.is_none() {
                    let step = at.checked_sub(1).and_then(|at| batch.steps.get(at as usize));
                    refusal = Some(Refusal {
                        step: step.copied().unwrap_or("commit the batch"),
                        detail,
                        source: io::Error::from_raw_os_error(code),
                    });
                }
            }
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None if acknowledged => Ok(()),
            None => Err(Refusal::new(
                ANSWER,
                io::Error::new(io::ErrorKind::UnexpectedEof, "the batch was not acknowledged"),
            )),
        }
    }

    /// Asks for everything of one kind (`dump`) or for one object, and returns the attributes of
    /// each answer.
    pub(super) fn query(
        &mut self,
        step: &'static str,
        kind: u16,
        dump: bool,
        attrs: &Attrs,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let flags = if dump { FLAG_DUMP } else { FLAG_ACK };
        let mut body = vec![FAMILY_NETDEV, 0, 0, 0];
        body.extend_from_slice(&attrs.0);
        let mut found = self.exchange(step, ((SUBSYSTEM << 8) | kind, flags), &body)?;
        found.iter_mut().for_each(|answer| drop(answer.drain(..FAMILY_HEADER.min(answer.len()))));
        Ok(found)
    }

    /// Sends one request of a kind with flags, and returns the bodies of its answers.
    pub(super) fn exchange(
        &mut self,
        step: &'static str,
        (kind, flags): (u16, u16),
        body: &[u8],
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        header(&mut bytes, kind, FLAG_REQUEST | flags, sequence, body.len());
        bytes.extend_from_slice(body);
        self.drain();
        self.send(&bytes).map_err(|error| Refusal::new(step, error))?;
        let mut found = Vec::new();
        while let Some(bytes) = self.receive().map_err(|error| Refusal::new(step, error))? {
            for answer in messages(&bytes).filter(|answer| answer.sequence == sequence) {
                match answer.kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => {
                        let (code, detail) = answer.error();
                        if code == 0 {
                            return Ok(found);
                        }
                        let source = io::Error::from_raw_os_error(code);
                        return Err(Refusal { step, detail, source });
                    }
                    _ => found.push(answer.body.to_vec()),
                }
            }
        }
        Err(Refusal::new(
            step,
            io::Error::new(io::ErrorKind::UnexpectedEof, "the answer has no end"),
        ))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(bytes, 0) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// One datagram, if there is one.
    fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut bytes = Vec::with_capacity(RECEIVE_BYTES);
            match self.socket.recv(&mut bytes, libc::MSG_DONTWAIT) {
                Ok(_) => return Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Throws away what an earlier, failed exchange may have left behind.
    fn drain(&self) {
        // Bounded: a socket error other than "nothing there" is told once, then cleared.
        for _ in 0..64 {
            if let Ok(None) = self.receive() {
                return;
            }
        }
    }
}

/// What the kernel tells unasked of changes by anybody.
pub(super) struct Changes(Socket);

impl Changes {
    /// Changes that are told to these groups.
    pub(super) fn of(protocol: Protocol, groups: u32) -> io::Result<Self> {
        let mut socket = Socket::new(protocol as isize)?;
        socket.bind(&SocketAddr::new(0, groups))?;
        Ok(Self(socket))
    }

    /// Takes all that was told since it was last asked. `false`: something was lost, so anything
    /// may have changed. Never waits.
    pub(super) fn take(&self, mut each: impl FnMut(&[u8])) -> bool {
        let mut buffer = [0; 8_192];
        let mut whole = true;
        loop {
            match self.0.recv(&mut &mut buffer[..], libc::MSG_DONTWAIT) {
                Ok(length) => {
                    whole &= length < buffer.len();
                    let told = &buffer[..length.min(buffer.len())];
                    messages(told).for_each(|answer| each(answer.body));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return whole,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => whole = false,
            }
        }
    }
}

struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Answer<'_> {
    /// The error number (0: acknowledged) and the kernel's words, if it gave any.
    fn error(&self) -> (i32, String) {
        let number = |at: usize| -> Option<[u8; 4]> { self.body.get(at..at + 4)?.try_into().ok() };
        let code =
            number(0).map_or(libc::EBADMSG, |bytes| i32::from_ne_bytes(bytes).saturating_neg());
        if self.flags & FLAG_ACK_ATTRIBUTES == 0 {
            return (code, String::new());
        }
        // After the code comes the request: its header alone where capped, else all of it.
        let request = match number(4) {
            Some(length) if self.flags & FLAG_CAPPED == 0 => u32::from_ne_bytes(length) as usize,
            Some(_) | None => HEADER,
        };
        let rest = self.body.get(4 + request.next_multiple_of(4)..).unwrap_or(&[]);
        let words = attributes(rest).find(|(kind, _)| *kind == ACK_TEXT);
        (code, words.map(|(_, value)| text(value)).unwrap_or_default())
    }
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let four = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
        let length = usize::try_from(u32::from_ne_bytes(four(0)?)).ok()?;
        let [kind_low, kind_high, flags_low, flags_high] = four(4)?;
        let answer = Answer {
            kind: u16::from_ne_bytes([kind_low, kind_high]),
            flags: u16::from_ne_bytes([flags_low, flags_high]),
            sequence: u32::from_ne_bytes(four(8)?),
            body: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(answer)
    })
}

/// Reads all answers of a datagram as [`Channel`] does, and says how many there are.
#[cfg(test)]
pub(super) fn read_answers(bytes: &[u8]) -> usize {
    let read = messages(bytes).map(|answer| answer.error());
    read.filter(|(code, words)| *code >= 0 || !words.is_empty()).count()
}
