//! The system call `bpf(2)`: programs and maps, as far as the gate needs them.
//!
//! Layouts and numbers are those of the kernel's `linux/bpf.h`. Everything made here lives as long
//! as somebody holds it: a descriptor, or a filter in the kernel.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::asm::Instruction;
use crate::gate::GateError;

// enum bpf_cmd
const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE: libc::c_long = 2;
const MAP_DELETE: libc::c_long = 3;
const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const OBJECT_INFO: libc::c_long = 15;

// enum bpf_map_type
const HASH: u32 = 1;
const ARRAY: u32 = 2;
/// `BPF_F_NO_PREALLOC`.
const GROWS: u32 = 1;
/// `BPF_F_MMAPABLE`.
const MAPPABLE: u32 = 1 << 10;
/// `BPF_PROG_TYPE_SCHED_CLS`.
const CLASSIFIER: u32 = 3;

/// The verifier's words, if it says any.
const VERIFIER_LOG: usize = 64 * 1024;
/// As much of them as stands in an error: the end, where the reason is.
const VERIFIER_LINES: usize = 4;
/// The kernel asks which functions a program may call; those of the gate are for everyone.
const LICENSE: &std::ffi::CStr = c"MIT OR Apache-2.0";

fn refused(step: &'static str) -> impl Fn(io::Error) -> GateError {
    move |source| GateError::Ebpf { step, detail: String::new(), source }
}

/// The attributes of one call, as the kernel's `union bpf_attr` has them: 64-bit words.
type Attributes = [u64; 10];

