//! What stands in the table: sets, rules, hooks, as messages of a batch.

use std::net::IpAddr;
use std::time::Duration;

use crate::gate::wire::{Attrs, Batch};

// enum nf_tables_msg_types
const NEWTABLE: u16 = 0;
pub(super) const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
pub(super) const GETCHAIN: u16 = 4;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
pub(super) const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;

const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// `NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST`: nobody else may change the table while its maker
/// lives, and it stays when the maker dies (Linux 6.9).
pub(super) const OWNED_AND_LASTING: u32 = OWNED | 0x4;
/// `NFT_TABLE_F_OWNER`.
pub(super) const OWNED: u32 = 0x2;

/// Earlier than everything that commonly hooks in here (raw tables use -300 as well).
const PRIORITY: i32 = -300;

/// How many elements one message carries at most.
const CHUNK: usize = 256;

/// The set of the names of strict devices. Packets are not looked up in it: which chain a device's
/// hook jumps to says the same. It is there for a successor.
pub(super) const STRICT_DEVICES: &str = "strict";
/// Key length in bytes, and the type number by which `nft list` shows it as an interface's name.
const DEVICE_KEY: (u32, u32) = (DEVICE_NAME as u32, 41);
/// What `nft list` reads beside a set: that its keys are not turned round
/// (`NFTNL_UDATA_SET_KEYBYTEORDER`, four bytes, host order). The kernel only keeps it.
const HOST_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};
/// The room of a device's name in the kernel, with its closing zero (`IFNAMSIZ`).
const DEVICE_NAME: usize = 16;

/// The two families; each has its own sets, since a set has one key length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(super) fn managed(self) -> &'static str {
        match self {
            Self::V4 => "managed4",
            Self::V6 => "managed6",
        }
    }

    pub(super) fn open(self, slot: usize) -> &'static str {
        match (self, slot) {
            (Self::V4, 0) => "open4",
            (Self::V4, _) => "open4b",
            (Self::V6, 0) => "open6",
            (Self::V6, _) => "open6b",
        }
    }

    /// Key length in bytes, and the type number by which `nft list` shows it as an address.
    fn key(self) -> (u32, u32) {
        match self {
            Self::V4 => (4, 7),
            Self::V6 => (16, 8),
        }
    }
}

/// Names of the two base chains of a device. They tell whether it is strict: so a device that
/// becomes it is hooked anew, in one batch.
pub(super) fn hook_names(device: &str, strict: bool) -> [String; 2] {
    [format!("in {device}"), format!("{} {device}", if strict { "strict" } else { "out" })]
}

pub(super) fn table_query(table: &str) -> Attrs {
    Attrs::new().text(1, table)
}

pub(super) fn elements_query(table: &str, set: &str) -> Attrs {
    Attrs::new().text(1, table).text(2, set)
}

pub(super) fn delete_table(batch: &mut Batch, table: &str) {
    batch.push("delete the table", DELTABLE, 0, Attrs::new().text(1, table));
}

/// The whole table, without hooks: nothing is looked at until a device is hooked.
pub(super) fn create_table(batch: &mut Batch, table: &str, flags: u32) {
    let attrs = Attrs::new().text(1, table).be32(2, flags);
    batch.push("create the table", NEWTABLE, CREATE, attrs);
    let sets = Family::ALL.into_iter().flat_map(|family| {
        let open = [0, 1].map(|slot| (family.open(slot), family.key(), 0x10));
        open.into_iter().chain([(family.managed(), family.key(), 0)])
    });
    for (id, set) in (1..).zip(sets.chain([(STRICT_DEVICES, DEVICE_KEY, 0)])) {
        create_set(batch, table, set, id);
    }
    let chains =
        [("ingress", ingress_rules()), ("egress", egress_rules()), ("strict", strict_rules())];
    for (chain, rules) in chains {
        let attrs = Attrs::new().text(1, table).text(3, chain);
        batch.push("create a chain", NEWCHAIN, CREATE, attrs);
        for rule in rules {
            push_rule(batch, table, chain, rule);
        }
    }
}

fn create_set(
    batch: &mut Batch,
    table: &str,
    (name, (length, kind), flags): (&str, (u32, u32), u32),
    id: u32,
) {
    let mut attrs = Attrs::new().text(1, table).text(2, name).be32(3, flags);
    attrs = attrs.be32(4, kind).be32(5, length).be32(10, id);
    if kind == DEVICE_KEY.1 {
        attrs = attrs.bytes(13, &HOST_ORDER);
    }
    batch.push("create a set", NEWSET, CREATE, attrs);
}

