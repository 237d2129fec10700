//! The kinds of notices: the name that each has as a label and in the journal's fields, and its
//! message id.
//!
//! A message id is the same in every version as long as the kind means the same: whoever filters by
//! it (`journalctl MESSAGE_ID=...`) need not read sentences. `systemd-id128 new` makes one.

use stead_core::id::ServiceId;
use stead_core::notice::Notice;
use stead_core::state::Cause;

use super::tally::name_of;

/// One kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Its message id: 128 random bits in hexadecimal digits.
    pub id: &'static str,
}

/// Declares the kinds, and which notice is of which.
macro_rules! kinds {
    ($($variant:ident $(($dots:tt))?: $name:literal $id:literal;)*) => {
        /// Every kind.
        pub const KINDS: &[Kind] = &[$(Kind { name: $name, id: $id }),*];

        /// The kind of a notice.
        #[must_use]
        pub fn kind(notice: &Notice) -> &'static Kind {
            match notice {
                $(Notice::$variant $(($dots))? => &Kind { name: $name, id: $id },)*
            }
        }
    };
}

kinds! {
    GuardConnected: "guard-connected" "b78f9515da4f40afa8cf647480a92afc";
    GuardLost: "guard-lost" "7a15ef752e2e4d6a964c3e23fad0fe5f";
    LeaseGained: "lease-gained" "94e82f645caf460bac7b6e7a790a38d3";
    LeaseLost: "lease-lost" "f70dc89c707542359793b60ce1199314";
    ClockDistrusted: "clock-distrusted" "e73e5b4595f84d18a817da80985930e3";
    CoordinatorSilent(..): "coordinator-silent" "c5044b56aaf74e36bc9b914d5137dae4";
    Campaign(..): "campaign" "59b5b731155841c5bf15cecfd39d39b8";
    Coordinator(..): "coordinator" "0119e4985fb24877a45822de43bdd4ad";
    Suspected(..): "suspected" "2e0d596535794348a46778aa52302680";
    Refuted(..): "refuted" "261407532ef247949f4cfd96d078f3e2";
    Removed(..): "removed" "e8324eaa31c04230b254454a27dcccf0";
    Admitted(..): "admitted" "0de55e6ff57141c7850866a82db9ce67";
    Voter(..): "voter" "a1b526e9986649b09093a7d797ec553d";
    Assigned(..): "assigned" "50c23f7675b04bc6989a8be1dda61ff6";
    Stopping(..): "stopping" "59402e871d274997808eeb99bf5d4d96";
    Stopped(..): "stopped" "90b11849fea44e1ea30caee761e61e2e";
    Nowhere(..): "nowhere" "92304a5e774a4c0493f00ec7d1f6078b";
    Claimed(..): "claimed" "8015e5ce89004bc091ad92c13042e47d";
    Conflict(..): "conflict" "e9de3a874d4d424cbd7ae7164065e57e";
    Started(..): "started" "9aab11272ede4620a872801eee6434a7";
    StartFailed(..): "start-failed" "d31e4a2138e24e058f1bfc24e0851d1c";
    CopyFailed(..): "copy-failed" "7a0d6c3b5f1e4c52a9d3be1264f8e0c7";
    Verified(..): "verified" "5e82e32358044da2855f171cc21c809d";
    MonitorFailed(..): "monitor-failed" "d8893a72b29743069299b673123435fa";
    Restarting(..): "resource-restarting" "f9b4d456a0c4478cbe54c64d79504850";
    Ended(..): "ended" "6b6f8893eabd42048813f81a2dc85e69";
    AddressRestored(..): "address-restored" "cc26c1bffd2c4b66a8d70e1507b4aa35";
    Refused(..): "refused" "831db3529eb2461baa944bab206625f3";
    StoreFailed(..): "store-failed" "20f0ffad6b3545bfa5d18c7d9c562ced";
    Retiring: "retiring" "6337a3f35a9e4f689789e08460765b4b";
    ClaimFailed(..): "claim-failed" "a8fbcd51ff27406fae2a9fa7c37275d4";
    Configured(..): "configured" "1f5dec53f2254a698dfc9b666c08bd53";
    Standby(..): "standby" "62cfd51688474d4d9d0a9383bbeeddb6";
    Membership(..): "membership" "c6d9ec7d0606425bbf4aa8d3e885d581";
    PointLost(..): "point-lost" "130358650e43b5a060cb6c7d172278a7";
    PointBack(..): "point-back" "89567c12fe4879a41f46ca9693dd0384";
    RoundTripExceeded(..): "round-trip-exceeded" "5a760436b91740ab954e4e4146a5d95b";
    Departing(..): "departing" "681d1354bfb545d28caa20bbee2cadb5";
    ClientsTold(..): "clients-told" "82332a84f7264e2f8201e43cf24eb506";
    AnnounceFailed(..): "announce-failed" "4fe258011f7d58b57d6dc2aef84512cb";
    ServicesStopped(..): "services-stopped" "5aa3fdfb19d947c89a61e6221c4461d3";
    Maintenance(..): "maintenance" "1971a4abb6a34204bc7c47eb470dc3a2";
    HookFailed(..): "hook-failed" "cec51c7cef8e4b19aac647a2358498bf";
    Halted(..): "halted" "c3d8a6f1e7b2405a9d1f6e8b7c4a2035";
    Quarantined(..): "quarantined" "b4c1d7f06a3e4d5f9e28a07c51d36b92";
    QuarantineOver(..): "quarantine-over" "5e90a2c7d84b4f1a8c63f7192be0d4a5";
    Times(..): "times" "4d2b8f61c07e4a3f95b1e8d6702fac14";
    Visit(..): "visit" "b07e1d93f5264c8aa2d47f6e18c3905b";
    Redirect(..): "redirect" "d25a3c9e7b1f4e08a6c45b9f1e72d083";
    Reserved(..): "reserved" "6f0b8e42d91c4a7db35e27c8a0914f6d";
    Disarmed(..): "disarmed" "9c1e4b7a0d5f4e2fa86b31c7d2950f4e";
    Armed(..): "armed" "3f7a92d1c6e848b5b04d7e15a9c3682d";
    StaysWith(..): "stays-with" "30d6e8fe09374a89ac43f626c5afe689";
    ConfirmedOff(..): "confirmed-off" "3ec1601e4c7c4d689d575e0f8359d657";
    Fence(..): "fence" "8f3d1c52a7e94b0c9d6e20b41f7a5c83";
    WatchdogElapsed(..): "watchdog-elapsed" "7734cc6bea1e463c874ca2db8a3dfd58";
    WatchdogFailed(..): "watchdog-failed" "4ed544969b8a42feaf11d580ef694312";
    Tied(..): "tied" "792dac364c42475ba5353f6d27454c8d";
    Granted(..): "granted" "06796c5f06b349d2a242d5bb65dc09f5";
    NotGranted(..): "not-granted" "ada8cb7f2c1b4cfba09f8b5c1b4dd4ca";
    Vouched(..): "vouched" "eb6c398cc9d34e31ac9b011a5a01b6de";
    VouchEnded(..): "vouch-ended" "f77488927f2543e8920f1e740ce3cf25";
    WentOn(..): "went-on" "848568611a934c45a2fbf87a102d3cdc";
    VotesAgain(..): "votes-again" "f673df3754ea49e4a6b48b8fe6c0c260";
    Enrolled(..): "enrolled" "2f2ff2bec7234945abbbdc0ec3f31d71";
    RegisterLost: "register-lost" "a76d9e10bafc44ecaa7acb664e5b2d80";
    RegisterHere: "register-here" "7ec965ffdac045d1a5ebf7a790559f0c";
    RegisterDistrusted: "register-distrusted" "c13fc76258914d06ad6e7cf0656c3534";
    RegisterTrusted: "register-trusted" "56a031a3c40d419aaec4cff03000cfb3";
}

