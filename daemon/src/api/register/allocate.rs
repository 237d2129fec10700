//! Finding what is free, and keeping it before somebody else does.
//!
//! Free is what the state knows of nobody, and what nobody answers for on the segment. Of two who
//! ask at once both may find the same; the log puts one of them first, and the other tries the next
//! that is free.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use stead_core::redirect::Probing;
use stead_core::state::config::{AddressRange, NetworkConfig, ServiceAddress};
use stead_core::state::{Change, Refusal, RegisterChange, Registered, Reservation, State};
use stead_core::time::Span;
use stead_edge::chain;
use stead_linux::netlink::Netlink;

use super::pools_there;
use super::{Failure, Handle, ReservedAnswer, Stranger, answer, commit, config_of, next};
use crate::alike::nearest;
use crate::api::requests::Answered;
use crate::redirect::{target, who_uses};

/// What stands for a MAC where the name of a network could.
const MAC: &str = "mac";
/// How many addresses are asked about at once.
const AT_ONCE: usize = 8;
/// How often that is done for one request: a segment on which so many addresses of the pool are
/// strangers' has another owner.
const ROUNDS: usize = 8;
/// How often another one is tried since somebody was faster.
const TRIES: usize = 16;
/// Neighbours answer within milliseconds; who sleeps (a card that saves power) within a second.
const PROBING: Probing =
    Probing { count: 2, interval: Span::from_millis(300), wait: Span::from_millis(700) };

/// Addresses, and who uses each, if anybody does.
pub(super) type Asked = Vec<(IpAddr, Option<String>)>;

/// Keeps the lowest free address of a network's pool, or a free MAC.
pub(super) async fn allocate(
    handle: &Handle,
    from: &str,
    reservation: Reservation,
    unasked: bool,
) -> Answered<ReservedAnswer> {
    if from == MAC {
        return a_mac(handle, reservation).await;
    }
    let view = handle.view();
    let config = config_of(&view.state)?;
    let pool = *config.redirect().pools.get(from).ok_or_else(|| no_pool(&view.state, from))?;
    let network = config.more.networks.get(from).cloned();
    let network = network.ok_or_else(|| no_pool(&view.state, from))?;
    let (node, from_owned) = (view.identity.name.clone(), from.to_owned());
    let who = |state: Arc<State>, some: Vec<IpAddr>| {
        let (network, node, from) = (network.clone(), node.clone(), from_owned.clone());
        async move {
            if unasked {
                return Ok(some.into_iter().map(|it| (it, None)).collect());
            }
            let asked = asked(&state, &network, some).await;
            asked.map_err(|why| not_asked(&node, &from, &why))
        }
    };
    an_address(handle, (from, &pool), reservation, who).await
}

/// The same, where that tells who uses addresses.
pub(super) async fn an_address<W>(
    handle: &Handle,
    (network, pool): (&str, &AddressRange),
    reservation: Reservation,
    who: impl Fn(Arc<State>, Vec<IpAddr>) -> W,
) -> Answered<ReservedAnswer>
where
    W: Future<Output = Answered<Asked>>,
{
    let mut passed = BTreeSet::new();
    let mut strangers: Vec<Stranger> = Vec::new();
    for _ in 0..ROUNDS {
        let state = handle.view().state.clone();
        let some = lowest(&state, pool, &passed);
        if some.is_empty() {
            break;
        }
        for (address, used_by) in who(state.clone(), some).await? {
            passed.insert(address);
            if let Some(who) = used_by {
                strangers.push((address, who));
                continue;
            }
            let what = Registered::Address(address);
            let next = next(&state, &what, &reservation);
            let reservation = reservation.clone();
            let reserve = RegisterChange::Reserve { what: what.clone(), reservation };
            match commit(handle, Change::Register(reserve)).await? {
                Ok(index) => {
                    let mut answer = answer(&what, index.0, next);
                    answer.passed_over = strangers.into_iter().map(|(_, who)| who).collect();
                    return Ok(answer);
                }
                // Somebody was faster.
                Err(Refusal::Claimed(..)) => {}
                Err(refusal) => return Err(refused(&refusal)),
            }
        }
    }
    Err(none_free(network, pool, &strangers))
}

/// The lowest that are nobody's by the register, a few of them.
fn lowest(state: &State, pool: &AddressRange, passed: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
    let mut passed = passed.clone();
    let mut some = Vec::new();
    while let Some(free) = state.free_address(pool, &passed).filter(|_| some.len() < AT_ONCE) {
        passed.insert(free);
        some.push(free);
    }
    some
}

