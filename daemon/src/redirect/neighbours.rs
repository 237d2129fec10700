//! Whom a new holder can tell one by one: the neighbours that its kernel knows, and its gateways.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use stead_linux::netlink::{self, Link, Mac, Netlink, NetlinkError, Route};

use super::Target;

/// How many neighbours are told of one address each time. A kernel keeps 128 entries as a rule
/// without clearing up (`gc_thresh1`), so half of these is more than most nodes ever talk to.
pub(super) const MOST: usize = 64;

/// Somebody beside this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    /// Its address.
    pub(super) address: IpAddr,
    /// Its MAC; unknown for a gateway that this node did not need yet.
    pub(super) mac: Option<Mac>,
}

/// What the kernel knows at one moment.
#[derive(Debug, Default)]
pub(super) struct Tables {
    links: Vec<Link>,
    neighbours: Vec<netlink::Neighbour>,
    routes: Vec<Route>,
}

impl Tables {
    /// Reads them; long tables take their time.
    pub(super) fn read() -> Result<Self, NetlinkError> {
        let mut netlink = Netlink::open()?;
        let (links, neighbours) = (netlink.links()?, netlink.neighbours()?);
        Ok(Self { links, neighbours, routes: netlink.routes()? })
    }

    /// Whom to tell of an address: gateways first, then who was spoken to last; one address of
    /// each machine.
    pub(super) fn around(&self, target: &Target) -> Vec<Neighbour> {
        let Some(link) = self.links.iter().find(|link| link.name == target.interface) else {
            return Vec::new();
        };
        // An interface with a MAC of its own was made a moment ago, and is behind the same port as
        // the card, which knows the neighbours.
        let below = link.parent.filter(|_| link.kind.as_deref() == Some("macvlan"));
        let is_here = |index: u32| index == link.index || Some(index) == below;
        let like = |address: &IpAddr| address.is_ipv4() == target.address.is_ipv4();
        let routes = self.routes.iter().filter(|route| route.index.is_some_and(is_here));
        let gateways: BTreeSet<_> = routes.filter_map(|it| it.gateway).filter(like).collect();

        let own: HashSet<_> = self.links.iter().filter_map(|link| link.mac).collect();
        let tellable = |it: &&netlink::Neighbour| {
            let mac = it.mac.filter(|mac| mac.0[0] & 1 == 0 && !own.contains(mac));
            let other = it.addr != target.address && like(&it.addr);
            mac.is_some() && other && is_here(it.index) && it.state.is_used()
        };
        let mut known: Vec<_> = self.neighbours.iter().filter(tellable).collect();
        known.sort_by_key(|it| (Reverse(gateways.contains(&it.addr)), silent(it), it.addr));
        let unknown = gateways.iter().filter(|gateway| known.iter().all(|it| it.addr != **gateway));
        let unknown = unknown.map(|address| Neighbour { address: *address, mac: None });
        let mut seen = HashSet::new();
        let known = known.iter().filter(|it| seen.insert(it.mac));
        let known = known.map(|it| Neighbour { address: it.addr, mac: it.mac });
        unknown.chain(known).take(MOST).collect()
    }
}

/// For how long nothing was exchanged with a neighbour.
fn silent(neighbour: &netlink::Neighbour) -> Duration {
    neighbour.ages.map_or(Duration::MAX, |ages| ages.used.min(ages.confirmed))
}

#[cfg(test)]
mod tests {
    use stead_linux::netlink::{Ages, Destination, NeighbourState};

    use super::*;

    fn link(index: u32, name: &str, parent: Option<u32>) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mac: Some(Mac([2, 0, 0, 0, 1, index as u8])),
            up: true,
            carrier: true,
            running: true,
            loopback: false,
            mtu: 1_500,
            port_of: None,
            parent,
            kind: parent.map(|_| "macvlan".to_owned()),
        }
    }

    fn neighbour(index: u32, last: u8, used: u64) -> netlink::Neighbour {
        let used = Duration::from_secs(used);
        netlink::Neighbour {
            index,
            addr: [10, 0, 0, last].into(),
            mac: Some(Mac([2, 0, 0, 0, 0, last])),
            state: NeighbourState::Stale,
            ages: Some(Ages { confirmed: used * 2, used, updated: used }),
        }
    }

    fn told(tables: &Tables, interface: &str) -> Vec<u8> {
        let address = [10, 0, 0, 250].into();
        let around = tables.around(&Target { address, interface: interface.to_owned() });
        let last = |it: &Neighbour| match it.address {
            IpAddr::V4(it) => it.octets()[3],
            IpAddr::V6(_) => 0,
        };
        around.iter().map(last).collect()
    }

    #[test]
    fn gateways_come_first_and_then_who_was_spoken_to_last() {
        let via = |last: u8| Route {
            index: Some(2),
            ..Route::via(
                Destination { addr: [0, 0, 0, 0].into(), prefix: 0 },
                [10, 0, 0, last].into(),
            )
        };
        let mut twice = neighbour(2, 7, 1);
        twice.mac = neighbour(2, 9, 0).mac;
        let mut failed = neighbour(2, 8, 0);
        failed.state = NeighbourState::Failed;
        let mut itself = neighbour(2, 6, 0);
        itself.mac = Some(Mac([2, 0, 0, 0, 1, 2]));
        let tables = Tables {
            links: vec![link(2, "eth0", None), link(3, "eth1", None), link(4, "own", Some(2))],
            neighbours: vec![
                neighbour(2, 1, 900),
                neighbour(2, 5, 30),
                neighbour(2, 9, 2),
                twice,
                failed,
                itself,
                neighbour(2, 250, 0),
                neighbour(3, 4, 1),
            ],
            routes: vec![via(1), via(2), via(1)],
        };
        // 2 is a gateway that was never spoken to; 7 is 9's other address.
        assert_eq!(told(&tables, "eth0"), [2, 1, 7, 5]);
        assert_eq!(told(&tables, "own"), [2, 1, 7, 5], "behind the same port");
        assert_eq!(told(&tables, "eth1"), [4]);
        assert_eq!(told(&tables, "eth7"), [] as [u8; 0]);
    }

    #[test]
    fn no_more_than_a_bound_are_told_the_latest_first() {
        let neighbours = (1..=100).map(|last| neighbour(2, last, u64::from(last))).collect();
        let links = vec![link(2, "eth0", None)];
        let tables = Tables { links, neighbours, routes: Vec::new() };
        let wanted: Vec<_> = (1..=64).collect();
        assert_eq!(told(&tables, "eth0"), wanted);
    }
}
