//! A page of numbers that one process writes and others read, without a system call on either side.
//!
//! The page has no name: its descriptor is handed from process to process. Whoever makes it is the
//! only one who can ever write to it, and nobody can make it shorter: the kernel is told both, so
//! that a reader need trust nobody and no reader is ended by a page that is gone. It exists for as
//! long as someone has it mapped, whatever became of its writer.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::ftruncate;

/// How long it is. Every kernel's page is this long or longer.
const LENGTH: usize = 4096;
/// How many numbers it has.
pub const NUMBERS: usize = LENGTH / 8;

/// Memory that several processes have.
#[derive(Debug)]
struct Mapped(NonNull<AtomicU64>);

// SAFETY: the memory belongs to no thread, and it is only touched atomically.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(fd: BorrowedFd<'_>, access: ProtFlags) -> io::Result<Self> {
        let length = NonZeroUsize::new(LENGTH).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at a place of the kernel's choice; nothing else refers to it.
        let mapped = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, fd, 0) };
        Ok(Self(mapped?.cast()))
    }

    fn number(&self, at: usize) -> &AtomicU64 {
        assert!(at < NUMBERS, "numbers of a page are counted by their owner");
        // SAFETY: inside the mapping, which is aligned to a page and lives as long as `self`; its
        // file can't become shorter (sealed), and all who map it use these bytes only as a whole.
        unsafe { self.0.add(at).as_ref() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, of that length; no reference outlives `self`.
        // It can only fail for an address that was never mapped.
        let _ = unsafe { munmap(self.0.cast(), LENGTH) };
    }
}

/// The writer's end.
#[derive(Debug)]
pub struct Page {
    mapped: Mapped,
    fd: OwnedFd,
}

impl Page {
    /// A page of zeros. `name` is what is seen of it in /proc.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(name: &str) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        // Where nothing of the kind may be executed, the kernel wants to be told that none will;
        // kernels before 6.3 don't know the word.
        let never_run = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
        let fd = memfd_create(name, flags | never_run).or_else(|_| memfd_create(name, flags))?;
        ftruncate(&fd, LENGTH as i64)?;
        let mapped = Mapped::new(fd.as_fd(), ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
        let write = SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE);
        let length = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(length | write | SealFlag::F_SEAL_SEAL))?;
        Ok(Self { mapped, fd })
    }

    /// Writes one number. Who sees it sees all that was written before it.
    pub fn write(&self, at: usize, number: u64) {
        self.mapped.number(at).store(number, Ordering::Release);
    }

    /// What was written last.
    #[must_use]
    pub fn read(&self, at: usize) -> u64 {
        self.mapped.number(at).load(Ordering::Acquire)
    }
}

impl AsFd for Page {
    /// To be handed to readers.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A reader's end.
#[derive(Debug)]
pub struct Shown(Mapped);

impl Shown {
    /// Takes the page of that descriptor.
    ///
    /// # Errors
    /// It is no such page, or the kernel's.
    pub fn map(fd: &impl AsFd) -> io::Result<Self> {
        let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        let whole = nix::sys::stat::fstat(fd)?.st_size >= LENGTH as i64;
        if !whole || !seals.contains(SealFlag::F_SEAL_SHRINK) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no page of a guard"));
        }
        Mapped::new(fd.as_fd(), ProtFlags::PROT_READ).map(Self)
    }

    /// What was written there last; and all that was written before that is seen from here on.
    #[must_use]
    pub fn read(&self, at: usize) -> u64 {
        self.0.number(at).load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_writes_the_other_reads_and_only_one_can_write() {
        let page = Page::create("trial").expect("a page");
        let shown = Shown::map(&page).expect("mapped");
        assert_eq!(shown.read(1), 0);
        page.write(1, u64::MAX - 1);
        assert_eq!((shown.read(0), shown.read(1)), (0, u64::MAX - 1));
        let write = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        assert!(Mapped::new(page.as_fd(), write).is_err(), "others can't write");
        assert!(nix::unistd::write(&page, b"x").is_err());
        assert!(ftruncate(&page, 0).is_err(), "it can't be taken away from its readers");
        drop(page);
        assert_eq!(shown.read(1), u64::MAX - 1, "it outlives its writer");
        let file = tempfile::tempfile().expect("a file");
        assert!(Shown::map(&file).is_err(), "a file can become shorter");
    }
}
