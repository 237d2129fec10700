//! In which order the layers come, what is wrong with what is configured, and what a permission
//! would be worth.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::facts::{AddressFacts, Facts, Together, listed};
use super::judge::join;
use super::told::length;
use super::{LayerAdvice, Permission, Ranked, Verdict, plus};
use crate::redirect::Layer;
use crate::state::config::Caching;
use crate::time::Span;

/// How much shorter an outage has to be before that is said: what a person would notice.
const NOTICEABLE: Span = Span::from_millis(100);

/// What can be had comes first; then what perhaps can; then the rest.
fn class(advice: &LayerAdvice) -> u8 {
    let ends = advice.cost.as_ref().is_some_and(|it| it.unplanned.total().is_some());
    match &advice.verdict {
        Verdict::Possible if ends => 0,
        Verdict::Possible => 1,
        Verdict::Unknown => 2,
        Verdict::NotPermitted { .. } => 3,
        Verdict::NotPossible => 4,
    }
}

/// The order of the posts.
const fn in_the_tree(layer: Layer) -> u8 {
    match layer {
        Layer::Arp => 0,
        Layer::Mac => 1,
        Layer::Route => 2,
        Layer::Dns => 3,
        Layer::Knowledge => 4,
    }
}

/// All layers, the best first.
pub(super) fn ranking(layers: &[LayerAdvice]) -> Vec<Ranked> {
    let mut sorted: Vec<_> = layers.iter().collect();
    sorted.sort_by_key(|it| (class(it), in_the_tree(it.layer)));
    let together = layers.iter().any(|it| {
        it.layer == Layer::Arp && !matches!(it.verdict, Verdict::NotPossible | Verdict::Unknown)
    });
    let ranked = |(number, it): (usize, &LayerAdvice)| {
        let possible = it.verdict == Verdict::Possible;
        let why = match (&it.verdict, class(it)) {
            (Verdict::Possible, 1) => "by it alone some clients never come back".to_string(),
            (Verdict::Possible, _) => reason(it.layer, together).to_string(),
            (Verdict::NotPermitted { by }, _) => format!("not permitted by {by}"),
            (Verdict::Unknown | Verdict::NotPossible, _) => {
                it.reasons.first().cloned().unwrap_or_default()
            }
        };
        Ranked { layer: it.layer, rank: possible.then_some(number + 1), why }
    };
    sorted.into_iter().enumerate().map(ranked).collect()
}

const fn reason(layer: Layer, together: bool) -> &'static str {
    match (layer, together) {
        (Layer::Arp, _) => {
            "the nodes are on one segment: to take the address over is the most common way"
        }
        (Layer::Mac, _) => {
            "as fast, and no client's cache has to change; but ports are often locked to their MACs"
        }
        (Layer::Route, true) => "it works as well; on one segment nothing needs it",
        (Layer::Route, false) => {
            "the nodes are on different segments, and their routers take routes from them"
        }
        (Layer::Dns, true) => "it works everywhere, and caches make it slow",
        (Layer::Dns, false) => {
            "nothing has to be agreed with whoever runs the network; caches make it slow"
        }
        (Layer::Knowledge, _) => "last: each client has to be told, by a program on its machine",
    }
}

/// What doesn't work as it is configured, or could be better.
pub(super) fn warnings(facts: &Facts, layers: &[LayerAdvice]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let [only] = facts.nodes.as_slice() {
        warnings.push(format!("only {} may have {}: it can't move", only.name, facts.service));
        return warnings;
    }
    for address in facts.addresses.iter().filter(|it| it.is_on_segment() && it.moves()) {
        if let Together::No(who) = join(address, &address.nodes) {
            let by: Vec<_> = address.layers.iter().map(|it| it.name()).collect();
            warnings.push(format!(
                "{} is announced by {}, and moves between nodes of different segments ({who}): \
                 clients won't find it on some of them; give it `on`, or layers = [\"route\"]",
                address.ip,
                listed(&by),
            ));
        }
    }
    warnings.extend(facts.addresses.iter().filter_map(suppressed));
    for layer in layers.iter().filter(|it| it.used) {
        match (&layer.verdict, layer.layer) {
            (Verdict::NotPermitted { by }, _) => {
                warnings.push(format!("{} is in use, though {by} doesn't permit it", layer.layer));
            }
            (Verdict::NotPossible, Layer::Route) => {
                let why = layer.reasons.first().cloned().unwrap_or_default();
                warnings.push(format!("route is in use, and {why}: no route leads there then"));
            }
            (Verdict::Unknown, Layer::Route | Layer::Dns) => {
                let why = layer.reasons.join("; ");
                warnings.push(format!("{} is in use, and {why}", layer.layer));
            }
            (Verdict::Possible | Verdict::Unknown | Verdict::NotPossible, _) => {}
        }
    }
    warnings.extend(led(facts, layers));
    warnings
}

/// An address whose announcements nobody hears.
fn suppressed(address: &AddressFacts) -> Option<String> {
    address.suppressed_by().map(|_| {
        format!(
            "the segment of {} suppresses announcements, as takeovers showed: neighbours that the \
             new holder knows are told one by one, and all others go on to the old one until their \
             entries are old; turn the suppression off, or give the address a MAC of its own \
             (layers = [\"mac\"])",
            address.ip
        )
    })
}

