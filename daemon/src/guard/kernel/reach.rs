//! Addresses that are more than an address on the node's own card: with a MAC of their own, or
//! with a route that a routing daemon announces.
//!
//! A MAC of its own is a macvlan interface that is there while the address is held, and not before
//! or after: two ports with one MAC would have the switch send frames to and fro. The gate is
//! *strict* on it, so that a guard that hangs sends nothing from it, whatever the kernel would. The
//! card's own MAC and addresses never change. With an IPv6 address on it comes a link-local one,
//! formed of the MAC, which is opened and shut with it: the kernel's own reports to switches that
//! follow who listens to which group (RFC 4541) leave from there.
//!
//! What a routing daemon announces stands on an interface without a cable, [`STUB`], with the
//! length of the announced prefix: the daemon announces what stands there, and withdraws it when
//! the address ends, be it by its lifetime. A route beside it could not do that: the kernel takes
//! some away without a word, and others late (`redirect/src/routing`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use stead_core::state::MacAddress;
use stead_edge::chain;
use stead_linux::netlink::{AddressGeneration, Link, Mac, MacvlanMode, Netlink, NetlinkError};
use stead_linux::sysctl::{self, Setting};

use super::Kernel;
use crate::guard::ipc::Reach;

/// The interface of what a routing daemon announces.
pub const STUB: &str = "stead";
/// How the names of interfaces with a MAC of their own begin.
const MAC_DEVICES: &str = "stead-";

/// The interface for a service's MAC on top of another one. Names have 15 characters at most, so it
/// is a hash (FNV-1a) of both: any MAC may be reserved, and parents' numbers may be long.
#[must_use]
pub fn mac_device(mac: MacAddress, parent: u32) -> String {
    let all = mac.0.into_iter().chain(parent.to_be_bytes());
    let hash = all.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{MAC_DEVICES}{:09x}", hash >> 28)
}

