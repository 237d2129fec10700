//! What the kernel does with each packet: the gate's programs, and a small one that tells time.

use std::os::fd::BorrowedFd;

use super::asm::{Asm, Helper, Instruction, Label, Reg, Size, Value, When};
use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Stack};
use Value::{Number, Of};

/// Lets others judge on (`TC_ACT_UNSPEC`).
pub(super) const PASS: i32 = -1;
/// Drops the packet (`TC_ACT_SHOT`).
pub(super) const DROP: i32 = 2;

/// The slot that counts the packets which were dropped.
pub(super) const DROPS: u32 = 0;
/// The slot into which [`clock`] writes.
pub(super) const CLOCK: u32 = 1;

/// What stands before the address in a key: which family it is of.
pub(super) const V4: i32 = 4;
pub(super) const V6: i32 = 6;
/// The length of a key: the family in four bytes, the address in sixteen (rest zero).
pub(super) const KEY: usize = 20;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// The two maps: from key to slot, from slot to deadline (nanoseconds of `CLOCK_BOOTTIME`).
#[derive(Clone, Copy)]
pub(super) struct Maps<'a> {
    pub(super) addresses: BorrowedFd<'a>,
    pub(super) slots: BorrowedFd<'a>,
}

const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: i32 = 58;
const NEIGHBOR_SOLICITATION: i32 = 135;
const NEIGHBOR_ADVERTISEMENT: i32 = 136;
const IPV6_HEADER: i32 = 40;
const HOP_BY_HOP: i32 = 0;
const ROUTING: i32 = 43;
const FRAGMENT: i32 = 44;
const AUTHENTICATION: i32 = 51;
const DESTINATION: i32 = 60;
/// The offset bits of the last two bytes that are loaded of a fragment header.
const FRAGMENT_OFFSET: [i32; 2] = [0xff, 0xf8];
/// Extension headers that are looked behind. No packet of a working network has half as many.
const EXTENSIONS: i32 = 16;

// struct __sk_buff
const SKB_LEN: i16 = 0;
const SKB_PROTOCOL: i16 = 16;
/// `BPF_HDR_START_NET`: offsets count from the network header, behind any tag.
const FROM_NETWORK_HEADER: i32 = 1;
/// How much of a packet is gathered when what is asked for lies in fragments.
const GATHERED: i32 = 256;

// The stack, from its end: a key, then bytes of a header, then a slot's number. A number that is
// stored where eight bytes begin counts as spilled there, and without CAP_PERFMON kernels before
// 6.13 refuse a helper that writes into the same eight. So none is.
const KEY_AT: i16 = -28;
const ADDRESS_AT: i16 = -24;
const BYTES_AT: i16 = -32;
const SLOT_AT: i16 = -36;

/// The gate for one direction.
///
/// Coming in, an ARP packet whose *sender* is managed passes even though its target is: it is the
/// present holder's announcement (both fields name the address), and this node's neighbour table
/// must learn it. If it was a question after all, the answer is dropped on the way out. Going out,
/// questions about a managed address pass (probes, or this node as a client).
pub(super) fn gate(direction: Direction, maps: Maps<'_>) -> Vec<Instruction> {
    judge(direction, Gate::new(maps))
}

/// The gate for what goes out of a strict device: what an open address sends passes, and nothing
/// else, of whatever protocol.
pub(super) fn strict_gate(maps: Maps<'_>) -> Vec<Instruction> {
    let mut gate = Gate::new(maps);
    (gate.stranger, gate.lacking) = (Stranger::Drops, gate.drop);
    judge(Direction::Out, gate)
}

