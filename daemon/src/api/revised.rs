//! What is asked of the configurations that were in force.

use std::io;

use stead_core::state::State;

use super::Desk;
use super::message::{ConfigAnswer, Failure, RevisionAnswer, RevisionsAnswer};
use super::requests::{Answered, config_of};
use crate::config::differences;
use crate::revisions::{Revision, Revisions};

/// How many changes of somebody else are told in a failure.
const TOLD: usize = 5;

/// All that this node keeps.
pub(super) async fn list(desk: &Desk) -> Answered<RevisionsAnswer> {
    let revision = desk.handle.view().state.revision;
    let kept = read(desk, |revisions| revisions.list()).await?;
    let kept = kept.into_iter().map(|Revision { number, since, changes, more }| RevisionAnswer {
        number,
        since,
        changes,
        more,
    });
    Ok(RevisionsAnswer { revision, kept: kept.collect() })
}

/// The text of one.
pub(super) async fn one(desk: &Desk, number: u64) -> Answered<ConfigAnswer> {
    let newest = desk.handle.view().state.revision;
    let found = if number > newest {
        None
    } else {
        read(desk, move |revisions| revisions.text(number)).await?
    };
    if let Some((revision, text)) = found {
        return Ok(ConfigAnswer { revision, text });
    }
    let kept = read(desk, |revisions| revisions.list()).await?;
    let message = match kept.first() {
        Some(first) => format!(
            "revision {number} is not kept here, but {} to {newest} are; nothing was changed",
            first.number
        ),
        None => {
            format!("revision {number} is not kept here, nor any other yet; nothing was changed")
        }
    };
    let next = "ask on another node: each keeps what it has seen itself";
    Err(Failure::unchanged(message, next))
}

/// The revision that a plan for `base` may be applied to: that in force, if the configuration is
/// still what it was.
pub(super) async fn still_holds(desk: &Desk, base: u64, state: &State) -> Answered<u64> {
    if base == state.revision {
        return Ok(base);
    }
    let now = config_of(state)?;
    let then = read(desk, move |revisions| Ok(revisions.config(base))).await?;
    let since: Vec<String> = match &then {
        // Disarming and arming count as revisions too.
        Some(then) if then == now => return Ok(state.revision),
        Some(then) => differences(then, now).into_iter().map(|it| it.what).collect(),
        None => Vec::new(),
    };
    let mut told: String = since.iter().take(TOLD).map(|it| format!("\n  * {it}")).collect();
    if since.len() > TOLD {
        told.push_str(&format!("\n  * and {} more", since.len() - TOLD));
    }
    let what = if told.is_empty() { "" } else { "; since then somebody else changed:" };
    let message = format!(
        "the configuration is at revision {} now, the plan was made for {base}; nothing was \
         changed{what}{told}",
        state.revision
    );
    let next =
        "take that over into your file (stead diff, stead config), then look at `stead plan`";
    Err(Failure::unchanged(message, next))
}

async fn read<T: Send + 'static>(
    desk: &Desk,
    what: impl FnOnce(&Revisions) -> io::Result<T> + Send + 'static,
) -> Answered<T> {
    let revisions = desk.revisions.clone();
    revisions.caught_up(desk.handle.view().state.revision).await;
    let failed = |error: String| {
        let message = format!("the history can't be read: {error}; nothing was changed");
        Failure::unchanged(message, "look at the folder `revisions` of the node's state")
    };
    match tokio::task::spawn_blocking(move || what(&revisions)).await {
        Ok(read) => read.map_err(|error| failed(error.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}