/// Hooks both directions of a device. Fails where the device is not there (ENOENT).
pub(super) fn hook(batch: &mut Batch, table: &str, device: &str, strict: bool) {
    let steps = ["hook the ingress of a device", "hook the egress of a device"];
    let targets = ["ingress", if strict { "strict" } else { "egress" }];
    let names = hook_names(device, strict);
    for (number, ((name, step), target)) in (0..).zip(names.iter().zip(steps).zip(targets)) {
        let hook = Attrs::new().be32(1, number);
        let hook = hook.bytes(2, &PRIORITY.to_be_bytes()).text(3, device);
        let attrs = Attrs::new().text(1, table).text(3, name).nest(4, &hook);
        batch.push(step, NEWCHAIN, CREATE, attrs.be32(5, 1).text(7, "filter"));
        push_rule(batch, table, name, Rule::default().verdict(JUMP, Some(target)));
    }
}

pub(super) fn unhook(batch: &mut Batch, table: &str, chain: &str) {
    let attrs = Attrs::new().text(1, table).text(3, chain);
    batch.push("unhook a device", DELCHAIN, 0, attrs);
}

/// Adds elements; one that is there stays as it is or, from Linux 6.12, takes the new timeout.
pub(super) fn add(batch: &mut Batch, table: &str, set: &str, elements: &[Element]) {
    change(batch, ADD, table, set, &keyed(elements));
}

/// Deletes elements, also those that are not there: `DELSETELEM` alone would fail on one that ran
/// out a moment ago, and its forgiving form exists only from Linux 6.3.
pub(super) fn delete(batch: &mut Batch, table: &str, set: &str, elements: &[Element]) {
    change(batch, ADD, table, set, &keyed(elements));
    change(batch, DELETE, table, set, &keyed(elements));
}

/// Remembers devices as strict.
pub(super) fn add_strict<'a>(
    batch: &mut Batch,
    table: &str,
    devices: impl Iterator<Item = &'a String>,
) {
    change(batch, ADD, table, STRICT_DEVICES, &named(devices));
}

/// Forgets devices that are no longer strict.
pub(super) fn delete_strict<'a>(
    batch: &mut Batch,
    table: &str,
    devices: impl Iterator<Item = &'a String>,
) {
    let devices = named(devices);
    change(batch, ADD, table, STRICT_DEVICES, &devices);
    change(batch, DELETE, table, STRICT_DEVICES, &devices);
}

/// Empties a set.
pub(super) fn flush(batch: &mut Batch, table: &str, set: &str) {
    batch.push("empty a set", DELSETELEM, 0, elements_query(table, set));
}

/// A member of a set, with the time after which it is none.
#[derive(Clone, Copy)]
pub(super) struct Element {
    pub(super) addr: IpAddr,
    pub(super) timeout: Option<Duration>,
}

/// An element as the kernel has it.
type Keyed = (Vec<u8>, Option<Duration>);

fn keyed(elements: &[Element]) -> Vec<Keyed> {
    let key = |addr| match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    elements.iter().map(|element| (key(element.addr), element.timeout)).collect()
}

fn named<'a>(devices: impl Iterator<Item = &'a String>) -> Vec<Keyed> {
    let key = |name: &String| {
        let mut key = name.as_bytes().to_vec();
        key.resize(DEVICE_NAME, 0);
        key
    };
    devices.map(|name| (key(name), None)).collect()
}

const ADD: (&str, u16, u16) = ("add to a set", NEWSETELEM, CREATE);
const DELETE: (&str, u16, u16) = ("delete from a set", DELSETELEM, 0);

