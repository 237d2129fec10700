//! What an older member would not understand is not proposed while there may be one.
//!
//! Members of unlike versions talk to each other while a cluster is upgraded. A change that one of
//! them overlooks or refuses, and the others apply, would make of one state two. So whoever brings
//! such a change in asks first: does every member's daemon speak the version that reads it? From
//! its commit on none speaks an older one (`Peers::require`), so a member that is brought back to
//! an older program is refused at the hello, and named, instead of led astray.

use stead_core::id::NodeId;
use stead_core::state::{Change, PROTOCOL_0_2, PROTOCOL_0_3};

use super::message::Failure;
use crate::driver::view::View;

/// Refuses a change that not every member is known to read.
///
/// # Errors
/// Names those members, and says what to do. Nothing was proposed.
pub(super) fn check(view: &View, change: &Change) -> Result<(), Failure> {
    check_of(view, change, |_| true)
}

/// The same for a change that some members can't be asked about: they are off. Who comes back with
/// an older program is refused at the hello.
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
    if unfit.is_empty() {
        return Ok(());
    }
    Err(Failure::unchanged(
        format!(
            "this is new in stead {}, and not every member is known to understand it: {}; \
             nothing was changed",
            if needed <= PROTOCOL_0_3 { "0.3" } else { "0.4" },
            unfit.join(", ")
        ),
        format!(
            "upgrade the rest, have every member's daemon running (or let it leave), then try \
             again{}",
            coordinator(view)
        ),
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
fn unfit(view: &View, node: NodeId, needed: u16) -> Option<String> {
    let name = view.state.name(node);
    match view.connected.iter().find(|it| it.node == node) {
        Some(connected) if connected.version >= needed => None,
        Some(connected) => Some(format!("{name} runs {}", connected.software)),
        None => Some(format!("{name} is not connected, so its version is not known")),
    }
}
