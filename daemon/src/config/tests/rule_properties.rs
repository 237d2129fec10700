//! Rules of placement that are drawn: what can be followed is never refused, and what leaves
//! services that go together no node always is. Both are found out by trying every node for every
//! service.

use std::collections::BTreeMap;

use stead_core::id::ServiceId;
use stead_core::state::config::{
    Config, During, Expectation, Expected, Fate, NodeRules, Place, ServiceRules, Strength,
    TimeConfig,
};
use stead_core::time::Span;

use super::super::{read, render};
use super::{GOOD, drawn};

/// Numbers out of one.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to one less than that.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (end as u64)).expect("it is below a usize")
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// Labels of nodes, and how much they have.
fn draw_nodes(config: &mut Config, most: usize, dice: &mut Dice) {
    for name in config.nodes.keys() {
        let mut rules = NodeRules::default();
        if !dice.once_in(3) {
            rules.labels.insert("rack".to_owned(), format!("r{}", dice.below(3)));
        }
        rules.capacity.insert("memory".to_owned(), dice.below(most) as u64);
        config.later.fencing.rules.nodes.insert(name.clone(), rules);
    }
}

/// All nodes and labels that rules may name.
fn places(config: &Config) -> Vec<Place> {
    let mut places: Vec<_> = config.nodes.keys().map(|name| Place::Node(name.clone())).collect();
    for name in config.nodes.keys() {
        for label in ["rack", "site"] {
            let value = config.label(name, label);
            places.extend(value.map(|value| Place::of(&format!("{label}={value}"))));
        }
    }
    places.sort();
    places.dedup();
    places
}

/// Rules that can be followed: each service has a place in secret, and no rule speaks against it.
pub(super) fn draw_possible(config: &mut Config, seed: u64) {
    let dice = &mut Dice::new(seed);
    draw_nodes(config, 9, dice);
    for rules in config.later.fencing.rules.nodes.values_mut() {
        rules.capacity.entry("memory".to_owned()).and_modify(|it| *it += 1_000);
    }
    let time = |days: &[u8], zone: &str| TimeConfig {
        days: days.iter().copied().collect(),
        from: u16::try_from(seed % 1_440).expect("of a day"),
        to: 1_440,
        zone: zone.to_owned(),
    };
    let times = [("night", time(&[], "UTC")), ("weekend", time(&[5, 6], "Europe/Berlin"))];
    config.later.fencing.rules.times =
        times.into_iter().map(|(name, time)| (name.to_owned(), time)).collect();
    let places = places(config);
    let names: Vec<String> = config.nodes.keys().cloned().collect();
    let ids: Vec<ServiceId> = config.services.keys().cloned().collect();
    let secret: BTreeMap<ServiceId, String> =
        ids.iter().map(|id| (id.clone(), dice.pick(&names))).collect();
    for (id, home) in &secret {
        let mut rules = ServiceRules::default();
        let (here, away): (Vec<Place>, Vec<Place>) =
            places.iter().cloned().partition(|place| config.is_there(home, place));
        if dice.once_in(2) {
            rules.only = vec![dice.pick(&here)];
            rules.only.extend(away.iter().filter(|_| dice.once_in(3)).cloned());
        }
        rules.never = away.into_iter().filter(|_| dice.once_in(4)).collect();
        if dice.once_in(2) {
            rules.uses.insert("memory".to_owned(), dice.below(300) as u64);
        }
        let by = [None, Some("rack"), Some("site")][dice.below(3)];
        let by = by.filter(|by| names.iter().any(|name| config.label(name, by).is_some()));
        for (other, there) in secret.iter().filter(|(other, _)| *other != id) {
            let rather = Strength::Rather(u8::try_from(dice.below(100) + 1).expect("to 100"));
            let label = |node: &str| by.and_then(|by| config.label(node, by));
            let same = there == home || label(home).is_some() && label(home) == label(there);
            let weak = dice.once_in(2);
            if dice.once_in(3) {
                let strength = if weak || there != home { rather } else { Strength::Must };
                rules.together.insert(other.clone(), strength);
            }
            if dice.once_in(3) {
                let strength = if weak || same { rather } else { Strength::Must };
                rules.apart.insert(other.clone(), strength);
            }
        }
        rules.apart_by = by.filter(|_| !rules.apart.is_empty()).map(str::to_owned);
        draw_times(&mut rules, home, &places, dice);
        if rules != ServiceRules::default() {
            config.later.fencing.rules.services.insert(id.clone(), rules);
        }
        let prefer = places.iter().filter(|_| dice.once_in(4)).map(Place::to_string);
        let prefer: Vec<String> = prefer.collect();
        let at_times = config.rules(id).is_some_and(|rules| rules.failback_at.is_some());
        if let Some(service) = config.services.get_mut(id) {
            service.failback &= !at_times;
            if !prefer.is_empty() {
                service.prefer = prefer;
            }
        }
    }
    draw_expects(config, &places, dice);
}

