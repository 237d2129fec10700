//! The registers: nothing is handed out twice, whoever asks in which order, and all members agree.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_core::id::{Index, ServiceId};
use stead_core::redirect::Layer;
use stead_core::state::config::{
    AddressLayers, AddressRange, Config, NameConfig, NamedService, Prefix, RecordKind,
    ServiceAddress,
};
use stead_core::state::{
    Change, Claimed, MacAddress, Outcome, Refusal, RegisterChange, Registered, Reservation, State,
};
use stead_core::tail::Tailed;

use super::state::Book;
use super::wanted::{address, wanted};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn net(network: &str, length: u8) -> Registered {
    Registered::Prefix(Prefix { network: ip(network), length })
}

fn one(text: &str) -> Registered {
    Registered::Address(ip(text))
}

fn named(text: &str) -> Registered {
    Registered::Name(text.into())
}

fn kept_for(service: Option<&str>) -> Reservation {
    let (note, by) = ("the printer".into(), "a".into());
    Reservation { service: service.map(ServiceId::from), note, by }
}

fn reserve(what: Registered, service: Option<&str>) -> Change {
    Change::Register(RegisterChange::Reserve { what, reservation: kept_for(service) })
}

fn release(what: Registered) -> Change {
    Change::Register(RegisterChange::Release { what })
}

fn configure(book: &Book, config: Config) -> Change {
    Change::Configure { base: book.state.revision, config }
}

/// The same wanted state, whose service has an address, with that layer, as well.
fn with(mut config: Config, service: &str, address: &str, layer: Layer) -> Config {
    let it = config.services.entry(service.into()).or_default();
    it.addresses.push(ServiceAddress { ip: ip(address), prefix: 24, interface: None });
    let layers = AddressLayers { layers: vec![layer], on: Vec::new() };
    let redirect = &mut config.later.fencing.redirect;
    redirect.addresses.insert(ip(address), layers);
    config
}

fn mac_of(state: &State, service: &str) -> Option<MacAddress> {
    state.redirect().macs.get(&service.into()).copied()
}

/// What another member has that learns of the state at once, and not change by change.
fn copied<T: Tailed + Serialize + DeserializeOwned>(value: &T) -> T {
    fn through<T: Serialize + DeserializeOwned>(value: &T) -> T {
        let bytes = postcard::to_allocvec(value).expect("it can be written");
        postcard::from_bytes(&bytes).expect("it can be read")
    }
    let mut copy = through(value);
    if !T::TAILLESS {
        copy.add(through(&value.more()));
        copy.add_later(copied(&value.later()));
    }
    copy
}

#[test]
fn macs_are_the_same_on_every_member_and_are_given_back() {
    let mut book = Book::founded();
    let two = with(with(wanted(), "s0", "10.0.0.120", Layer::Mac), "s1", "10.0.0.121", Layer::Mac);
    let change = configure(&book, two.clone());
    let mut other = copied(&book.state);
    book.done(change.clone());
    assert_eq!(other.apply(book.state.applied, change), Outcome::Done);
    assert_eq!(other, book.state, "the same entry gives the same MACs");
    let (first, second) = (mac_of(&book.state, "s0"), mac_of(&book.state, "s1"));
    assert!(first.is_some() && second.is_some() && first != second);
    assert!(first.is_some_and(|it| it.is_usable() && it.0[0] == 2), "locally administered");
    // A configuration in which nothing of it changes leaves them.
    book.done(configure(&book, two));
    assert_eq!((mac_of(&book.state, "s0"), mac_of(&book.state, "s1")), (first, second));
    // From a snapshot on the counting goes on as everywhere.
    let mut other = copied(&book.state);
    assert_eq!(other, book.state);
    let three = with(wanted(), "s1", "10.0.0.121", Layer::Mac);
    let three = with(three, "s2", "10.0.0.122", Layer::Mac);
    let change = configure(&book, three);
    book.done(change.clone());
    assert_eq!(other.apply(Index(book.state.applied.0), change), Outcome::Done);
    assert_eq!(other, book.state);
    assert_eq!(mac_of(&book.state, "s0"), None, "it is given back");
    assert_eq!(mac_of(&book.state, "s1"), second);
    let third = mac_of(&book.state, "s2");
    assert!(third.is_some() && third != first && third != second, "not the one of a moment ago");
}