/// Whether clients are led from node to node at all, and how fast that could be.
fn led(facts: &Facts, layers: &[LayerAdvice]) -> Vec<String> {
    let leading: Vec<_> =
        layers.iter().filter(|it| it.leads && it.verdict != Verdict::NotPossible).collect();
    let names: Vec<_> = leading.iter().map(|it| it.layer.name()).collect();
    let mut warnings = Vec::new();
    if leading.is_empty() {
        let text = "as configured no layer leads clients from every node to every other";
        warnings.push(text.to_string());
    }
    let dns_alone = names == [Layer::Dns.name()];
    if dns_alone && facts.caching == Caching::UntilRestart {
        let text = "clients keep names until they are started anew, and nothing but DNS leads \
                    them: have `stead client` restart them on their machines";
        warnings.push(text.to_string());
    }
    // What clients know reaches only those that run a program for it: no match for the others.
    let others = layers.iter().filter(|it| it.layer != Layer::Knowledge);
    let Some(best) = fastest(others.filter(|it| it.verdict == Verdict::Possible)) else {
        return warnings;
    };
    let now = fastest(leading.iter().copied().filter(|it| it.layer != Layer::Knowledge));
    let faster = now.is_none_or(|now| plus(best.1, NOTICEABLE) <= now.1);
    if faster && !leading.iter().any(|it| it.layer == best.0.layer) {
        let instead = match now {
            Some((now, span)) => format!(" instead of {} by {}", length(span), now.layer),
            None => String::new(),
        };
        let by = best.0.layer;
        let text = format!(
            "{by} is possible and would be faster when a node fails: {}{instead}",
            length(best.1)
        );
        warnings.push(text);
    }
    warnings
}

/// The one with the shortest unplanned outage.
fn fastest<'a>(layers: impl Iterator<Item = &'a LayerAdvice>) -> Option<(&'a LayerAdvice, Span)> {
    let with = layers.filter_map(|it| Some((it, it.cost.as_ref()?.unplanned.total()?)));
    with.min_by_key(|(it, span)| (*span, in_the_tree(it.layer)))
}

/// What each permission that is refused would be worth, beside the best layer that is permitted.
pub(super) fn permissions(
    facts: &Facts,
    layers: &[LayerAdvice],
    ranking: &[Ranked],
) -> Vec<Permission> {
    let first = ranking.first().filter(|it| it.rank.is_some());
    let first = first.and_then(|first| layers.iter().find(|it| it.layer == first.layer));
    let best = fastest(first.into_iter());
    let refused = layers.iter().filter_map(|it| match &it.verdict {
        Verdict::NotPermitted { by } => Some((it, by)),
        Verdict::Possible | Verdict::Unknown | Verdict::NotPossible => None,
    });
    refused.filter_map(|(it, by)| permission(facts, it, by, best)).collect()
}

fn permission(
    facts: &Facts,
    refused: &LayerAdvice,
    by: &str,
    best: Option<(&LayerAdvice, Span)>,
) -> Option<Permission> {
    let own = refused.cost.as_ref()?.unplanned.total()?;
    let (layer, service) = (refused.layer, &facts.service);
    let head = format!("To {by}, about {service} and the layer {layer}.");
    let needs = needs(facts, layer);
    let (saved, text) = match best {
        None => (
            Span::ZERO,
            format!(
                "Without it no permitted way leads all clients to {service} when its node fails. \
                 With it they are without {service} for {} at most.",
                length(own)
            ),
        ),
        Some((best, span)) => {
            let saved = span.saturating_sub(own);
            (saved, compared(facts, refused, own, (best, span)))
        }
    };
    Some(Permission { layer, who: by.into(), saved, words: format!("{head} {text} {needs}") })
}

fn compared(
    facts: &Facts,
    refused: &LayerAdvice,
    own: Span,
    (best, span): (&LayerAdvice, Span),
) -> String {
    let (service, layer, other) = (&facts.service, refused.layer, best.layer);
    let saved = span.saturating_sub(own);
    let mut text = if saved >= NOTICEABLE {
        format!(
            "When the node of {service} fails, clients are without it for {} by {other}, the best \
             way that is permitted; by {layer} it would be {}: {} less, each time.",
            length(span),
            length(own),
            length(saved)
        )
    } else {
        format!(
            "The permission would make no outage shorter for most clients: when the node of \
             {service} fails, they are without it for {} by {other}, which is permitted.",
            length(span)
        )
    };
    let longest = |it: &LayerAdvice| it.cost.as_ref().and_then(|it| it.unplanned.longest());
    if let (Some(theirs), Some(ours)) = (longest(best), longest(refused))
        && theirs.saturating_sub(ours) >= plus(saved, NOTICEABLE)
    {
        text.push_str(&format!(
            " For some clients it is up to {} by {other}, and {} by {layer}: {} less.",
            length(theirs),
            length(ours),
            length(theirs.saturating_sub(ours))
        ));
    }
    text
}

/// What would have to be permitted, in the words of whoever permits it.
fn needs(facts: &Facts, layer: Layer) -> String {
    let nodes: Vec<_> = facts.nodes.iter().map(|it| it.name.as_str()).collect();
    let nodes = listed(&nodes);
    let addresses: Vec<_> = facts.addresses.iter().map(|it| it.ip.to_string()).collect();
    let addresses = listed(&addresses);
    match layer {
        Layer::Mac => format!(
            "Needed is that the switch ports of {nodes} accept one MAC more each, locally \
             administered (02:…), which appears at one of these ports at a time."
        ),
        Layer::Arp => format!(
            "Needed is that {nodes} may answer for {addresses}, one of them at a time, and that \
             switches and routers accept their gratuitous ARP and neighbour advertisements."
        ),
        Layer::Route => format!(
            "Needed is that the routers next to {nodes} accept a route to {addresses} from them, \
             and hand it on."
        ),
        Layer::Dns => {
            let names: Vec<_> = facts.names.iter().map(|it| it.name.as_str()).collect();
            format!("Needed is a key for signed updates (RFC 2136, TSIG) of {}.", listed(&names))
        }
        Layer::Knowledge => "Needed is that `stead client` may run on the clients' machines, and \
                             reach the nodes."
            .to_string(),
    }
}
