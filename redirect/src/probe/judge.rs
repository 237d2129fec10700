//! What stands in the way, as far as the findings tell. A pure function of them.
//!
//! ```text
//! form ARP, ND                                          form MAC
//!   the entry was set by hand          static entry       its frames never arrive    port security
//!   no announcement arrives, but                          echoes still go to the
//!     answers to questions do          not let through    first holder's port        port security
//!   neither arrives, though the                           echoes arrive, answers
//!     holder heard and answered        inspection         do not                     inspection
//!   announced, but not believed        static entry       honoured, but no answer
//!   followed, but no answers arrive    inspection         to a question arrives      inspection
//!   answers name another MAC           stale table
//! ```

use serde::{Deserialize, Serialize};
use stead_core::time::Span;

use super::drive::{Findings, Reached, View};
use super::order::{Held, Seen};
use super::trial::Form;

/// Up to which a takeover counts as honoured at once: within the first second five announcements
/// are sent (`core/src/redirect`), and half as long is given to busy machines.
pub const AT_ONCE: Span = Span::from_millis(1_500);
/// An echo no older than this still goes to that port.
const LATELY: Span = Span::from_millis(1_000);

/// Whether the takeover was honoured, counted from just before the second holder's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Honoured {
    /// Within [`AT_ONCE`].
    AtOnce(Span),
    /// Only after that time.
    Late(Span),
    /// Not within the bound.
    Never(Span),
    /// The address did not work at its first holder already.
    NotEvenFirst,
}

/// What seems to stand in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suspicion {
    /// A switch ties a MAC to its port, or lets no other MACs in.
    PortSecurity,
    /// A switch lets only known addresses be spoken for, or sent from.
    ArpInspection,
    /// Announcements are not let through; answers to questions are.
    GarpSuppressed,
    /// The observer's entry was set by hand, or does not heed announcements.
    StaticEntry,
    /// A switch answers for the address out of a table that has not followed.
    StaleTable,
    /// Nothing.
    Nothing,
    /// Something that these findings don't name.
    Unknown,
}

/// What became of one form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was tried.
    pub form: Form,
    /// The observer that fared worst.
    pub observer: String,
    /// Whether and when it followed.
    pub honoured: Honoured,
    /// Why not, or not at once.
    pub because: Suspicion,
    /// What to do, in a sentence.
    pub advice: String,
    /// Another form that was honoured at once, where this one was not.
    pub instead: Option<Form>,
}

impl Verdict {
    /// Services can be moved in this form.
    #[must_use]
    pub fn works(&self) -> bool {
        matches!(self.honoured, Honoured::AtOnce(_)) && self.because == Suspicion::Nothing
    }
}

/// Judges one trial, by the observer that fared worst.
#[must_use]
pub fn judge(findings: &Findings) -> Verdict {
    let each = findings.views.iter().map(|view| {
        let honoured = honoured(findings, &view.seen);
        (view.node.clone(), honoured, suspect(findings, view, honoured))
    });
    let worst =
        each.max_by_key(|(_, honoured, because)| (rank(*honoured), *because != Suspicion::Nothing));
    let unseen = (String::new(), Honoured::NotEvenFirst, Suspicion::Unknown);
    let (observer, honoured, because) = worst.unwrap_or(unseen);
    let form = findings.trial.form;
    let advice = advice(honoured, because).to_owned();
    Verdict { form, observer, honoured, because, advice, instead: None }
}

/// Judges several trials of one segment: each verdict also names what works in its place.
#[must_use]
pub fn judge_all(findings: &[Findings]) -> Vec<Verdict> {
    let mut verdicts: Vec<_> = findings.iter().map(judge).collect();
    let working = verdicts.iter().find(|it| it.works()).map(|it| it.form);
    for verdict in verdicts.iter_mut().filter(|it| !it.works()) {
        verdict.instead = working;
    }
    verdicts
}

fn honoured(findings: &Findings, seen: &Seen) -> Honoured {
    match (findings.reached, seen.first[1]) {
        (Reached::First, _) => Honoured::NotEvenFirst,
        (Reached::Second, None) => Honoured::Never(findings.trial.bound),
        (Reached::Second, Some(after)) if after <= AT_ONCE => Honoured::AtOnce(after),
        (Reached::Second, Some(after)) => Honoured::Late(after),
    }
}