#[test]
fn a_mac_that_is_reserved_is_nobody_elses_and_one_for_a_service_is_used() {
    let mut book = Book::founded();
    let next = book.state.free_mac().expect("one is free");
    book.done(reserve(Registered::Mac(next), None));
    let after = book.state.free_mac().expect("one is free");
    assert_ne!(next, after);
    book.refused(
        reserve(Registered::Mac(next), Some("s0")),
        Refusal::Claimed(Registered::Mac(next), "reserved: the printer".into()),
    );
    let own = MacAddress([0x52, 0x54, 0, 1, 2, 3]);
    book.done(reserve(Registered::Mac(own), Some("s1")));
    let two = with(with(wanted(), "s0", "10.0.0.120", Layer::Mac), "s1", "10.0.0.121", Layer::Mac);
    book.done(configure(&book, two));
    assert_eq!(mac_of(&book.state, "s0"), Some(after));
    assert_eq!(mac_of(&book.state, "s1"), Some(own));
    // It stays the service's when the reservation is over, and so nobody else's.
    book.done(release(Registered::Mac(own)));
    let whose = Refusal::Claimed(Registered::Mac(own), "service s1".into());
    book.refused(reserve(Registered::Mac(own), None), whose);
    assert_ne!(book.state.free_mac(), Some(after));
}

#[test]
fn what_is_used_is_not_reserved_for_others() {
    let mut book = Book::founded();
    let mut config = wanted();
    let names = NameConfig {
        name: "www.shop.example".into(),
        kind: RecordKind::Addresses,
        ttl: None,
        adopt: false,
    };
    let named_service = NamedService { names: vec![names], ..NamedService::default() };
    let node = config.nodes.get_mut("b").expect("there");
    node.addresses.insert("lan".into(), ip("10.0.0.2"));
    config.later.fencing.redirect.services.insert("s1".into(), named_service);
    book.done(configure(&book, config));
    let s0 = Registered::Address(address(0));
    let taken = |what: &Registered, whose: &str| Refusal::Claimed(what.clone(), whose.into());
    for service in [None, Some("s1"), Some("new")] {
        book.refused(reserve(s0.clone(), service), taken(&s0, "service s0"));
        let node = one("10.0.0.2");
        book.refused(reserve(node.clone(), service), taken(&node, "node b"));
        // A prefix is taken if anything in it is.
        book.refused(reserve(net("10.0.0.0", 29), service), taken(&node, "node b"));
    }
    let www = named("www.shop.example");
    book.refused(reserve(www.clone(), Some("s0")), taken(&www, "service s1"));
    // Its own it may keep beyond the configuration.
    book.done(reserve(www.clone(), Some("s1")));
    book.done(reserve(s0.clone(), Some("s0")));
    assert_eq!(book.state.claimed(&s0, Some(&"s0".into())), None);
    book.done(release(s0.clone()));
    book.refused(release(s0), Refusal::NotReserved);
}

#[test]
fn what_is_reserved_is_reserved_once() {
    let mut book = Book::founded();
    let reserved = |what: Registered, whose: &str| Refusal::Claimed(what, whose.into());
    let printer = one("10.0.0.50");
    book.done(reserve(printer.clone(), None));
    let whose = "reserved: the printer";
    for service in [None, Some("s0")] {
        book.refused(reserve(printer.clone(), service), reserved(printer.clone(), whose));
        let around = net("10.0.0.48", 28);
        book.refused(reserve(around, service), reserved(printer.clone(), whose));
    }
    // Of two who ask for the same service the second is refused too: each wants one of its own.
    let (lan, whose) = (net("10.1.0.0", 16), "reserved for service new");
    book.done(reserve(lan.clone(), Some("new")));
    book.refused(reserve(lan.clone(), Some("new")), reserved(lan.clone(), whose));
    for what in [one("10.1.2.3"), net("10.1.2.0", 24), net("10.0.0.0", 15)] {
        if what == net("10.0.0.0", 15) {
            // The wider one holds what is used as well, which is named first.
            let refusal = Refusal::Claimed(Registered::Address(address(0)), "service s0".into());
            book.refused(reserve(what, None), refusal);
        } else {
            book.refused(reserve(what, None), reserved(lan.clone(), whose));
        }
    }
    book.done(reserve(one("10.1.2.3"), Some("new")));
    // A family says nothing of the other one.
    book.done(reserve(net("::", 0), None));
    assert_eq!(book.state.redirect().reservations.len(), 4);
}