/// Asks the segment, and this node itself, which does not hear its own answers.
async fn asked(state: &State, network: &NetworkConfig, some: Vec<IpAddr>) -> Result<Asked, String> {
    let services = state.config.iter().flat_map(|it| it.services.values());
    let moving: Vec<_> = services.flat_map(|it| &it.addresses).map(|it| it.ip).collect();
    let own = Netlink::open().and_then(|mut netlink| netlink.addresses());
    let own = own.map_err(|error| chain(&error))?;
    let mut targets = Vec::new();
    for ip in some {
        let (prefix, interface) = (network.prefix, network.interface.clone());
        let address = ServiceAddress { ip, prefix, interface };
        targets.push(target(&address, &moving).map_err(|error| chain(&error))?);
    }
    let all = who_uses(targets, PROBING).await?;
    let all = all.into_iter().map(|(target, who)| {
        let here = own.iter().any(|it| it.addr == target.address);
        let here = here.then(|| format!("{} is this node's own", target.address));
        (target.address, who.or(here))
    });
    Ok(all.collect())
}

async fn a_mac(handle: &Handle, reservation: Reservation) -> Answered<ReservedAnswer> {
    for _ in 0..TRIES {
        let state = handle.view().state.clone();
        config_of(&state)?;
        let Some(mac) = state.free_mac() else { break };
        let what = Registered::Mac(mac);
        let next = next(&state, &what, &reservation);
        let reservation = reservation.clone();
        let reserve = RegisterChange::Reserve { what: what.clone(), reservation };
        match commit(handle, Change::Register(reserve)).await? {
            Ok(index) => return Ok(answer(&what, index.0, next)),
            // Somebody was faster, and this node may not have heard of it yet.
            Err(refusal @ Refusal::Claimed(..)) => {
                tracing::debug!("another MAC is tried: {refusal}");
                wait_for_news(handle, state.applied).await;
            }
            Err(refusal) => return Err(refused(&refusal)),
        }
    }
    let message = "others were faster each time, or no MAC is free; nothing was changed";
    Err(Failure::unchanged(message, "try again"))
}

/// Waits until this node has applied something more; not for long.
async fn wait_for_news(handle: &Handle, applied: stead_core::id::Index) {
    let after = stead_core::id::Index(applied.0.saturating_add(1));
    crate::api::requests::applied(handle.clone(), after).await;
}

fn no_pool(state: &State, from: &str) -> Failure {
    let config = state.config.as_ref();
    let is_network = config.is_some_and(|it| it.more.networks.contains_key(from));
    let why = if is_network { "has no pool" } else { "is no network" };
    let pools = config.iter().flat_map(|it| it.redirect().pools.keys().map(String::as_str));
    let known = pools_there(state);
    let next = match (nearest(from, pools), known.is_empty()) {
        (Some(near), _) if !is_network => format!("did you mean {near}?"),
        (_, false) => format!("there are pools of: {known}"),
        (_, true) => "no network has one: say from where addresses are given out,  pool = \
                      \"10.0.0.100-10.0.0.199\"  in a table [networks.NAME] of cluster.toml"
            .to_owned(),
    };
    Failure::unchanged(format!("{from} {why}; nothing was changed"), next)
}

fn not_asked(node: &str, network: &str, why: &str) -> Failure {
    Failure::unchanged(
        format!(
            "{node} can't ask on {network} whether an address is in use: {why}; nothing was changed"
        ),
        "ask a node that is on that network; if its addresses are only routed, so that nobody \
         could answer: --unasked",
    )
}

fn none_free(network: &str, pool: &AddressRange, strangers: &[Stranger]) -> Failure {
    let message =
        format!("no address of {pool}, the pool of {network}, is free; nothing was changed");
    let next = "`stead register` lists whose they are: release some, or make `pool` larger";
    let shown: Vec<_> = strangers.iter().take(3).map(|(_, who)| who.as_str()).collect();
    let more = strangers.len().saturating_sub(shown.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Failure::unchanged(
        message,
        match shown.is_empty() {
            true => next.to_owned(),
            false => format!("{next}; not in the register: {}{more}", shown.join("; ")),
        },
    )
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::unchanged(format!("refused: {refusal}; nothing was changed"), "")
}
