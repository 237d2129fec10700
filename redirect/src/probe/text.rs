//! Findings and verdicts for people.

use std::fmt;

use stead_core::time::Span;

use super::drive::{Findings, Reached, View};
use super::judge::{Honoured, Suspicion, Verdict};
use super::order::{Held, Phase};

/// A length for people: milliseconds below ten seconds, seconds above.
struct Length(Span);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis_f64();
        if millis < 10_000.0 {
            write!(f, "{millis:.0} ms")
        } else {
            write!(f, "{:.1} s", millis / 1_000.0)
        }
    }
}

impl fmt::Display for Honoured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce(after) => write!(f, "honoured after {}", Length(*after)),
            Self::Late(after) => write!(f, "honoured only after {}", Length(*after)),
            Self::Never(bound) => write!(f, "not honoured within {}", Length(*bound)),
            Self::NotEvenFirst => f.write_str("not reachable at its first holder already"),
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortSecurity => "port security",
            Self::ArpInspection => "ARP or ND inspection, or a source guard",
            Self::GarpSuppressed => "announcements that are not let through",
            Self::StaticEntry => "a static entry",
            Self::StaleTable => "a switch that answers out of a table of its own",
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

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asking => f.write_str("asking"),
            Self::Ready => f.write_str("waiting"),
            Self::Claimed => f.write_str("claimed"),
            Self::Silent => f.write_str("silent"),
            Self::InUse(mac) => write!(f, "gave in to {}", mac.0),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, as {}: {} announcements sent, {} questions heard, {} answered, {} echoes arrived",
            self.phase, self.mac.0, self.announced, self.questions, self.answered, self.echoes
        )?;
        if let Some(ago) = self.echo {
            write!(f, ", the last {} before the end", Length(ago))?;
        }
        failed(f, self.failed, self.failure.as_deref())
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = &self.seen;
        let [first, second] = seen.answers;
        write!(f, "{} echoes sent, {first} answered by 1, {second} by 2", seen.sent)?;
        match seen.announcement {
            Some(after) => write!(
                f,
                "; {} announcements, the first after {}",
                seen.announcements,
                Length(after)
            )?,
            None => write!(f, "; no announcement, {} other frames", seen.frames)?,
        }
        if let Some(entry) = seen.entry {
            let how = if entry.by_hand { "set by hand" } else { "learned" };
            match entry.mac {
                Some(mac) => write!(f, "; neighbour entry {} ({how})", mac.0)?,
                None => write!(f, "; neighbour entry without a MAC ({how})")?,
            }
        }
        if let Some(asked) = &self.asked {
            let (told, strays, direct) = (asked.told, asked.strays, asked.direct);
            write!(f, "; asked: {told} answers, {strays} of another MAC, {direct} direct echoes")?;
        }
        failed(f, seen.failed, seen.failure.as_deref())
    }
}

fn failed(f: &mut fmt::Formatter<'_>, count: u32, why: Option<&str>) -> fmt::Result {
    match why {
        Some(why) => write!(f, "; {count} could not be sent or read: {why}"),
        None => Ok(()),
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trial = &self.trial;
        write!(f, "{} with {}/{}", trial.form, trial.address, trial.prefix)?;
        match self.reached {
            Reached::First => f.write_str(", which did not get to the second holder")?,
            Reached::Second => {}
        }
        let [first, second] = &self.held;
        write!(f, "\n  holder 1: {first}\n  holder 2: {second}")?;
        self.views.iter().try_for_each(|view| write!(f, "\n  {}: {view}", view.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Form, Saying};

    #[test]
    fn a_verdict_names_what_to_do_and_what_works() {
        let verdict = Verdict {
            form: Form::Arp(Saying::Both),
            observer: "node3".to_owned(),
            honoured: Honoured::Late(Span::from_millis(25_040)),
            because: Suspicion::GarpSuppressed,
            advice: "let them through".to_owned(),
            instead: Some(Form::Mac),
        };
        assert_eq!(
            verdict.to_string(),
            "ARP: honoured only after 25.0 s, as node3 sees it\n  \
             in the way: announcements that are not let through\n  \
             advice: let them through\n  what works: MAC"
        );
    }
}
