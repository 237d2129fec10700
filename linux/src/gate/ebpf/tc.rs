//! Traffic control: the filters on a device that run a program for each packet.
//!
//! A filter of kind `bpf` in a `clsact` qdisc, asked for by netlink: numbers and layouts are those
//! of the kernel's `linux/rtnetlink.h`, `linux/pkt_sched.h` and `linux/pkt_cls.h`. Ours are found
//! by their name, so any number of instances and strangers may share a device.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::program::Direction;
use crate::gate::GateError;
use crate::gate::wire::{
    Attrs, Changes, Channel, FLAG_ACK, FLAG_DUMP, Protocol, Refusal, attributes, text,
};

const GET_LINK: u16 = 18;
const NEW_QDISC: u16 = 36;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
const GET_FILTER: u16 = 46;
const CREATE: u16 = 0x400;
/// The group that is told of every change to traffic control.
const CHANGES: u32 = 1 << 3;
/// What stands for a device where filters hang on a block of several (`TCM_IFINDEX_MAGIC_BLOCK`).
const SHARED_BLOCK: u32 = u32::MAX;
/// `struct tcmsg`.
const HEADER: usize = 20;
/// `struct ifinfomsg`.
const LINK_HEADER: usize = 16;

const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const BPF_FD: u16 = 6;
const BPF_NAME: u16 = 7;
const BPF_FLAGS: u16 = 8;
const BPF_FLAGS_GENERAL: u16 = 9;
const BPF_ID: u16 = 11;
/// The program's result is the verdict.
const DIRECT: u32 = 1;
/// Not for the network card: the deadline is in this machine's memory.
const SKIP_HARDWARE: u32 = 1;

/// `TC_H_CLSACT`.
const CLSACT: u32 = 0xffff_fff1;
/// The first of all priorities, whatever the protocol (`ETH_P_ALL`).
const FIRST: u32 = 1 << 16 | (3u16.to_be() as u32);

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::In, Self::Out];

    fn parent(self) -> u32 {
        match self {
            Self::In => 0xffff_fff2,
            Self::Out => 0xffff_fff3,
        }
    }
}

/// One of our filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    handle: u32,
    place: u32,
    /// The number of the program that it runs.
    pub(super) program: u32,
}

