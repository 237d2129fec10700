//! IP addresses of interfaces, with the kernel lifetime that ends them without our help.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};

use super::{Netlink, NetlinkError, family_of};

/// How long the kernel keeps an address by itself.
///
/// The kernel counts whole seconds and looks about once a second, so an address with `n` seconds
/// goes between `n` and a little over `n + 1` seconds later. The prefix route of an IPv6 address
/// that ends so may stay behind; give such an address no prefix route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until someone removes it.
    Forever,
    /// It is removed this many seconds after the last [`Netlink::replace_address`]; at least 1.
    Seconds(u32),
}

/// Wire form of "for ever" (INFINITY_LIFE_TIME in linux/ipv6.h).
const FOREVER: u32 = u32::MAX;

impl Lifetime {
    fn seconds(self) -> u32 {
        match self {
            Lifetime::Forever => FOREVER,
            // 0 would be refused as an error of ours; FOREVER must not come about by arithmetic
            Lifetime::Seconds(seconds) => seconds.clamp(1, FOREVER - 1),
        }
    }

    fn from_seconds(seconds: u32) -> Lifetime {
        if seconds == FOREVER { Lifetime::Forever } else { Lifetime::Seconds(seconds) }
    }
}

/// An address to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressSpec {
    /// The address itself.
    pub addr: IpAddr,
    /// Length of its network part, in bits.
    pub prefix: u8,
    /// When the kernel removes it.
    pub valid: Lifetime,
    /// When the kernel stops choosing it as a source; an address that shall never be chosen has
    /// `Some(0)`. `None`: as long as it is valid.
    pub preferred_seconds: Option<u32>,
    /// No duplicate address detection: usable at once (IPv6; without meaning for IPv4).
    pub no_dad: bool,
    /// No route to the address's network comes with it.
    pub no_prefix_route: bool,
}

impl AddressSpec {
    /// An address without end that is usable at once, with its prefix route.
    pub fn new(addr: IpAddr, prefix: u8) -> AddressSpec {
        AddressSpec {
            addr,
            prefix,
            valid: Lifetime::Forever,
            preferred_seconds: None,
            no_dad: true,
            no_prefix_route: false,
        }
    }

    /// The same address with a kernel lifetime of so many seconds.
    pub fn for_seconds(mut self, seconds: u32) -> AddressSpec {
        self.valid = Lifetime::Seconds(seconds);
        self
    }

    /// The same address without its prefix route.
    pub fn without_prefix_route(mut self) -> AddressSpec {
        self.no_prefix_route = true;
        self
    }
}

/// An address as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The interface it stands on.
    pub index: u32,
    /// The address.
    pub addr: IpAddr,
    /// Length of its network part, in bits.
    pub prefix: u8,
    /// What is left of its lifetime.
    pub valid: Lifetime,
    /// Duplicate address detection still runs: the kernel does not answer for it yet.
    pub tentative: bool,
    /// Duplicate address detection found another holder.
    pub dad_failed: bool,
}

impl Netlink {
    /// Adds an address; [`NetlinkError::already_there`] if the interface has it.
    pub fn add_address(&mut self, index: u32, spec: &AddressSpec) -> Result<(), NetlinkError> {
        let action = format_args!("add {}/{} to interface {index}", spec.addr, spec.prefix);
        let new = RouteNetlinkMessage::NewAddress(write(index, spec));
        self.change(action, new, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Adds an address or, if it is there, gives it this lifetime from now on.
    pub fn replace_address(&mut self, index: u32, spec: &AddressSpec) -> Result<(), NetlinkError> {
        let action = format_args!("set {}/{} on interface {index}", spec.addr, spec.prefix);
        let new = RouteNetlinkMessage::NewAddress(write(index, spec));
        self.change(action, new, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes an address; [`NetlinkError::not_there`] if the interface has it not.
    pub fn delete_address(
        &mut self,
        index: u32,
        addr: IpAddr,
        prefix: u8,
    ) -> Result<(), NetlinkError> {
        let mut old = header(index, addr, prefix);
        old.attributes.push(AddressAttribute::Local(addr));
        old.attributes.push(AddressAttribute::Address(addr));
        let action = format_args!("remove {addr}/{prefix} from interface {index}");
        self.change(action, RouteNetlinkMessage::DelAddress(old), 0)
    }

    /// Every address of the namespace, of both families.
    pub fn addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let ask = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let found = self.list(format_args!("list the addresses"), &ask)?;
        let mut addresses = Vec::with_capacity(found.len());
        for message in &found {
            if let RouteNetlinkMessage::NewAddress(message) = message {
                addresses.extend(Address::read(message));
            }
        }
        Ok(addresses)
    }

    /// The addresses of one interface.
    pub fn addresses_of(&mut self, index: u32) -> Result<Vec<Address>, NetlinkError> {
        let mut all = self.addresses()?;
        all.retain(|address| address.index == index);
        Ok(all)
    }
}

fn header(index: u32, addr: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family_of(addr);
    message.header.prefix_len = prefix;
    message.header.index = index;
    if addr.is_loopback() {
        message.header.scope = AddressScope::Host;
    }
    message
}

fn write(index: u32, spec: &AddressSpec) -> AddressMessage {
    let mut message = header(index, spec.addr, spec.prefix);
    let mut flags = AddressFlags::empty();
    if spec.no_dad {
        flags |= AddressFlags::Nodad;
        message.header.flags |= AddressHeaderFlags::Nodad;
    }
    if spec.no_prefix_route {
        flags |= AddressFlags::Noprefixroute;
    }
    let valid = spec.valid.seconds();
    let mut lifetime = CacheInfo::default();
    lifetime.ifa_valid = valid;
    // the kernel refuses an address that is preferred longer than it is valid
    lifetime.ifa_preferred = spec.preferred_seconds.unwrap_or(valid).min(valid);
    message.attributes.push(AddressAttribute::Local(spec.addr));
    message.attributes.push(AddressAttribute::Address(spec.addr));
    message.attributes.push(AddressAttribute::Flags(flags));
    message.attributes.push(AddressAttribute::CacheInfo(lifetime));
    message
}

impl Address {
    /// Reads the kernel's description; `None` if it holds no address.
    pub(super) fn read(message: &AddressMessage) -> Option<Address> {
        let mut local = None;
        let mut remote = None;
        let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
        let mut valid = Lifetime::Forever;
        for attribute in &message.attributes {
            if let AddressAttribute::Local(addr) = attribute {
                local = Some(*addr);
            } else if let AddressAttribute::Address(addr) = attribute {
                remote = Some(*addr);
            } else if let AddressAttribute::Flags(all) = attribute {
                flags = *all;
            } else if let AddressAttribute::CacheInfo(info) = attribute {
                valid = Lifetime::from_seconds(info.ifa_valid);
            }
        }
        Some(Address {
            index: message.header.index,
            // on a point-to-point link "address" is the other end; "local" is always ours
            addr: local.or(remote)?,
            prefix: message.header.prefix_len,
            valid,
            tentative: flags.contains(AddressFlags::Tentative),
            dad_failed: flags.contains(AddressFlags::Dadfailed),
        })
    }
}