/// What a notice names, for fields of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    /// The service.
    pub(super) service: Option<&'a str>,
    /// The node that it is about, which need not be the one that tells it.
    pub(super) about: Option<&'a str>,
    /// The number of the assignment.
    pub(super) epoch: Option<u64>,
    /// The term.
    pub(super) term: Option<u64>,
    /// Why.
    pub(super) cause: Option<&'a str>,
    /// The version of the configuration.
    pub(super) revision: Option<u64>,
}

/// The fields of a notice.
#[expect(clippy::too_many_lines, reason = "a line for each kind: split, one could be forgotten")]
pub(super) fn fields(notice: &Notice) -> Fields<'_> {
    let none = Fields::default();
    let cause = |it: &Cause| Some(name_of(*it));
    match notice {
        Notice::GuardConnected
        | Notice::GuardLost
        | Notice::LeaseGained
        | Notice::LeaseLost
        | Notice::ClockDistrusted
        | Notice::AddressRestored(_)
        | Notice::Refused(_)
        | Notice::StoreFailed(_)
        | Notice::Retiring
        | Notice::Armed(None)
        | Notice::PointLost(_)
        | Notice::PointBack(_)
        | Notice::Tied(..)
        | Notice::Halted(..)
        | Notice::ServicesStopped(..)
        | Notice::Maintenance(_, None)
        | Notice::Granted(_)
        | Notice::NotGranted(_)
        | Notice::Vouched(..)
        | Notice::VouchEnded(_)
        | Notice::WentOn(..)
        | Notice::Enrolled(_)
        | Notice::RegisterLost
        | Notice::RegisterHere
        | Notice::RegisterDistrusted
        | Notice::RegisterTrusted
        | Notice::Times(_)
        | Notice::Reserved(..)
        | Notice::Departing(_) => none,
        Notice::CoordinatorSilent(node)
        | Notice::Campaign(node)
        | Notice::Suspected(node, _)
        | Notice::Refuted(node)
        | Notice::Admitted(node)
        | Notice::Voter(node, _)
        | Notice::Standby(node, _)
        | Notice::Quarantined(node, ..)
        | Notice::QuarantineOver(node, _)
        | Notice::Membership(node, _)
        | Notice::RoundTripExceeded(node, _)
        | Notice::Disarmed(node, ..)
        | Notice::VotesAgain(node)
        | Notice::ConfirmedOff(node, ..)
        | Notice::Fence(node, _)
        | Notice::WatchdogElapsed(node)
        | Notice::WatchdogFailed(node)
        | Notice::Maintenance(_, Some((node, _)))
        | Notice::Armed(Some(node)) => Fields { about: Some(node), ..none },
        Notice::Coordinator(node, term) => Fields { about: Some(node), term: Some(term.0), ..none },
        Notice::Removed(node, _, why) => Fields { about: Some(node), cause: cause(why), ..none },
        Notice::Assigned(service, node, epoch) => {
            Fields { about: Some(node), epoch: Some(epoch.0), ..of(service) }
        }
        Notice::Stopping(service, why) => Fields { cause: cause(why), ..of(service) },
        Notice::Stopped(service, node, why) => {
            Fields { about: Some(node), cause: cause(why), ..of(service) }
        }
        Notice::StaysWith(service, node) => {
            Fields { service: Some(&service.0), about: Some(node), ..none }
        }
        Notice::Nowhere(service)
        | Notice::Visit(service, _)
        | Notice::Redirect(service, _)
        | Notice::Conflict(service, _)
        | Notice::AnnounceFailed(service, _)
        | Notice::Started(service)
        | Notice::StartFailed(service, _)
        | Notice::CopyFailed(service, _)
        | Notice::Verified(service)
        | Notice::MonitorFailed(service, _)
        | Notice::Restarting(service, ..)
        | Notice::HookFailed(service, ..)
        | Notice::Ended(service, _)
        | Notice::ClientsTold(service, _)
        | Notice::ClaimFailed(service) => of(service),
        Notice::Claimed(service, epoch) => Fields { epoch: Some(epoch.0), ..of(service) },
        Notice::Configured(revision) => Fields { revision: Some(*revision), ..none },
    }
}

/// The fields of a notice of a service.
fn of(service: &ServiceId) -> Fields<'_> {
    Fields { service: Some(&service.0), ..Fields::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stead_core::id::{Epoch, ServiceId};

    use super::*;

    #[test]
    fn names_and_ids_are_all_different_and_well_formed() {
        let names: BTreeSet<_> = KINDS.iter().map(|it| it.name).collect();
        let ids: BTreeSet<_> = KINDS.iter().map(|it| it.id).collect();
        assert_eq!((names.len(), ids.len()), (KINDS.len(), KINDS.len()));
        for Kind { name, id } in KINDS {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
        }
    }

    #[test]
    fn a_notice_is_taken_apart() {
        let notice = Notice::Assigned(ServiceId::from("web"), "node2".to_owned(), Epoch(7));
        assert_eq!(kind(&notice).name, "assigned");
        let wanted = Fields {
            service: Some("web"),
            about: Some("node2"),
            epoch: Some(7),
            ..Fields::default()
        };
        assert_eq!(fields(&notice), wanted);
        assert_eq!(fields(&Notice::LeaseLost), Fields::default());
    }
}