fn header(index: u32, handle: u32, parent: u32, place: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for word in [index, handle, parent, place] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The filter in an answer, if it is on this device and side, and ours.
fn ours(answer: &[u8], name: &str, index: u32, parent: u32) -> Option<Filter> {
    if (word(answer, 4), word(answer, 12)) != (Some(index), Some(parent)) {
        return None;
    }
    let (handle, place) = (word(answer, 8)?, word(answer, 16)?);
    let inside = |bytes, wanted| attributes(bytes).find(|(kind, _)| *kind == wanted);
    let (_, options) = inside(answer.get(HEADER..)?, OPTIONS)?;
    let (_, named) = inside(options, BPF_NAME)?;
    let (_, program) = inside(options, BPF_ID)?;
    (text(named) == name).then_some(Filter { handle, place, program: word(program, 0)? })
}

/// Traffic control of the network namespace in which it was opened.
pub(super) struct Tc {
    channel: Channel,
    changes: Changes,
}

impl Tc {
    pub(super) fn open() -> io::Result<Self> {
        let changes = Changes::of(Protocol::Route, CHANGES)?;
        Ok(Self { channel: Channel::open(Protocol::Route)?, changes })
    }

    /// The devices of which anything was changed since this was last asked, by us or by others;
    /// nothing if it may have been any.
    pub(super) fn changed(&self) -> Option<BTreeSet<u32>> {
        let mut devices = BTreeSet::new();
        let mut known = true;
        let whole = self.changes.take(|body| match word(body, 4) {
            Some(index) if index != SHARED_BLOCK => drop(devices.insert(index)),
            Some(_) | None => known = false,
        });
        (whole && known).then_some(devices)
    }

    /// Whether a device is there.
    pub(super) fn exists(&mut self, index: u32) -> Result<bool, GateError> {
        let mut body = vec![0; LINK_HEADER];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        match self.channel.exchange("look for a device", (GET_LINK, FLAG_ACK), &body) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is(libc::ENODEV) => Ok(false),
            Err(refusal) => Err(as_error(refusal)),
        }
    }

    /// The numbers of all devices.
    pub(super) fn devices(&mut self) -> Result<Vec<u32>, GateError> {
        let step = "list the devices";
        let answers = self.channel.exchange(step, (GET_LINK, FLAG_DUMP), &[0; LINK_HEADER]);
        Ok(answers.map_err(as_error)?.iter().filter_map(|answer| word(answer, 4)).collect())
    }

    /// Our filters on one side of a device.
    pub(super) fn filters(
        &mut self,
        name: &str,
        index: u32,
        side: Direction,
    ) -> Result<Vec<Filter>, GateError> {
        let parent = side.parent();
        let body = header(index, 0, parent, 0);
        let answers = self.channel.exchange("list filters", (GET_FILTER, FLAG_DUMP), &body);
        match answers {
            Ok(answers) => {
                let found = answers.iter().filter_map(|answer| ours(answer, name, index, parent));
                Ok(found.collect())
            }
            // A kernel without traffic control, or a device that has just gone.
            Err(refusal) if refusal.is(libc::EOPNOTSUPP) || refusal.is(libc::ENODEV) => {
                Ok(Vec::new())
            }
            Err(refusal) => Err(as_error(refusal)),
        }
    }

    /// Runs a program for every packet on one side of a device, in place of the one of this name
    /// that is there. The kernel replaces it between two packets.
    pub(super) fn hook(
        &mut self,
        name: &str,
        index: u32,
        side: Direction,
        program: BorrowedFd<'_>,
    ) -> Result<(), GateError> {
        let mut body = header(index, CLSACT & 0xffff_0000, CLSACT, 0);
        body.extend(Attrs::new().text(KIND, "clsact").into_bytes());
        // Changes nothing where it is there already. A qdisc of kind `ingress` in its place is
        // refused here, and must be: it would take the filter for outgoing packets as well.
        let step = "prepare a device for filters";
        self.channel.exchange(step, (NEW_QDISC, FLAG_ACK | CREATE), &body).map_err(as_error)?;
        let known = self.filters(name, index, side)?;
        // The kernel numbers a new one itself.
        let (handle, place) = known.first().map_or((0, FIRST), |it| (it.handle, it.place));
        let options = Attrs::new()
            .native32(BPF_FD, program.as_raw_fd().cast_unsigned())
            .text(BPF_NAME, name)
            .native32(BPF_FLAGS, DIRECT)
            .native32(BPF_FLAGS_GENERAL, SKIP_HARDWARE);
        let mut body = header(index, handle, side.parent(), place);
        body.extend(Attrs::new().text(KIND, "bpf").nest(OPTIONS, &options).into_bytes());
        let done = self.channel.exchange("add a filter", (NEW_FILTER, FLAG_ACK | CREATE), &body);
        done.map(drop).map_err(as_error)
    }

    /// Takes our filters away from both sides of a device; says whether there were any.
    pub(super) fn unhook(&mut self, name: &str, index: u32) -> Result<bool, GateError> {
        let mut any = false;
        for side in Direction::BOTH {
            for filter in self.filters(name, index, side)? {
                any = true;
                let mut body = header(index, filter.handle, side.parent(), filter.place);
                body.extend(Attrs::new().text(KIND, "bpf").into_bytes());
                match self.channel.exchange("remove a filter", (DELETE_FILTER, FLAG_ACK), &body) {
                    Err(refusal) if !refusal.is(libc::ENOENT) && !refusal.is(libc::ENODEV) => {
                        return Err(as_error(refusal));
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        }
        Ok(any)
    }
}

fn as_error(refusal: Refusal) -> GateError {
    let Refusal { step, detail, source } = refusal;
    GateError::Ebpf { step, detail, source }
}
