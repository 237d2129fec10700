//! An assembler for the kernel's virtual machine: instructions, labels, and the jumps between them.
//!
//! As much of the instruction set (`Documentation/bpf/standardization/instruction-set.rst`) as the
//! gate's programs need. What it is given is our own text, so a jump to nowhere is a bug and stops
//! the process; the kernel's verifier judges the rest.

use std::os::fd::{AsRawFd, BorrowedFd};

/// One of the machine's eleven registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reg {
    /// The result of a call, and the program's.
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    /// The first of those that outlive a call.
    R6,
    R7,
    R8,
    R9,
    /// The end of the stack, read only.
    Stack,
}

/// How much a load or a store moves.
#[derive(Clone, Copy)]
pub(super) enum Size {
    Word = 0x00,
    Byte = 0x10,
    Double = 0x18,
}

/// When a jump is taken; numbers compare without a sign.
#[derive(Clone, Copy)]
pub(super) enum When {
    Equal = 0x10,
    Above = 0x20,
    NotEqual = 0x50,
    Below = 0xa0,
}

/// What a jump or an operation takes as its second side.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Number(i32),
    Of(Reg),
}

/// A place that can be jumped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A function of the kernel (`BPF_FUNC_*`).
#[derive(Clone, Copy)]
pub(super) enum Helper {
    MapLookup = 1,
    SkbPullData = 39,
    SkbLoadBytesRelative = 68,
    KtimeGetBootNs = 125,
}

/// One instruction as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD: u8 = 0x61;
const STORE_NUMBER: u8 = 0x62;
const STORE: u8 = 0x63;
const ATOMIC_ADD: u8 = 0xdb;
const LOAD_MAP: u8 = 0x18;
const MOVE: u8 = 0xb7;
const ADD: u8 = 0x07;
const SHIFT_LEFT: u8 = 0x67;
const AND: u8 = 0x57;
const JUMP: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// The second side is a register.
const BY_REGISTER: u8 = 0x08;

