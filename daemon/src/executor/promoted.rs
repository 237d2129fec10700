//! Under which assignment a copy is promoted. What daemons say of that may come late, twice or in
//! another order, over sockets of former ones, and is held against what is known here.

use stead_core::id::Epoch;

/// What is known of a copy's promotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Promotion {
    /// Under which assignment it is promoted, or being promoted.
    pub(super) under: Option<Epoch>,
    /// The newest assignment that was to be demoted; nothing is promoted under it or before.
    pub(super) demoted: Epoch,
}

impl Promotion {
    /// A daemon wants the copy of that epoch promoted. Whether that is to be done.
    ///
    /// What ends the assignment ends the copy, which has to be older for that (rule K2). Nothing is
    /// promoted twice under one assignment (rule H3), or after it was demoted (rule K6).
    pub(super) fn promote(&mut self, copy: Epoch, epoch: Epoch) -> bool {
        let may = self.under.is_none() && epoch > copy && epoch > self.demoted;
        if may {
            self.under = Some(epoch);
        }
        may
    }

    /// A daemon wants demoted what was promoted under that epoch, or an earlier one. Whether
    /// something is.
    pub(super) fn demote(&mut self, epoch: Epoch) -> bool {
        self.demoted = self.demoted.max(epoch);
        self.under.take_if(|under| *under <= epoch).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPY: Epoch = Epoch(10);

    #[test]
    fn a_copy_is_promoted_under_a_younger_assignment_only_and_once() {
        let mut promotion = Promotion::default();
        assert!(!promotion.promote(COPY, Epoch(9)), "older than the copy");
        assert!(!promotion.promote(COPY, COPY), "no assignment has a copy's epoch");
        assert!(promotion.promote(COPY, Epoch(11)));
        assert!(!promotion.promote(COPY, Epoch(11)), "said twice");
        assert!(!promotion.promote(COPY, Epoch(12)), "the other one was not demoted");
        assert_eq!(promotion.under, Some(Epoch(11)));
    }

    #[test]
    fn what_was_demoted_is_not_promoted_by_a_word_that_comes_late() {
        let mut promotion = Promotion::default();
        assert!(!promotion.demote(Epoch(11)), "nothing is promoted");
        assert!(!promotion.promote(COPY, Epoch(11)), "its demotion came first");
        assert!(promotion.promote(COPY, Epoch(12)));
        assert!(!promotion.demote(Epoch(11)), "of an earlier assignment");
        assert_eq!(promotion.under, Some(Epoch(12)));
        assert!(promotion.demote(Epoch(13)), "of a later one, which this ends as well");
        assert!(!promotion.promote(COPY, Epoch(13)));
        assert_eq!(promotion, Promotion { under: None, demoted: Epoch(13) });
    }
}
