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
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use stead_core::time::Span;

use super::drive::{Findings, Reached, View, in_words};
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
    let advice = advice(form, honoured, because).to_owned();
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
    let told = asked.told > view.seen.told || view.seen.told > 0;
    if matches!(honoured, Honoured::AtOnce(_)) {
        // It works as long as nobody asks; entries that age do.
        let refused = !told && view.asked.is_some() && claimant.answered > 0;
        return if refused { Suspicion::ArpInspection } else { Suspicion::Nothing };
    }
    let entry = view.seen.entry.as_ref();
    if entry.is_some_and(|it| it.by_hand && it.mac != Some(claimant.mac)) {
        return Suspicion::StaticEntry;
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

fn advice(form: Form, honoured: Honoured, because: Suspicion) -> &'static str {
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
             move services with a MAC of their own; a longer trial shows when entries age"
        }
        Suspicion::StaticEntry => {
            "remove the static entry, or move the service with a MAC of its own"
        }
        Suspicion::Unknown => match form {
            Form::Arp(_) | Form::Nd | Form::Mac => {
                "capture ARP, neighbour discovery and ICMP on the observer and on the second \
                 holder during a further trial"
            }
        },
    }
}

impl fmt::Display for Honoured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce(after) => write!(f, "honoured after {}", in_words(*after)),
            Self::Late(after) => write!(f, "honoured only after {}", in_words(*after)),
            Self::Never(bound) => write!(f, "not honoured within {}", in_words(*bound)),
            Self::NotEvenFirst => f.write_str("not reachable at its first holder already"),
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortSecurity => "port security",
            Self::ArpInspection => "ARP inspection or a source guard",
            Self::GarpSuppressed => "announcements that are not let through",
            Self::StaticEntry => "a static entry",
            Self::Nothing => "nothing",
            Self::Unknown => "something that the trial could not name",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.form, self.honoured)?;
        if !self.observer.is_empty() {
            write!(f, ", as {} sees it", self.observer)?;
        }
        if self.because != Suspicion::Nothing {
            write!(f, "\n  in the way: {}\n  advice: {}", self.because, self.advice)?;
        }
        match self.instead {
            Some(form) => write!(f, "\n  what works: {form}"),
            None => Ok(()),
        }
    }
}