/// Removes what a former guard left: nothing of it may stand.
pub(super) fn clear(netlink: &mut Netlink) -> Result<(), NetlinkError> {
    for link in netlink.links()? {
        if is_mac_device(&link) {
            match netlink.delete_link(link.index) {
                Err(error) if !error.not_there() => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

fn is_mac_device(link: &Link) -> bool {
    link.name.starts_with(MAC_DEVICES) && link.kind.as_deref() == Some("macvlan")
}

/// The link-local address that is formed of a MAC (RFC 4291, appendix A).
pub(super) fn link_local(mac: MacAddress) -> IpAddr {
    let [a, b, c, d, e, g] = mac.0;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let id = [pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, g)];
    Ipv6Addr::new(0xfe80, 0, 0, 0, id[0], id[1], id[2], id[3]).into()
}

/// The link-local addresses that go with these.
pub(super) fn beside<'a>(
    addresses: impl IntoIterator<Item = &'a IpAddr>,
    reaches: &BTreeMap<IpAddr, Reach>,
) -> BTreeSet<IpAddr> {
    let macs =
        addresses.into_iter().filter(|it| it.is_ipv6()).filter_map(|it| reaches.get(it)?.mac);
    macs.map(link_local).collect()
}

impl Kernel {
    /// The interface of what a routing daemon announces, made if it is not there.
    pub(super) fn stub(&mut self) -> Result<Link, String> {
        let link = match self.netlink.link_named(STUB) {
            Err(error) if error.not_there() => self.netlink.create_stub(STUB),
            found => found,
        };
        let link = link.map_err(|error| chain(&error))?;
        if !link.up {
            self.netlink.set_up(link.index).map_err(|error| chain(&error))?;
            self.rescan();
        }
        // The first of several addresses in a network must not take the others along.
        self.set(STUB, Setting::PromoteSecondaries, 1);
        self.netlink.link(link.index).map_err(|error| chain(&error))
    }

    /// The interface for a MAC on top of another one, made if it is not there: first shut, then
    /// turned on.
    pub(super) fn mac_link(&mut self, mac: MacAddress, parent: &Link) -> Result<Link, String> {
        let name = mac_device(mac, parent.index);
        match self.netlink.link_named(&name) {
            // No other may go by that name: two services would share one MAC.
            Ok(link) if self.mac_devices.contains(&name) && link.mac != Some(Mac(mac.0)) => {
                return Err(format!("interface {name} has another MAC than {mac}"));
            }
            Ok(link) if link.up && self.mac_devices.contains(&name) => return Ok(link),
            Ok(link) => self.netlink.delete_link(link.index).map_err(|error| chain(&error))?,
            Err(error) if error.not_there() => {}
            Err(error) => return Err(chain(&error)),
        }
        self.answer_for_own_addresses_only(&parent.name);
        let made =
            self.netlink.create_macvlan(&name, parent.index, MacvlanMode::Bridge, Some(Mac(mac.0)));
        let link = made.map_err(|error| chain(&error))?;
        match self.turn_on(&link) {
            Ok(link) => Ok(link),
            Err(detail) => {
                self.mac_devices.remove(&name);
                drop(self.netlink.delete_link(link.index));
                Err(detail)
            }
        }
    }

    fn turn_on(&mut self, link: &Link) -> Result<Link, String> {
        match self.netlink.set_address_generation(link.index, AddressGeneration::None) {
            // Without IPv6 there is nothing to be told.
            Ok(()) | Err(NetlinkError::Refused { .. }) => {}
            Err(error) => return Err(chain(&error)),
        }
        self.answer_for_own_addresses_only(&link.name);
        // The way back to clients is the card's, where the node's own address is.
        self.set(&link.name, Setting::RpFilter, 2);
        self.set(&link.name, Setting::AcceptDad, 0);
        self.set(&link.name, Setting::AcceptRa, 0);
        self.mac_devices.insert(link.name.clone());
        self.be_strict()?;
        self.netlink.set_up(link.index).map_err(|error| chain(&error))?;
        self.netlink.link(link.index).map_err(|error| chain(&error))
    }

    /// Without it the card would answer for the addresses of other interfaces, with its own MAC,
    /// and questions of this node would teach its MAC to neighbours in the place of the service's.
    fn answer_for_own_addresses_only(&mut self, interface: &str) {
        for (setting, wanted) in [(Setting::ArpIgnore, 1), (Setting::ArpAnnounce, 2)] {
            if sysctl::read(interface, setting).is_ok_and(|it| it < wanted) {
                self.set(interface, setting, wanted);
            }
        }
    }

    /// Sets it, if it is something else. That it can't be is told, and no reason to serve nothing;
    /// but where there is no such setting (a machine without IPv6) there is nothing to be told.
    fn set(&mut self, interface: &str, setting: Setting, value: i32) {
        if sysctl::read(interface, setting).is_ok_and(|it| it == value) {
            return;
        }
        match sysctl::write(interface, setting, value) {
            Err(error) if !error.not_there() => self.troubles.push(chain(&error)),
            Ok(()) | Err(_) => {}
        }
    }

    /// Takes away the interfaces with a MAC of their own on which no address stands any more.
    pub(super) fn drop_mac_links(&mut self) {
        if self.mac_devices.is_empty() {
            return;
        }
        let links = match self.netlink.links() {
            Ok(links) => links,
            Err(error) => return self.troubles.push(chain(&error)),
        };
        let used = |link: &Link| self.standing.values().any(|it| it.index == link.index);
        let idle: Vec<_> = links.iter().filter(|it| is_mac_device(it) && !used(it)).collect();
        for link in &idle {
            let deleted = self.netlink.delete_link(link.index);
            if let Err(error) = deleted
                && !error.not_there()
            {
                let (name, why) = (&link.name, chain(&error));
                self.troubles.push(format!("{name} can't be removed, but is shut: {why}"));
                continue;
            }
            self.mac_devices.remove(&link.name);
        }
        if !idle.is_empty() {
            let names: Vec<_> = links.iter().map(|it| it.name.as_str()).collect();
            let gone = |name: &String| !names.contains(&name.as_str());
            self.mac_devices.retain(|name| !gone(name));
            if let Err(detail) = self.be_strict() {
                self.troubles.push(detail);
            }
        }
    }

    fn be_strict(&mut self) -> Result<(), String> {
        let names: Vec<_> = self.mac_devices.iter().cloned().collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        match self.gate.be_strict_on(&names) {
            Ok(watched) => {
                let refused = watched.refused.iter().find(|it| self.mac_devices.contains(*it));
                let refused = refused.map(|it| format!("the lease gate can't work on {it}"));
                refused.map_or(Ok(()), Err)
            }
            Err(error) => {
                self.gate_failed(&error);
                Err(chain(&error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_fit() {
        let mac = MacAddress([2, 0xaa, 0xbb, 0xcc, 0x12, 0xff]);
        let other = MacAddress([2, 0, 0, 0, 0x12, 0xff]);
        let names = [(mac, 3), (mac, 4), (other, 3)].map(|(mac, parent)| mac_device(mac, parent));
        assert!(names[0] != names[1] && names[0] != names[2], "each has its own: {names:?}");
        assert_eq!(link_local(mac).to_string(), "fe80::aa:bbff:fecc:12ff");
        for name in names.into_iter().chain([mac_device(mac, u32::MAX)]) {
            assert!(name.len() <= 15 && name.starts_with(MAC_DEVICES), "{name}");
        }
    }
}