/// The worse, the higher.
fn rank(honoured: Honoured) -> (u8, Span) {
    match honoured {
        Honoured::AtOnce(after) => (0, after),
        Honoured::Late(after) => (1, after),
        Honoured::Never(bound) => (2, bound),
        Honoured::NotEvenFirst => (3, Span::ZERO),
    }
}

fn suspect(findings: &Findings, view: &View, honoured: Honoured) -> Suspicion {
    let (claimant, other) = match findings.reached {
        Reached::First => (&findings.held[0], None),
        Reached::Second => (&findings.held[1], Some(&findings.held[0])),
    };
    // An observer that has the first holder is in order, whoever else has not.
    if findings.reached == Reached::First && view.seen.answers[0] > 0 {
        return Suspicion::Nothing;
    }
    let asked = view.asked.as_ref().unwrap_or(&view.seen);
    let told = asked.told > 0;
    let entry = view.seen.entry.as_ref();
    if entry.is_some_and(|it| it.by_hand && it.mac != Some(claimant.mac)) {
        return Suspicion::StaticEntry;
    }
    if asked.strays > 0 {
        return Suspicion::StaleTable;
    }
    if matches!(honoured, Honoured::AtOnce(_)) {
        // It works as long as nobody asks; entries that age do.
        let refused = !told && view.asked.is_some() && claimant.answered > 0;
        return if refused { Suspicion::ArpInspection } else { Suspicion::Nothing };
    }
    match findings.trial.form {
        Form::Arp(_) | Form::Nd => suspect_address(view, claimant, told, honoured),
        Form::Mac => suspect_mac(view, claimant, other, honoured),
    }
}

fn suspect_address(view: &View, claimant: &Held, told: bool, honoured: Honoured) -> Suspicion {
    let seen = &view.seen;
    let late = matches!(honoured, Honoured::Late(_));
    let Some(announcement) = seen.announcement else {
        return match (told || late, claimant.answered > 0) {
            (true, _) => Suspicion::GarpSuppressed,
            (false, true) => Suspicion::ArpInspection,
            (false, false) => Suspicion::Unknown,
        };
    };
    if late {
        // Held up on its way, and then let through.
        let held_up = announcement > AT_ONCE;
        return if held_up { Suspicion::ArpInspection } else { Suspicion::Unknown };
    }
    if claimant.echoes > 0 {
        return Suspicion::ArpInspection;
    }
    let believed = seen.entry.is_some_and(|it| it.mac == Some(claimant.mac));
    if believed { Suspicion::Unknown } else { Suspicion::StaticEntry }
}

fn suspect_mac(
    view: &View,
    claimant: &Held,
    other: Option<&Held>,
    honoured: Honoured,
) -> Suspicion {
    let seen = &view.seen;
    if matches!(honoured, Honoured::Late(_)) {
        let held_up = seen.frame.is_none_or(|first| first > AT_ONCE);
        let misled = other.is_some_and(|other| other.echoes > 0);
        return if held_up || misled { Suspicion::PortSecurity } else { Suspicion::Unknown };
    }
    if seen.frames == 0 && claimant.announced > 0 {
        return Suspicion::PortSecurity;
    }
    let misled = other.and_then(|other| other.echo).is_some_and(|ago| ago <= LATELY);
    match (misled, claimant.echoes > 0) {
        (true, _) => Suspicion::PortSecurity,
        (false, true) => Suspicion::ArpInspection,
        (false, false) => Suspicion::Unknown,
    }
}