fn judge(direction: Direction, mut gate: Gate<'_>) -> Vec<Instruction> {
    let (arp, v4, v6) = (gate.asm.label(), gate.asm.label(), gate.asm.label());
    let asm = &mut gate.asm;
    asm.set(R6, Of(R1));
    asm.load(Size::Word, R7, R6, SKB_PROTOCOL);
    for (protocol, label) in [(ARP, arp), (IPV4, v4), (IPV6, v6)] {
        let protocol = i32::from(u16::from_ne_bytes(protocol));
        asm.jump_if(R7, When::Equal, Number(protocol), label);
    }
    gate.asm.jump(gate.lacking);

    gate.asm.place(arp);
    gate.load_v4(14);
    if direction == Direction::In {
        gate.look_up();
        gate.asm.jump_if(R0, When::NotEqual, Number(0), gate.pass);
        gate.load_v4(24);
    }
    gate.asm.jump(gate.judge);

    gate.asm.place(v4);
    gate.load_v4(if direction == Direction::In { 16 } else { 12 });
    gate.asm.jump(gate.judge);

    gate.asm.place(v6);
    gate.asm.store(Size::Word, Stack, KEY_AT, Number(V6));
    gate.load(Number(if direction == Direction::In { 24 } else { 8 }), ADDRESS_AT, 16);
    let allowed = gate.asm.label();
    gate.drop_if_shut(allowed);
    gate.asm.place(allowed);
    // Whose packet it is has been judged: what it lacks now is no claim.
    gate.lacking = gate.pass;
    gate.find_icmp();
    // From here on the eighth register says where the message begins.
    gate.load(Of(R8), BYTES_AT, 1);
    gate.asm.load(Size::Byte, R7, Stack, BYTES_AT);
    let kind = match direction {
        Direction::In => NEIGHBOR_SOLICITATION,
        Direction::Out => NEIGHBOR_ADVERTISEMENT,
    };
    gate.asm.jump_if(R7, When::NotEqual, Number(kind), gate.pass);
    gate.asm.add(R8, Number(8));
    gate.load(Of(R8), ADDRESS_AT, 16);

    gate.asm.place(gate.judge);
    gate.drop_if_shut(gate.pass);
    gate.finish()
}

/// Writes the kernel's time into [`CLOCK`]'s slot.
pub(super) fn clock(slots: BorrowedFd<'_>) -> Vec<Instruction> {
    let mut asm = Asm::default();
    let out = asm.label();
    asm.call(Helper::KtimeGetBootNs);
    asm.set(R6, Of(R0));
    asm.store(Size::Word, Stack, SLOT_AT, Number(CLOCK as i32));
    look_up(&mut asm, slots, SLOT_AT);
    asm.jump_if(R0, When::Equal, Number(0), out);
    asm.store(Size::Double, R0, 0, Of(R6));
    asm.place(out);
    asm.set(R0, Number(0));
    asm.exit();
    asm.finish()
}

fn look_up(asm: &mut Asm, map: BorrowedFd<'_>, key: i16) {
    asm.map(R1, map);
    asm.set(R2, Of(Stack));
    asm.add(R2, Number(i32::from(key)));
    asm.call(Helper::MapLookup);
}

/// What becomes of an address that is not managed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stranger {
    Passes,
    Drops,
}

/// The program in the making, and the places all its ways lead to.
struct Gate<'a> {
    asm: Asm,
    maps: Maps<'a>,
    stranger: Stranger,
    pass: Label,
    drop: Label,
    /// For a packet that has not got what is asked for: elsewhere it passes, since nobody can
    /// answer it and it claims nothing.
    lacking: Label,
    /// Judges by the key on the stack.
    judge: Label,
}

impl<'a> Gate<'a> {
    fn new(maps: Maps<'a>) -> Self {
        let mut asm = Asm::default();
        let (pass, drop, judge) = (asm.label(), asm.label(), asm.label());
        Self { asm, maps, stranger: Stranger::Passes, pass, drop, lacking: pass, judge }
    }

    /// Loads bytes of the packet onto the stack.
    fn load(&mut self, offset: Value, to: i16, length: i32) {
        let (there, whole) = (self.asm.label(), self.asm.label());
        self.load_once(offset, to, length);
        let asm = &mut self.asm;
        asm.jump_if(R0, When::Equal, Number(0), there);
        // The helper reads the linear part alone. So gather what lies in fragments, and try again.
        asm.set(R1, Of(R6));
        asm.load(Size::Word, R2, R6, SKB_LEN);
        asm.jump_if(R2, When::Below, Number(GATHERED), whole);
        asm.set(R2, Number(GATHERED));
        asm.place(whole);
        asm.call(Helper::SkbPullData);
        self.load_once(offset, to, length);
        self.asm.jump_if(R0, When::NotEqual, Number(0), self.lacking);
        self.asm.place(there);
    }

    fn load_once(&mut self, offset: Value, to: i16, length: i32) {
        let asm = &mut self.asm;
        asm.set(R1, Of(R6));
        asm.set(R2, offset);
        asm.set(R3, Of(Stack));
        asm.add(R3, Number(i32::from(to)));
        asm.set(R4, Number(length));
        asm.set(R5, Number(FROM_NETWORK_HEADER));
        asm.call(Helper::SkbLoadBytesRelative);
    }

