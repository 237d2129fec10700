//! What an older member would not understand is not proposed while there may be one.
//!
//! Members of unlike versions talk to each other while a cluster is upgraded. A change that one of
//! them overlooks or refuses, and the others apply, would make of one state two. So whoever brings
//! such a change in asks first: does every member's daemon speak the version that reads it? From
//! its commit on none speaks an older one (`Peers::require`), so a member that is brought back to
//! an older program is refused at the hello, and named, instead of led astray.

use std::time::Duration;

use stead_core::id::NodeId;
use stead_core::state::{
    Change, PROTOCOL_0_2, PROTOCOL_0_3, PROTOCOL_0_4, PROTOCOL_0_5, PROTOCOL_0_6, PROTOCOL_0_7,
};
use tokio::time::timeout;

use super::message::Failure;
use crate::driver::handle::Handle;
use crate::driver::view::View;

/// How long members are waited for that have to be called first.
const MEETING: Duration = Duration::from_secs(2);

/// Refuses a change that not every member is known to read.
///
/// # Errors
/// Names those members, and says what to do. Nothing was proposed.
pub(super) fn check(view: &View, change: &Change) -> Result<(), Failure> {
    check_of(view, change, |_| true)
}

/// The same, after those were called that this node has no connection to: only who coordinates is
/// connected to all without that.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_all(handle: &Handle, change: &Change) -> Result<(), Failure> {
    let first = check(&handle.view(), change);
    if first.is_ok() || !handle.meet_all() {
        return first;
    }
    let mut looking = handle.clone();
    let all_fit =
        async { while check(&looking.view(), change).is_err() && looking.changed().await {} };
    // Who does not answer in time is named by the second look.
    let _late = timeout(MEETING, all_fit).await;
    check(&handle.view(), change)
}

/// The same as [`check`] for a change that some members can't be asked about: they are off. Who
/// comes back with an older program is refused at the hello.
pub(super) fn check_of(
    view: &View,
    change: &Change,
    asked: impl Fn(&NodeId) -> bool,
) -> Result<(), Failure> {
    let needed = change.protocol();
    if needed <= PROTOCOL_0_2.max(view.state.more.protocol) {
        return Ok(());
    }
    let others = view.state.members.keys().filter(|node| **node != view.identity.node);
    let others = others.filter(|node| asked(node));
    let unfit: Vec<_> = others.filter_map(|node| unfit(view, *node, needed)).collect();
    refusal(needed, &unfit, &coordinator(view)).map_or(Ok(()), Err)
}

/// What is known against a member.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    /// It runs that, which is older.
    Runs(String, String),
    /// Nobody of that name is connected, so what it runs is not known.
    Away(String),
}

/// Names them, and says what to do; nothing if there are none.
fn refusal(needed: u16, unfit: &[Unfit], coordinator: &str) -> Option<Failure> {
    let (mut old, mut away) = (Vec::new(), Vec::new());
    for it in unfit {
        match it {
            Unfit::Runs(name, what) => old.push(format!("{name} runs {what}")),
            Unfit::Away(name) => away.push(name.as_str()),
        }
    }
    let mut why = Vec::new();
    let mut next = Vec::new();
    if !old.is_empty() {
        next.push("upgrade the rest".to_owned());
        why.push(old.join(", "));
    }
    match &away[..] {
        [] => {}
        [name] => {
            why.push(format!(
                "{name} is not connected to this node, so what runs there is not known"
            ));
            next.push(format!("start {name}'s daemon, mend the way to it, or let it leave"));
        }
        names => {
            why.push(format!(
                "{} are not connected to this node, so what runs there is not known",
                names.join(", ")
            ));
            next.push("start their daemons, mend the way to them, or let them leave".to_owned());
        }
    }
    if why.is_empty() {
        return None;
    }
    let release = match needed {
        ..=PROTOCOL_0_3 => "0.3",
        PROTOCOL_0_4 => "0.4",
        PROTOCOL_0_5 => "0.5",
        PROTOCOL_0_6 => "0.6",
        PROTOCOL_0_7 => "0.7",
        _ => "0.8",
    };
    Some(Failure::unchanged(
        format!(
            "every member has to understand this, which is new in stead {release}: {}; nothing \
             was changed",
            why.join("; ")
        ),
        format!("{}; then try again{coordinator}", next.join("; ")),
    ))
}

/// Whoever coordinates is connected to all; others may not be.
fn coordinator(view: &View) -> String {
    let other = view.log.leader.filter(|leader| *leader != view.identity.node);
    other
        .map(|node| format!(" on {}, which coordinates", view.state.name(node)))
        .unwrap_or_default()
}

/// What is known against a member, in words.
fn unfit(view: &View, node: NodeId, needed: u16) -> Option<Unfit> {
    let name = view.state.name(node);
    match view.connected.iter().find(|it| it.node == node) {
        Some(connected) if connected.version >= needed => None,
        Some(connected) => Some(Unfit::Runs(name, connected.software.clone())),
        None => Some(Unfit::Away(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(unfit: &[Unfit]) -> String {
        let failure = refusal(PROTOCOL_0_4, unfit, " on node1, which coordinates");
        failure.map(|it| format!("{}. Next: {}", it.message, it.next)).unwrap_or_default()
    }

    #[test]
    fn who_is_not_connected_is_told_apart_from_who_is_too_old() {
        let away = |name: &str| Unfit::Away(name.to_owned());
        let old = Unfit::Runs("node4".to_owned(), "0.3.0".to_owned());
        assert_eq!(told(&[]), "");
        assert_eq!(
            told(&[away("node3")]),
            "every member has to understand this, which is new in stead 0.4: node3 is not \
             connected to this node, so what runs there is not known; nothing was changed. Next: \
             start node3's daemon, mend the way to it, or let it leave; then try again on node1, \
             which coordinates"
        );
        assert_eq!(
            told(&[away("node2"), old, away("node3")]),
            "every member has to understand this, which is new in stead 0.4: node4 runs 0.3.0; \
             node2, node3 are not connected to this node, so what runs there is not known; \
             nothing was changed. Next: upgrade the rest; start their daemons, mend the way to \
             them, or let them leave; then try again on node1, which coordinates"
        );
    }
}
