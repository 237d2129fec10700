//! Marks: what happened at one moment, in few words.

use stead::journal::Entry;
use stead_core::notice::Notice;

use crate::report::{About, Mark};

/// What is said of several nodes within so many microseconds is one mark; so is what they do.
const SAID_TOGETHER: u64 = 30_000;
const DONE_TOGETHER: u64 = 10_000;

/// Something for a mark: the same words about several things are one.
pub(super) struct Raw {
    pub(super) at: u64,
    pub(super) lanes: Vec<usize>,
    pub(super) about: About,
    /// With `{}` where those stand whom it is about.
    pub(super) words: String,
    pub(super) whom: String,
    /// It happens once: who tells it later has heard of it later.
    pub(super) once: bool,
}

/// The marks in the order of time, with the milliseconds of a moment.
pub(super) fn joined(mut raw: Vec<Raw>, ms: impl Fn(u64) -> f64) -> Vec<Mark> {
    raw.sort_by_key(|it| it.at);
    let mut all: Vec<(Raw, Vec<String>)> = Vec::new();
    for it in raw {
        let said = it.about == About::Quorum;
        let together = if said { SAID_TOGETHER } else { DONE_TOGETHER };
        let near = |other: &Raw, whom: &[String]| {
            let again = it.once && whom.contains(&it.whom);
            other.words == it.words && (again || it.at - other.at <= together)
        };
        let known = all.iter_mut().rev().find(|(other, whom)| near(other, whom));
        let Some((first, whom)) = known else {
            let whom = vec![it.whom.clone()];
            all.push((it, whom));
            continue;
        };
        first.lanes.extend(it.lanes);
        if !whom.contains(&it.whom) {
            whom.push(it.whom);
        }
    }
    let mark = |(mut it, mut whom): (Raw, Vec<String>)| {
        it.lanes.sort_unstable();
        it.lanes.dedup();
        whom.sort_unstable();
        let text = it.words.replace("{}", &whom.join(", "));
        Mark { ms: ms(it.at), lanes: it.lanes, about: it.about, text }
    };
    all.into_iter().map(mark).collect()
}

/// Those notices that a picture shows, in its words, with the lanes that they are told on.
#[expect(clippy::wildcard_enum_match_arm, reason = "a picture shows few of them")]
pub(super) fn said(entry: &Entry, lanes: Vec<usize>) -> Option<Raw> {
    let teller = &entry.node;
    let (words, whom, once) = match entry.notice.as_ref()? {
        Notice::Suspected(node, _) => (format!("{teller} suspects {{}}"), node.clone(), false),
        // the others of a half say who asks; that one tells it as well
        Notice::Tied(_, what) if !what.contains(" asks ") => {
            ("{}: QUORUMTIE".to_owned(), teller.clone(), false)
        }
        Notice::Granted(_) => ("{}: HAVEQUORUM".to_owned(), teller.clone(), false),
        Notice::NotGranted(_) => ("{}: NOQUORUM".to_owned(), teller.clone(), false),
        Notice::WentOn(_, out) => {
            ("goes on without the vote of {}".to_owned(), out.join(", "), true)
        }
        Notice::Removed(node, ..) => ("{} out of the view".to_owned(), node.clone(), true),
        Notice::RegisterLost => {
            ("{}: alert, nothing breaks ties".to_owned(), teller.clone(), false)
        }
        Notice::Vouched(..) => ("{}: an operator's word".to_owned(), teller.clone(), false),
        _ => return None,
    };
    Some(Raw { at: entry.boot, lanes, about: About::Quorum, words, whom, once })
}