fn advice(honoured: Honoured, because: Suspicion) -> &'static str {
    let at_once = matches!(honoured, Honoured::AtOnce(_));
    let late = matches!(honoured, Honoured::Late(_));
    match because {
        Suspicion::Nothing if at_once => "nothing has to be done",
        Suspicion::Nothing => "look at the other observers",
        Suspicion::PortSecurity if late => {
            "the switch frees a MAC only when its old port was silent for a while: shorten that \
             ageing, or let services take the address of the node's own card"
        }
        Suspicion::PortSecurity => {
            "turn port security off on the nodes' ports, allow the services' MACs there, or let \
             services take the address of the node's own card"
        }
        Suspicion::ArpInspection if at_once => {
            "it stops working as soon as a client asks for the address anew: allow the services' \
             addresses on all nodes' ports in ARP inspection"
        }
        Suspicion::ArpInspection => {
            "allow the services' addresses on all nodes' ports in ARP or ND inspection and in the \
             source guard, or turn these off there"
        }
        Suspicion::GarpSuppressed if late => {
            "clients follow only when their own neighbour entry is confirmed anew: let \
             announcements through, or move services with a MAC of their own"
        }
        Suspicion::GarpSuppressed => {
            "let gratuitous ARP and unsolicited advertisements through from the nodes' ports, or \
             move services with a MAC of their own; a trial of a minute shows when entries age"
        }
        Suspicion::StaticEntry => {
            "remove the static entry, or move the service with a MAC of its own"
        }
        Suspicion::StaleTable => {
            "turn ARP and ND suppression off in the fabric, or let it learn from announcements; \
             or move services with a MAC of their own"
        }
        Suspicion::Unknown => {
            "capture ARP, neighbour discovery and ICMP on the observer and on the second holder \
             during a further trial"
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_linux::netlink::Mac;

    use super::*;
    use crate::probe::{Entry, Phase, Saying, Station, Trial};

    const FIRST: Station = Station(Mac([2, 0, 0, 0, 0, 1]));
    const SECOND: Station = Station(Mac([2, 0, 0, 0, 0, 2]));

    fn held(phase: Phase, mac: Station) -> Held {
        Held {
            phase,
            mac,
            announced: 9,
            failed: 0,
            failure: None,
            questions: 3,
            answered: 3,
            echoes: 0,
            echo: None,
        }
    }

    /// One observer that sees all there is, and follows after that time.
    fn findings(form: Form, after: Option<Span>) -> Findings {
        let trial = Trial::new(form, [10, 0, 0, 77].into(), 24).expect("chance");
        let seen = Seen {
            sent: 100,
            answers: [0, u32::from(after.is_some())],
            first: [None, after],
            frames: 9,
            frame: Some(Span::ZERO),
            announcements: 9,
            announcement: Some(Span::ZERO),
            entry: Some(Entry { mac: Some(SECOND), by_hand: false }),
            ..Seen::default()
        };
        let asked = Some(Seen { told: 1, direct: 1, ..seen.clone() });
        let mac = trial.mac.unwrap_or(SECOND);
        Findings {
            trial,
            reached: Reached::Second,
            holders: [FIRST, SECOND],
            held: [held(Phase::Silent, FIRST), held(Phase::Claimed, mac)],
            views: vec![View { node: "node3".to_owned(), seen, asked }],
        }
    }

    const ARP: Form = Form::Arp(Saying::Both);
    const SOON: Option<Span> = Some(Span::from_millis(9));
    const LATE: Option<Span> = Some(Span::from_millis(9_000));

    #[test]
    fn the_observer_that_fares_worst_decides() {
        let mut both = findings(ARP, SOON);
        assert!(judge(&both).works());
        let mut other = findings(ARP, None).views.remove(0);
        other.node = "node4".to_owned();
        other.seen.announcement = None;
        both.views.push(other);
        let verdict = judge(&both);
        assert_eq!((verdict.observer.as_str(), verdict.works()), ("node4", false));
        assert_eq!(verdict.because, Suspicion::GarpSuppressed);
    }

    #[test]
    fn what_is_followed_late_for_no_reason_that_is_seen_is_not_given_one() {
        assert_eq!(judge(&findings(ARP, LATE)).because, Suspicion::Unknown);
        assert_eq!(judge(&findings(Form::Mac, LATE)).because, Suspicion::Unknown);
        let mut misled = findings(Form::Mac, LATE);
        misled.held[0].echoes = 200;
        assert_eq!(judge(&misled).because, Suspicion::PortSecurity);
    }

    #[test]
    fn a_takeover_that_is_announced_and_not_believed_meets_a_static_entry_somewhere() {
        let mut unmoved = findings(ARP, None);
        unmoved.views[0].seen.entry = Some(Entry { mac: Some(FIRST), by_hand: false });
        assert_eq!(judge(&unmoved).because, Suspicion::StaticEntry);
    }

    #[test]
    fn what_works_elsewhere_is_named() {
        let verdicts = judge_all(&[findings(ARP, None), findings(Form::Mac, SOON)]);
        assert_eq!((verdicts[0].instead, verdicts[1].instead), (Some(Form::Mac), None));
        assert_eq!(judge_all(&[findings(ARP, None)])[0].instead, None);
    }

    #[test]
    fn findings_without_an_observer_say_nothing() {
        let mut nobody = findings(ARP, SOON);
        nobody.views.clear();
        assert!(!judge(&nobody).works());
    }
}