/// Two 32-bit fields that stand one after the other.
fn pair(first: u32, second: u32) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // A valid descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Makes the call.
///
/// # Safety
/// Every address in `attributes` points to memory of the length that the command reads or writes.
unsafe fn call(command: libc::c_long, attributes: &mut Attributes) -> io::Result<i32> {
    let size = size_of::<Attributes>();
    // SAFETY: the attributes are a live, writable array of that size; what they point to is the
    // caller's promise. The kernel refuses what it does not know unless it is zero.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as i32) }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel gave this descriptor to us a moment ago, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A map of the kernel.
pub(super) struct Map(OwnedFd);

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Map {
    fn create(attributes: [u64; 3]) -> Result<Self, GateError> {
        let mut all = Attributes::default();
        all[..3].copy_from_slice(&attributes);
        // SAFETY: the command's attributes hold no addresses.
        let fd = unsafe { call(MAP_CREATE, &mut all) }.map_err(refused("make a map"))?;
        Ok(Self(owned(fd)))
    }

    /// A table from keys of `N` bytes to numbers of slots.
    pub(super) fn hash<const N: usize>(room: u32) -> Result<Self, GateError> {
        Self::create([pair(HASH, length(N)), pair(4, room), pair(GROWS, 0)])
    }

    /// Puts a number under a key, in place of what is there.
    pub(super) fn put<const N: usize>(&self, key: &[u8; N], value: u32) -> Result<(), GateError> {
        let mut all = Attributes::default();
        all[0] = pair(number(self.as_fd()), 0);
        all[1] = key.as_ptr() as u64;
        all[2] = (&raw const value) as u64;
        // SAFETY: key and value live here, as long as the map was made for.
        let done = unsafe { call(MAP_UPDATE, &mut all) };
        done.map(drop).map_err(refused("add an address to a map"))
    }

    /// Removes a key; one that is not there is removed already.
    pub(super) fn delete<const N: usize>(&self, key: &[u8; N]) -> Result<(), GateError> {
        let mut all = Attributes::default();
        all[0] = pair(number(self.as_fd()), 0);
        all[1] = key.as_ptr() as u64;
        // SAFETY: the key lives here, as long as the map was made for.
        match unsafe { call(MAP_DELETE, &mut all) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            done => done.map(drop).map_err(refused("delete an address from a map")),
        }
    }
}

/// An array of 64-bit numbers that the kernel's programs and this process share.
pub(super) struct Slots {
    map: Map,
    mapped: NonNull<AtomicU64>,
    count: u32,
}

// SAFETY: the memory belongs to no thread, and it is only touched atomically.
unsafe impl Send for Slots {}

impl AsFd for Slots {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

impl Slots {
    /// So many zeros.
    pub(super) fn new(count: u32) -> Result<Self, GateError> {
        let map = Map::create([pair(ARRAY, 4), pair(8, count), pair(MAPPABLE, 0)])?;
        let failed = |errno: nix::Error| refused("share a map's memory")(errno.into());
        let bytes = NonZeroUsize::new(count as usize * 8).ok_or_else(|| failed(nix::Error::EINVAL));
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice; nothing else refers to it.
        let mapped = unsafe { mmap(None, bytes?, access, MapFlags::MAP_SHARED, &map, 0) };
        Ok(Self { mapped: mapped.map_err(failed)?.cast(), map, count })
    }

    /// One of them.
    pub(super) fn slot(&self, at: u32) -> &AtomicU64 {
        assert!(at < self.count, "slots are numbered by the gate itself");
        // SAFETY: inside the mapping, which is aligned to a page and lives as long as `self`; the
        // kernel's programs use these eight bytes only as a whole.
        unsafe { self.mapped.add(at as usize).as_ref() }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, of that length; no reference outlives `self`.
        // It can only fail for an address that was never mapped.
        let _ = unsafe { munmap(self.mapped.cast(), self.count as usize * 8) };
    }
}

/// A program that the kernel has taken.
pub(super) struct Program(OwnedFd);

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Program {
    /// Has the verifier judge a classifier, and loads it.
    pub(super) fn load(code: &[Instruction]) -> Result<Self, GateError> {
        let mut all = Attributes::default();
        all[0] = pair(CLASSIFIER, length(code.len()));
        all[1] = code.as_ptr() as u64;
        all[2] = LICENSE.as_ptr() as u64;
        // SAFETY: instructions and licence outlive the call; the first attribute has their number.
        let source = match unsafe { call(PROG_LOAD, &mut all) } {
            Ok(fd) => return Ok(Self(owned(fd))),
            Err(source) => source,
        };
        // Once more for the reasons: asked for at once they could be too long for any room.
        let mut log = vec![0u8; VERIFIER_LOG];
        all[3] = pair(1, length(log.len()));
        all[4] = log.as_mut_ptr() as u64;
        // SAFETY: as above; besides the log, whose length stands beside it.
        match unsafe { call(PROG_LOAD, &mut all) } {
            Ok(fd) => Ok(Self(owned(fd))),
            Err(_) => Err(GateError::Ebpf { step: "load a program", detail: end(&log), source }),
        }
    }

    /// The kernel's number of the program.
    pub(super) fn id(&self) -> Result<u32, GateError> {
        // struct bpf_prog_info begins with type and number.
        let mut info = [0u32; 2];
        let mut all = Attributes::default();
        all[0] = pair(number(self.as_fd()), length(size_of_val(&info)));
        all[1] = info.as_mut_ptr() as u64;
        // SAFETY: the kernel writes no more of its answer than the length that is told.
        unsafe { call(OBJECT_INFO, &mut all) }.map_err(refused("tell of a program"))?;
        Ok(info[1])
    }

    /// Runs the program on a frame that comes from nowhere, and returns its verdict.
    pub(super) fn try_on(&self, frame: &[u8]) -> Result<i32, GateError> {
        let mut all = Attributes::default();
        all[0] = pair(number(self.as_fd()), 0);
        all[1] = pair(length(frame.len()), 0);
        all[2] = frame.as_ptr() as u64;
        all[4] = pair(1, 0);
        // SAFETY: the frame outlives the call and has the length that is told; no room is offered
        // for an answer, so nothing is written but the attributes.
        unsafe { call(PROG_TEST_RUN, &mut all) }.map_err(refused("try a program"))?;
        let [_, _, _, _, verdict @ ..] = all[0].to_ne_bytes();
        Ok(i32::from_ne_bytes(verdict))
    }
}

/// The last lines of the verifier's log.
fn end(log: &[u8]) -> String {
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<&str> = text.lines().rev().take(VERIFIER_LINES).collect();
    lines.reverse();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::asm::{Asm, Reg, Value};
    use super::*;

    #[test]
    fn a_refused_program_comes_with_the_verifier_s_words() {
        let mut asm = Asm::default();
        asm.set(Reg::R0, Value::Of(Reg::R5)); // never set
        asm.exit();
        let refused = Program::load(&asm.finish()).map(drop).expect_err("nonsense");
        let GateError::Ebpf { detail, source, .. } = refused else { panic!("{refused}") };
        assert_eq!(source.raw_os_error(), Some(libc::EACCES));
        assert!(detail.contains("R5 !read_ok"), "{detail}");
    }
}