/// A program in the making.
#[derive(Default)]
pub(super) struct Asm {
    code: Vec<Instruction>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Asm {
    fn push(&mut self, code: u8, to: Reg, from: Reg, offset: i16, immediate: i32) {
        let (to, from) = (to as u8, from as u8);
        let registers =
            if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
        self.code.push(Instruction { code, registers, offset, immediate });
    }

    fn operate(&mut self, code: u8, to: Reg, value: Value, offset: i16) {
        match value {
            Value::Number(number) => self.push(code, to, Reg::R0, offset, number),
            Value::Of(from) => self.push(code | BY_REGISTER, to, from, offset, 0),
        }
    }

    pub(super) fn set(&mut self, to: Reg, value: Value) {
        self.operate(MOVE, to, value, 0);
    }

    pub(super) fn add(&mut self, to: Reg, value: Value) {
        self.operate(ADD, to, value, 0);
    }

    pub(super) fn shift_left(&mut self, to: Reg, bits: i32) {
        self.operate(SHIFT_LEFT, to, Value::Number(bits), 0);
    }

    pub(super) fn and(&mut self, to: Reg, mask: i32) {
        self.operate(AND, to, Value::Number(mask), 0);
    }

    /// Loads from memory at `from + offset`.
    pub(super) fn load(&mut self, size: Size, to: Reg, from: Reg, offset: i16) {
        self.push(LOAD | size as u8, to, from, offset, 0);
    }

    /// Stores to memory at `to + offset`.
    pub(super) fn store(&mut self, size: Size, to: Reg, offset: i16, value: Value) {
        match value {
            Value::Number(number) => {
                self.push(STORE_NUMBER | size as u8, to, Reg::R0, offset, number);
            }
            Value::Of(from) => self.push(STORE | size as u8, to, from, offset, 0),
        }
    }

    /// Adds a register to the eight bytes at `to + offset`, atomically.
    pub(super) fn atomic_add(&mut self, to: Reg, offset: i16, from: Reg) {
        self.push(ATOMIC_ADD, to, from, offset, 0);
    }

    /// Loads the address of a map.
    pub(super) fn map(&mut self, to: Reg, map: BorrowedFd<'_>) {
        // BPF_PSEUDO_MAP_FD stands where the source register would.
        self.push(LOAD_MAP, to, Reg::R1, 0, map.as_raw_fd());
        self.code.push(Instruction { code: 0, registers: 0, offset: 0, immediate: 0 });
    }

    pub(super) fn call(&mut self, helper: Helper) {
        self.push(CALL, Reg::R0, Reg::R0, 0, helper as i32);
    }

    /// Ends the program with what is in the first register.
    pub(super) fn exit(&mut self) {
        self.push(EXIT, Reg::R0, Reg::R0, 0, 0);
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Says that a label is here.
    pub(super) fn place(&mut self, label: Label) {
        assert!(self.labels[label.0].is_none(), "a label has one place");
        self.labels[label.0] = Some(self.code.len());
    }

    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(JUMP, Reg::R0, Reg::R0, 0, 0);
    }

    pub(super) fn jump_if(&mut self, left: Reg, when: When, right: Value, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.operate(JUMP | when as u8, left, right, 0);
    }

    /// The program, its jumps resolved.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in self.jumps {
            let to = self.labels[label.0].expect("every label of a program has its place");
            let distance = to as i64 - at as i64 - 1;
            self.code[at].offset = distance.try_into().expect("our programs are short");
        }
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(instruction: Instruction) -> (u8, u8, i16, i32) {
        let Instruction { code, registers, offset, immediate } = instruction;
        (code, registers, offset, immediate)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_are_those_of_the_kernel_s_own_list() {
        let mut asm = Asm::default();
        asm.set(Reg::R1, Value::Of(Reg::R6)); // r1 = r6
        asm.set(Reg::R2, Value::Number(-5)); // r2 = -5
        asm.load(Size::Double, Reg::R7, Reg::R0, 8); // r7 = *(u64 *)(r0 + 8)
        asm.load(Size::Byte, Reg::R7, Reg::Stack, -4); // r7 = *(u8 *)(r10 - 4)
        asm.store(Size::Word, Reg::Stack, -8, Value::Number(6)); // *(u32 *)(r10 - 8) = 6
        asm.store(Size::Word, Reg::Stack, -8, Value::Of(Reg::R3)); // *(u32 *)(r10 - 8) = r3
        asm.call(Helper::KtimeGetBootNs);
        asm.exit();
        let code: Vec<_> = asm.finish().into_iter().map(encoded).collect();
        let wanted = [
            (0xbf, 0x61, 0, 0),
            (0xb7, 0x02, 0, -5),
            (0x79, 0x07, 8, 0),
            (0x71, 0xa7, -4, 0),
            (0x62, 0x0a, -8, 6),
            (0x63, 0x3a, -8, 0),
            (0x85, 0x00, 0, 125),
            (0x95, 0x00, 0, 0),
        ];
        assert_eq!(code, wanted);
    }

    #[test]
    fn jumps_lead_forwards_and_back() {
        let mut asm = Asm::default();
        let (again, out) = (asm.label(), asm.label());
        asm.place(again);
        asm.jump_if(Reg::R1, When::Equal, Value::Number(3), out);
        asm.add(Reg::R1, Value::Number(1));
        asm.jump(again);
        asm.place(out);
        asm.exit();
        let offsets: Vec<_> = asm.finish().into_iter().map(|it| encoded(it).2).collect();
        assert_eq!(offsets, [2, 0, -3, 0]);
    }

    #[test]
    #[should_panic(expected = "every label of a program has its place")]
    fn a_jump_to_nowhere_is_a_bug() {
        let mut asm = Asm::default();
        let nowhere = asm.label();
        asm.jump(nowhere);
        asm.finish();
    }
}
