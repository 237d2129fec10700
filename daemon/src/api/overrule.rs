//! `stead quorum override`: half of the voters goes on by an operator's word.

use std::time::Duration;

use stead_core::id::Grant;
use stead_core::node::{Overridable, Word};
use stead_core::state::{Change, Override};
use stead_core::time::Span;

use super::message::{Failure, OverrideAnswer};
use super::requests::{Answered, reason_of};
use super::{Desk, features};
use crate::driver::view::View;
use crate::journal::wall;

/// The shortest time that a word counts for, and the longest.
const TIMES: (Span, Span) = (Span::from_millis(60_000), Span::from_millis(24 * 3_600_000));
/// How long the half may take to go on. The word counts on after it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says what an override would mean; with a time, gives the word and waits for what comes of it.
pub(super) async fn overrule(
    desk: &Desk,
    seconds: Option<u64>,
    force: bool,
    reason: String,
) -> Answered<OverrideAnswer> {
    let view = desk.handle.view();
    let answer = possible(&view)?;
    let Some(seconds) = seconds else { return Ok(answer) };
    let span = Span::from_millis(seconds.saturating_mul(1_000));
    check(span)?;
    let reason = reason_of(reason, Some("say with --reason why the others are off"))?;
    if let (Some(why), false) = (&answer.refused, force) {
        let message = format!("{why}; nothing was changed");
        let next = "if you know that the other half never runs again as it is, say it twice: \
                    add --force";
        return Err(Failure::unchanged(message, next));
    }
    let before = view.state.later.grant;
    let wall = wall();
    let word = Word { span, forced: force, reason, wall };
    features::check_of(&view, &sample(&view, &word), |node| view.hears(*node))?;
    desk.handle.vouch(word);
    let went_on = went_on(desk, before).await;
    let next = match went_on {
        None => "it counts on this node until its time is over: see `stead quorum`".to_owned(),
        Some(_) if force => format!(
            "empty {} before it runs again (there: stead leave --forget --yes), then let it join \
             anew",
            answer.absent.join(", ")
        ),
        Some(_) => match answer.absent.as_slice() {
            [one] => format!("{one} votes again by itself once it is back"),
            all => format!("{} vote again by themselves once they are back", all.join(", ")),
        },
    };
    Ok(OverrideAnswer { grant: went_on.map(|grant| grant.0), next: Some(next), ..answer })
}

fn possible(view: &View) -> Answered<OverrideAnswer> {
    match &view.overridable {
        Overridable::Here { absent, refused } => Ok(OverrideAnswer {
            absent: absent.iter().map(|node| view.state.name(*node)).collect(),
            refused: refused.as_ref().map(ToString::to_string),
            grant: None,
            next: None,
        }),
        Overridable::On(node) => Err(Failure::unchanged(
            "another node of this half has more of the log; nothing was changed",
            format!("say it on {}", view.state.name(*node)),
        )),
        Overridable::Nothing => Err(Failure::unchanged(
            "there is nothing to override: that is for exactly half of the voters, without a \
             coordinator; nothing was changed",
            "see what is missing: stead quorum. Fewer than half do not have all that was decided: \
             bring others back",
        )),
    }
}

fn check(span: Span) -> Answered<()> {
    let (shortest, longest) = TIMES;
    if span < shortest || span > longest {
        let message = format!(
            "an override counts for {} to {}, not for {}; nothing was changed",
            shortest.in_words(),
            longest.in_words(),
            span.in_words()
        );
        return Err(Failure::unchanged(message, "name another time with --for"));
    }
    Ok(())
}

/// A change of the kind that comes of it, to see who reads such ones.
fn sample(view: &View, word: &Word) -> Change {
    Change::Override(Override {
        number: view.state.later.grant,
        out: view.identity.node,
        absent: Default::default(),
        forced: word.forced,
        reason: word.reason.clone(),
        by: view.identity.name.clone(),
        wall: word.wall,
    })
}

/// Waits until a word of an operator's is committed.
async fn went_on(desk: &Desk, before: Grant) -> Option<Grant> {
    let mut handle = desk.handle.clone();
    let newest = |view: &View| view.state.later.overrides.last().map(|word| word.number);
    let waited = async {
        loop {
            if let Some(number) = newest(&handle.view()).filter(|number| *number > before) {
                return Some(number);
            }
            if !handle.changed().await {
                return None;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.ok().flatten()
}