    /// Makes a key of the IPv4 address at this offset.
    fn load_v4(&mut self, offset: i32) {
        self.asm.store(Size::Word, Stack, KEY_AT, Number(V4));
        for rest in [4, 8, 12] {
            self.asm.store(Size::Word, Stack, ADDRESS_AT + rest, Number(0));
        }
        self.load(Number(offset), ADDRESS_AT, 4);
    }

    /// Looks the key up: its slot, or nothing.
    fn look_up(&mut self) {
        look_up(&mut self.asm, self.maps.addresses, KEY_AT);
    }

    /// Goes on at `otherwise` unless the key is managed and its deadline has passed, or it is not
    /// managed and strangers are dropped.
    fn drop_if_shut(&mut self, otherwise: Label) {
        self.look_up();
        let unmanaged = match self.stranger {
            Stranger::Passes => otherwise,
            Stranger::Drops => self.drop,
        };
        let asm = &mut self.asm;
        asm.jump_if(R0, When::Equal, Number(0), unmanaged);
        asm.load(Size::Word, R1, R0, 0);
        asm.store(Size::Word, Stack, SLOT_AT, Of(R1));
        look_up(asm, self.maps.slots, SLOT_AT);
        asm.jump_if(R0, When::Equal, Number(0), self.drop);
        asm.load(Size::Double, R7, R0, 0);
        asm.call(Helper::KtimeGetBootNs);
        asm.jump_if(R7, When::Above, Of(R0), otherwise);
        asm.jump(self.drop);
    }

    /// Walks to the ICMPv6 message, behind extension headers, and leaves its offset in the eighth
    /// register. What has none passes.
    fn find_icmp(&mut self) {
        let labels = [(); 5].map(|()| self.asm.label());
        let [again, found, fragment, authentication, next] = labels;
        self.load(Number(6), BYTES_AT, 1);
        let pass = self.pass;
        let asm = &mut self.asm;
        asm.load(Size::Byte, R7, Stack, BYTES_AT);
        asm.set(R8, Number(IPV6_HEADER));
        asm.set(R9, Number(0));
        asm.place(again);
        asm.jump_if(R7, When::Equal, Number(ICMPV6), found);
        self.load(Of(R8), BYTES_AT, 4);
        let asm = &mut self.asm;
        asm.load(Size::Byte, R1, Stack, BYTES_AT + 1);
        asm.jump_if(R7, When::Equal, Number(FRAGMENT), fragment);
        asm.jump_if(R7, When::Equal, Number(AUTHENTICATION), authentication);
        let usual = asm.label();
        for kind in [HOP_BY_HOP, ROUTING, DESTINATION] {
            asm.jump_if(R7, When::Equal, Number(kind), usual);
        }
        asm.jump(pass);
        asm.place(usual); // (length + 1) * 8
        asm.add(R1, Number(1));
        asm.shift_left(R1, 3);
        asm.jump(next);
        asm.place(authentication); // (length + 2) * 4
        asm.add(R1, Number(2));
        asm.shift_left(R1, 2);
        asm.jump(next);
        asm.place(fragment); // only the first one has the message's beginning
        for (at, mask) in (2..).zip(FRAGMENT_OFFSET) {
            asm.load(Size::Byte, R1, Stack, BYTES_AT + at);
            asm.and(R1, mask);
            asm.jump_if(R1, When::NotEqual, Number(0), pass);
        }
        asm.set(R1, Number(8));
        asm.place(next);
        asm.add(R8, Of(R1));
        asm.load(Size::Byte, R7, Stack, BYTES_AT);
        asm.add(R9, Number(1));
        asm.jump_if(R9, When::Below, Number(EXTENSIONS), again);
        asm.jump(pass);
        asm.place(found);
    }

    fn finish(mut self) -> Vec<Instruction> {
        let asm = &mut self.asm;
        asm.place(self.pass);
        asm.set(R0, Number(PASS));
        asm.exit();
        asm.place(self.drop);
        asm.store(Size::Word, Stack, SLOT_AT, Number(DROPS as i32));
        look_up(asm, self.maps.slots, SLOT_AT);
        let counted = asm.label();
        asm.jump_if(R0, When::Equal, Number(0), counted);
        asm.set(R1, Number(1));
        asm.atomic_add(R0, 0, R1);
        asm.place(counted);
        asm.set(R0, Number(DROP));
        asm.exit();
        self.asm.finish()
    }
}