/// Expectations that are not against themselves: whether they would come is not looked at.
fn draw_expects(config: &mut Config, places: &[Place], dice: &mut Dice) {
    let names: Vec<String> = config.nodes.keys().cloned().collect();
    let ids: Vec<ServiceId> = config.services.keys().cloned().collect();
    for _ in 0..dice.below(3) {
        let fail: Vec<Place> = places.iter().filter(|_| dice.once_in(4)).cloned().collect();
        let fails = |name: &String| fail.iter().any(|it| config.is_there(name, it));
        let (gone, left): (Vec<&String>, Vec<&String>) = names.iter().partition(|it| fails(it));
        if gone.is_empty() || left.is_empty() {
            continue;
        }
        let mut then = Vec::new();
        for service in &ids {
            if dice.once_in(2) {
                continue;
            }
            let fate = match dice.below(3) {
                0 => Fate::Runs,
                1 => Fate::Nowhere,
                _ => Fate::On(Place::Node(dice.pick(&left).clone())),
            };
            let timed = fate != Fate::Nowhere && dice.once_in(2);
            let within = timed.then(|| Span::from_micros(dice.below(9_000_000) as u64 + 1));
            then.push(Expected { service: service.clone(), fate, within });
        }
        if !then.is_empty() {
            config.later.fencing.rules.expects.push(Expectation { fail, then });
        }
    }
}

/// What is said for a time, which leaves it its home.
fn draw_times(rules: &mut ServiceRules, home: &str, places: &[Place], dice: &mut Dice) {
    if dice.once_in(3) {
        rules.failback_at = Some("night".to_owned());
    }
    if dice.once_in(3) {
        let during = During {
            prefer: dice.once_in(2).then(|| vec![dice.pick(places).to_string()]),
            only: Some(vec![Place::Node(home.to_owned())]),
            never: dice.once_in(2).then(Vec::new),
        };
        rules.during.insert("weekend".to_owned(), during);
    }
}

/// Rules of any kind, about three nodes and four services.
fn draw_any(seed: u64) -> Config {
    let mut text = GOOD.replace("[nodes.node2]", "[nodes.node2]\nsite = \"east\"");
    for (number, name) in (101..).zip(["a", "b", "c"]) {
        text += &format!("\n[services.{name}]\naddresses = [\"10.0.0.{number}/24\"]\n");
    }
    let mut config = read("cluster.toml", &text).expect("usable").config;
    let dice = &mut Dice::new(seed);
    draw_nodes(&mut config, 6, dice);
    let places = places(&config);
    let ids: Vec<ServiceId> = config.services.keys().cloned().collect();
    for id in &ids {
        let mut rules = ServiceRules::default();
        if dice.once_in(3) {
            rules.only = vec![dice.pick(&places)];
        }
        rules.never = places.iter().filter(|_| dice.once_in(9)).cloned().collect();
        if dice.once_in(2) {
            rules.uses.insert("memory".to_owned(), dice.below(4) as u64);
        }
        for other in ids.iter().filter(|other| *other != id) {
            let strength = if dice.once_in(3) { Strength::Rather(50) } else { Strength::Must };
            if dice.once_in(7) {
                rules.together.insert(other.clone(), strength);
            } else if dice.once_in(5) {
                rules.apart.insert(other.clone(), strength);
            }
        }
        let racks = config.nodes.keys().any(|name| config.label(name, "rack").is_some());
        let by = racks && !rules.apart.is_empty() && dice.once_in(2);
        rules.apart_by = by.then(|| "rack".to_owned());
        if rules != ServiceRules::default() {
            config.later.fencing.rules.services.insert(id.clone(), rules);
        }
    }
    config
}

