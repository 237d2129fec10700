//! The guard's page: until when programs may run, and which may not run at all.
//!
//! Two numbers. The writer changes the second only while the first says "ended", and a reader takes
//! the first one first: who sees a deadline sees everything that lapsed before it was given.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use stead_core::id::Epoch;
use stead_core::time::Instant;
use stead_linux::shared::{Page, Shown};

const UNTIL: usize = 0;
const LAPSED: usize = 1;

/// The guard's end.
#[derive(Debug)]
pub struct LeasePage(Page);

impl LeasePage {
    /// A page that permits nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create() -> io::Result<Self> {
        Page::create("stead-lease").map(Self)
    }

    /// What is held may be used until then, except what was held under that epoch or an earlier
    /// one. An instant on the clock, so that a writer that is held up can't lengthen anything.
    pub fn set(&self, until: Instant, lapsed: Epoch) {
        if self.0.read(LAPSED) != lapsed.0 {
            self.0.write(UNTIL, 0);
            self.0.write(LAPSED, lapsed.0);
        }
        self.0.write(UNTIL, until.0);
    }
}

impl AsFd for LeasePage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A keeper's end.
#[derive(Debug)]
pub struct LeaseShown(Shown);

impl LeaseShown {
    /// Takes the page of that descriptor.
    ///
    /// # Errors
    /// It is none, or the kernel's.
    pub fn map(fd: &impl AsFd) -> io::Result<Self> {
        Shown::map(fd).map(Self)
    }

    /// Until when a program of that epoch may run, as it is known now; the beginning of time if it
    /// may not.
    #[must_use]
    pub fn until(&self, epoch: Epoch) -> Instant {
        let until = Instant(self.0.read(UNTIL));
        let lapsed = Epoch(self.0.read(LAPSED));
        if epoch <= lapsed { Instant::START } else { until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lapsed_stays_lapsed_when_the_lease_is_back() {
        let page = LeasePage::create().expect("a page");
        let shown = LeaseShown::map(&page).expect("mapped");
        assert_eq!(shown.until(Epoch(7)), Instant::START, "nothing is permitted at first");
        page.set(Instant(100), Epoch(0));
        assert_eq!(shown.until(Epoch(7)), Instant(100));
        page.set(Instant::START, Epoch(7));
        assert_eq!(shown.until(Epoch(8)), Instant::START);
        page.set(Instant(200), Epoch(7));
        assert_eq!(shown.until(Epoch(7)), Instant::START);
        assert_eq!(shown.until(Epoch(8)), Instant(200));
    }
}