fn change(
    batch: &mut Batch,
    (step, kind, flags): (&'static str, u16, u16),
    table: &str,
    set: &str,
    elements: &[Keyed],
) {
    for chunk in elements.chunks(CHUNK) {
        let mut list = Attrs::new();
        for (key, timeout) in chunk {
            let mut attrs = Attrs::new().nest(1, &Attrs::new().bytes(1, key));
            if let Some(timeout) = timeout {
                let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                attrs = attrs.be64(4, millis);
            }
            list = list.nest(1, &attrs);
        }
        batch.push(step, kind, flags, elements_query(table, set).nest(3, &list));
    }
}

const JUMP: i32 = -3;
const RETURN: i32 = -5;
const DROP: i32 = 0;

const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

#[derive(Clone, Copy)]
enum Base {
    Network = 1,
    Transport = 2,
}

/// What comes in. An ARP packet whose *sender* is managed passes even though its target is: it is
/// the present holder's announcement (both fields name the address), and this node's neighbour
/// table must learn it. If it was a question after all, the answer is dropped on the way out.
fn ingress_rules() -> Vec<Rule> {
    let holder = Rule::protocol(ARP).load(Base::Network, 14, 4);
    let holder = holder.lookup(Family::V4.managed(), false).verdict(RETURN, None);
    vec![
        holder,
        Rule::protocol(ARP).load(Base::Network, 24, 4).drop_if_shut(Family::V4),
        Rule::protocol(IPV4).load(Base::Network, 16, 4).drop_if_shut(Family::V4),
        Rule::protocol(IPV6).load(Base::Network, 24, 16).drop_if_shut(Family::V6),
        Rule::neighbor(NEIGHBOR_SOLICITATION).drop_if_shut(Family::V6),
    ]
}

/// What goes out. Questions about a managed address pass (probes, or this node as a client).
fn egress_rules() -> Vec<Rule> {
    vec![
        Rule::protocol(ARP).load(Base::Network, 14, 4).drop_if_shut(Family::V4),
        Rule::protocol(IPV4).load(Base::Network, 12, 4).drop_if_shut(Family::V4),
        Rule::protocol(IPV6).load(Base::Network, 8, 16).drop_if_shut(Family::V6),
        Rule::neighbor(NEIGHBOR_ADVERTISEMENT).drop_if_shut(Family::V6),
    ]
}

/// What leaves a strict device: what an open address sends, and nothing else, of whatever protocol.
/// What has no address where one ought to be matches no rule but the last.
fn strict_rules() -> Vec<Rule> {
    let mut rules = vec![
        Rule::neighbor(NEIGHBOR_ADVERTISEMENT)
            .lookup(Family::V6.open(0), true)
            .lookup(Family::V6.open(1), true)
            .drop_counted(),
    ];
    for (protocol, offset, family) in
        [(ARP, 14, Family::V4), (IPV4, 12, Family::V4), (IPV6, 8, Family::V6)]
    {
        let (length, _) = family.key();
        for slot in 0..2 {
            let sender = Rule::protocol(protocol).load(Base::Network, offset, length);
            rules.push(sender.lookup(family.open(slot), false).verdict(RETURN, None));
        }
    }
    rules.push(Rule::default().drop_counted());
    rules
}

/// One rule: expressions that are tried in order until one does not match. All use register 1.
#[derive(Default)]
struct Rule(Attrs);

impl Rule {
    /// Matches the frame's protocol (`meta protocol`).
    fn protocol(ether_type: [u8; 2]) -> Self {
        Self::default().meta(1).compare(&ether_type)
    }

    /// Matches a neighbour discovery message and loads its target. The transport header is found
    /// behind extension headers too.
    fn neighbor(kind: u8) -> Self {
        let rule = Self::protocol(IPV6).meta(16).compare(&[ICMPV6]);
        rule.load(Base::Transport, 0, 1).compare(&[kind]).load(Base::Transport, 8, 16)
    }

    fn expression(self, name: &str, data: &Attrs) -> Self {
        Self(self.0.nest(1, &Attrs::new().text(1, name).nest(2, data)))
    }

    fn meta(self, key: u32) -> Self {
        self.expression("meta", &Attrs::new().be32(2, key).be32(1, 1))
    }

    fn compare(self, value: &[u8]) -> Self {
        let data = Attrs::new().bytes(1, value);
        self.expression("cmp", &Attrs::new().be32(1, 1).be32(2, 0).nest(3, &data))
    }

    fn load(self, base: Base, offset: u32, length: u32) -> Self {
        let data = Attrs::new().be32(1, 1).be32(2, base as u32).be32(3, offset).be32(4, length);
        self.expression("payload", &data)
    }

    fn lookup(self, set: &str, inverted: bool) -> Self {
        let data = Attrs::new().text(1, set).be32(2, 1).be32(5, u32::from(inverted));
        self.expression("lookup", &data)
    }

    fn verdict(self, code: i32, chain: Option<&str>) -> Self {
        let mut verdict = Attrs::new().bytes(1, &code.to_be_bytes());
        if let Some(chain) = chain {
            verdict = verdict.text(2, chain);
        }
        let data = Attrs::new().nest(2, &verdict);
        self.expression("immediate", &Attrs::new().be32(1, 0).nest(2, &data))
    }

    /// Drops the packet if the loaded address is managed and open in neither slot.
    fn drop_if_shut(self, family: Family) -> Self {
        self.lookup(family.managed(), false)
            .lookup(family.open(0), true)
            .lookup(family.open(1), true)
            .drop_counted()
    }

    fn drop_counted(self) -> Self {
        self.expression("counter", &Attrs::new()).verdict(DROP, None)
    }
}

fn push_rule(batch: &mut Batch, table: &str, chain: &str, rule: Rule) {
    let attrs = Attrs::new().text(1, table).text(2, chain).nest(4, &rule.0);
    batch.push("add a rule", NEWRULE, CREATE | APPEND, attrs);
}