#[test]
fn a_configuration_uses_what_is_kept_for_its_service_and_nothing_else() {
    let mut book = Book::founded();
    let (own, lan) = (one("10.2.0.9"), net("10.2.0.0", 24));
    book.done(reserve(own.clone(), Some("new")));
    let refused = |book: &mut Book, config: Config, what: &Registered, whose: &str| {
        let change = configure(book, config);
        book.refused(change, Refusal::Claimed(what.clone(), whose.into()));
    };
    let whose = "reserved for service new";
    refused(&mut book, with(wanted(), "s0", "10.2.0.9", Layer::Arp), &own, whose);
    let used = with(wanted(), "new", "10.2.0.9", Layer::Arp);
    assert_eq!(book.state.kept_from(&used), None);
    book.done(configure(&book, used));
    book.done(configure(&book, wanted()));
    book.done(release(own));
    // The same by a prefix with it in it, which the operator is told.
    book.done(reserve(lan.clone(), None));
    let used = with(wanted(), "new", "10.2.0.9", Layer::Arp);
    let (what, kept, _) = book.state.kept_from(&used).expect("it is kept");
    assert_eq!((what, kept), (one("10.2.0.9"), lan.clone()));
    refused(&mut book, used, &lan, "reserved: the printer");
    // A node's address is no service's.
    book.done(release(lan.clone()));
    book.done(reserve(lan.clone(), Some("new")));
    let mut config = wanted();
    let node = config.nodes.get_mut("b").expect("there");
    node.addresses.insert("lan".into(), ip("10.2.0.2"));
    refused(&mut book, config, &lan, whose);
    book.done(configure(&book, with(wanted(), "new", "10.2.0.9", Layer::Arp)));
}

#[test]
fn what_is_announced_as_a_whole_is_for_services_alone() {
    let mut book = Book::founded();
    let whole = Prefix { network: ip("203.0.113.0"), length: 24 };
    let announced = |mut config: Config| {
        config.later.fencing.redirect.prefixes.insert(whole);
        with(config, "s0", "203.0.113.7", Layer::Route)
    };
    book.done(configure(&book, announced(wanted())));
    let used = book.state.used();
    let prefix = used.iter().find(|it| it.what == Registered::Prefix(whole)).expect("listed");
    assert_eq!(prefix.by, Claimed::Announced(BTreeSet::from(["s0".into()])));
    assert_eq!(prefix.by.to_string(), "announced for s0");
    book.done(reserve(one("203.0.113.8"), Some("next")));
    let whose = "announced for s0".to_owned();
    let taken = Refusal::Claimed(Registered::Prefix(whole), whose);
    book.refused(reserve(one("203.0.113.9"), None), taken.clone());
    book.refused(reserve(net("203.0.112.0", 23), None), {
        // What lies in it is named first.
        Refusal::Claimed(one("203.0.113.7"), "service s0".into())
    });
    // An address in it is free all the same, for the next service.
    let pool = AddressRange { first: ip("203.0.113.7"), last: ip("203.0.113.9") };
    assert_eq!(book.state.free_address(&pool, &BTreeSet::new()), Some(ip("203.0.113.9")));
    // And the other way round.
    let mut book = Book::founded();
    book.done(reserve(one("203.0.113.9"), None));
    let refusal = Refusal::Claimed(one("203.0.113.9"), "reserved: the printer".into());
    let change = configure(&book, announced(wanted()));
    book.refused(change, refusal);
    book.done(release(one("203.0.113.9")));
    book.done(reserve(one("203.0.113.9"), Some("next")));
    book.done(configure(&book, announced(wanted())));
}

#[test]
fn the_lowest_address_that_is_nobodys_is_free() {
    let mut book = Book::founded();
    let pool = AddressRange { first: address(0), last: ip("10.0.0.104") };
    let free = |book: &Book, others: &[&str]| {
        let others = others.iter().map(|it| ip(it)).collect();
        book.state.free_address(&pool, &others)
    };
    // The services have .100 and .101.
    assert_eq!(free(&book, &[]), Some(ip("10.0.0.102")));
    assert_eq!(free(&book, &["10.0.0.102"]), Some(ip("10.0.0.103")));
    assert_eq!(book.state.free_addresses(&pool), 3);
    book.done(reserve(one("10.0.0.103"), None));
    assert_eq!(free(&book, &["10.0.0.102"]), Some(ip("10.0.0.104")));
    book.done(reserve(net("10.0.0.104", 30), None));
    assert_eq!(free(&book, &["10.0.0.102"]), None);
    assert_eq!(book.state.free_addresses(&pool), 1);
}

#[test]
fn a_reservation_has_bounds() {
    let mut book = Book::founded();
    let long = "x".repeat(256);
    for (note, by, service) in [(&*long, "a", "s0"), ("", &*long, "s0"), ("", "a", &*long)] {
        let (note, by) = (note.to_owned(), by.to_owned());
        let reservation = Reservation { service: Some(service.into()), note, by };
        let change = RegisterChange::Reserve { what: one("10.0.0.50"), reservation };
        book.refused(Change::Register(change), Refusal::TextTooLong);
    }
    book.refused(reserve(named(&long), None), Refusal::TextTooLong);
}
