//! Rules of placement out of bytes: mostly about what there is, now and then about what is not.

use stead_core::state::config::{
    During, Expectation, Expected, Fate, NodeRules, Place, RulesConfig, ServiceRules, Strength,
    TimeConfig,
};
use stead_core::time::Span;
use stead_fuzz::Draw;

use super::values::{maybe, service, several};

/// A node, or a label.
pub fn place(draw: &mut Draw<'_>) -> Place {
    match draw.below(3) {
        0 => Place::of(&format!("site={}", text(draw))),
        1 => Place::of(&format!("{}={}", text(draw), text(draw))),
        _ => Place::Node(format!("node{}", draw.below(5))),
    }
}

/// All that can be said.
pub fn rules(draw: &mut Draw<'_>) -> RulesConfig {
    let nodes = several(draw, |draw| (format!("node{}", draw.below(5)), of_node(draw)));
    let services = several(draw, |draw| (service(draw), of_service(draw)));
    let times = several(draw, |draw| (text(draw), of_time(draw)));
    RulesConfig {
        nodes: nodes.into_iter().collect(),
        services: services.into_iter().collect(),
        times: times.into_iter().collect(),
        expects: several(draw, expectation),
    }
}

fn expectation(draw: &mut Draw<'_>) -> Expectation {
    let expected = |draw: &mut Draw<'_>| Expected {
        service: service(draw),
        fate: match draw.below(3) {
            0 => Fate::Runs,
            1 => Fate::Nowhere,
            _ => Fate::On(place(draw)),
        },
        within: maybe(draw, |draw| Span::from_micros(draw.number())),
    };
    Expectation { fail: several(draw, place), then: several(draw, expected) }
}

pub fn text(draw: &mut Draw<'_>) -> String {
    format!("t{}", draw.below(3))
}

/// Mostly a little, sometimes more than anything has.
fn amount(draw: &mut Draw<'_>) -> u64 {
    match draw.byte() {
        byte @ 0..200 => u64::from(byte % 8),
        200..=255 => draw.number(),
    }
}

fn of_node(draw: &mut Draw<'_>) -> NodeRules {
    let labels = several(draw, |draw| (text(draw), text(draw)));
    let capacity = several(draw, |draw| (text(draw), amount(draw)));
    NodeRules { labels: labels.into_iter().collect(), capacity: capacity.into_iter().collect() }
}

fn of_service(draw: &mut Draw<'_>) -> ServiceRules {
    let strength = |draw: &mut Draw<'_>| match draw.flag() {
        true => Strength::Must,
        false => Strength::Rather(draw.byte()),
    };
    let pair = |draw: &mut Draw<'_>| (service(draw), strength(draw));
    ServiceRules {
        only: several(draw, place),
        never: several(draw, place),
        uses: several(draw, |draw| (text(draw), amount(draw))).into_iter().collect(),
        together: several(draw, pair).into_iter().collect(),
        apart: several(draw, pair).into_iter().collect(),
        apart_by: maybe(draw, text),
        failback_at: maybe(draw, text),
        during: several(draw, |draw| (text(draw), during(draw))).into_iter().collect(),
    }
}

fn during(draw: &mut Draw<'_>) -> During {
    During {
        prefer: maybe(draw, |draw| several(draw, |draw| place(draw).to_string())),
        only: maybe(draw, |draw| several(draw, place)),
        never: maybe(draw, |draw| several(draw, place)),
    }
}

fn of_time(draw: &mut Draw<'_>) -> TimeConfig {
    let minutes = |draw: &mut Draw<'_>| u16::from(draw.byte()) * 6;
    TimeConfig {
        days: several(draw, |draw| draw.byte() % 8).into_iter().collect(),
        from: minutes(draw),
        to: minutes(draw),
        zone: text(draw),
    }
}
