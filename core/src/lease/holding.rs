//! The addresses that this node may answer for, each with the epoch that says so.

use alloc::vec::Vec;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::Epoch;

/// An address that a committed assignment gives to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holding {
    /// The address.
    pub address: IpAddr,
    /// The epoch of the assignment.
    pub epoch: Epoch,
}

/// What is held, and up to which epoch everything was lost.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    held: Vec<Holding>,
    /// Holdings up to this epoch ended with a lease. They never come back; what is lost needs a new
    /// committed epoch.
    lapsed: Epoch,
    /// The newest epoch of programs that run and hold no address; zero for none.
    kept: Epoch,
}

impl Holdings {
    pub(super) fn held(&self) -> &[Holding] {
        &self.held
    }

    pub(super) fn lapsed(&self) -> Epoch {
        self.lapsed
    }

    pub(super) fn kept(&self) -> Epoch {
        self.kept
    }

    /// Whether nothing stands on the lease.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.kept == Epoch::default()
    }

    /// Programs up to that epoch run. What ended with a lease is none of them.
    pub(super) fn keep(&mut self, epoch: Epoch) {
        self.kept = if epoch > self.lapsed { epoch } else { Epoch::default() };
    }

    /// Takes the whole wanted set. What ended with a lease stays out of it.
    pub(super) fn set(&mut self, mut wanted: Vec<Holding>) {
        wanted.retain(|holding| holding.epoch > self.lapsed);
        wanted.sort_unstable();
        wanted.dedup();
        self.held = wanted;
    }

    /// The lease ended: everything held is lost. Says whether there was anything.
    pub(super) fn lapse(&mut self) -> bool {
        let any = !self.is_empty();
        let newest = self.held.iter().map(|holding| holding.epoch).max();
        self.held.clear();
        self.lapsed = self.lapsed.max(newest.unwrap_or_default()).max(self.kept);
        self.kept = Epoch::default();
        any
    }
}