/// Where each of some services is.
type At<'c> = BTreeMap<&'c ServiceId, &'c str>;

/// Whether no rule about these services is broken that must not be.
fn is_kept(config: &Config, at: &At<'_>) -> bool {
    let used = |node: &str| -> u64 {
        let there = at.iter().filter(|(_, it)| **it == node);
        there.filter_map(|(id, _)| config.rules(id)?.uses.get("memory")).sum()
    };
    at.iter().all(|(id, here)| {
        let Some(rules) = config.rules(id) else { return true };
        let is = |place: &Place| config.is_there(here, place);
        let label = |node: &str| rules.apart_by.as_ref().and_then(|by| config.label(node, by));
        let one_place =
            |there: &str| *here == there || label(here).is_some() && label(here) == label(there);
        let must = |(other, strength): (&ServiceId, &Strength)| {
            at.get(other).copied().filter(|_| *strength == Strength::Must)
        };
        let together = rules.together.iter().filter_map(must).all(|there| there == *here);
        let apart = !rules.apart.iter().filter_map(must).any(one_place);
        let placed =
            (rules.only.is_empty() || rules.only.iter().any(is)) && !rules.never.iter().any(is);
        together && apart && placed && used(here) <= config.capacity(here, "memory")
    })
}

/// Whether those services can be somewhere, on one node if they have to.
fn can_be(config: &Config, services: &[&ServiceId], on_one: bool) -> bool {
    let nodes: Vec<&str> = config.nodes.keys().map(String::as_str).collect();
    let ways = if on_one { nodes.len() } else { nodes.len().pow(services.len() as u32) };
    (0..ways).any(|way| {
        let node = |number: usize| match on_one {
            true => nodes[way],
            false => nodes[way / nodes.len().pow(number as u32) % nodes.len()],
        };
        let at = services.iter().enumerate().map(|(number, id)| (*id, node(number)));
        is_kept(config, &at.collect())
    })
}

/// The services that have to be on one node with that one.
fn with<'c>(config: &'c Config, first: &'c ServiceId) -> Vec<&'c ServiceId> {
    let mut all = vec![first];
    let says = |one: &ServiceId, other: &ServiceId| {
        config.rules(one).and_then(|it| it.together.get(other)) == Some(&Strength::Must)
    };
    while let Some(next) = config
        .services
        .keys()
        .find(|it| !all.contains(it) && all.iter().any(|one| says(one, it) || says(it, one)))
    {
        all.push(next);
    }
    all
}

#[test]
fn what_can_be_followed_is_accepted_and_what_leaves_no_node_is_refused() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..4_000 {
        let config = draw_any(seed);
        let all: Vec<_> = config.services.keys().collect();
        let possible = can_be(&config, &all, false);
        let hopeless = all.iter().any(|id| !can_be(&config, &with(&config, id), true));
        match read("cluster.toml", &render(&config)) {
            Ok(checked) => {
                assert_eq!(checked.config, config, "seed {seed}");
                assert!(!hopeless, "seed {seed}: some have no node\n{}", render(&config));
                accepted += 1;
            }
            Err(rejected) => {
                let said = drawn(&rejected);
                assert!(!possible, "seed {seed}: it could be\n{}\n{said}", render(&config));
                refused += 1;
            }
        }
    }
    assert!(accepted > 400 && refused > 400, "{accepted} accepted, {refused} refused");
}
