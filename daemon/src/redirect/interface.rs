//! On which interface an address lives.

use std::net::IpAddr;

use stead_core::state::MacAddress;
use stead_core::state::config::ServiceAddress;
use stead_linux::netlink::{Address, Link, Netlink, NetlinkError};
use thiserror::Error;

use super::Target;
use crate::guard::reach::mac_device;

/// No interface for an address; nothing was changed.
#[derive(Debug, Error)]
pub enum InterfaceError {
    /// The kernel can't be asked.
    #[error("the interfaces of this node can't be listed")]
    Netlink(#[from] NetlinkError),
    /// No network here contains it.
    #[error(
        "no interface of this node has an address in a network that contains {0}: \
         give the address its `interface`, or the interface an address of its own"
    )]
    None(IpAddr),
}

/// The interfaces of this node and their addresses, at one moment.
#[derive(Clone, Debug)]
pub struct Interfaces {
    links: Vec<Link>,
    addresses: Vec<Address>,
}

impl Interfaces {
    /// As they are now.
    ///
    /// # Errors
    /// [`InterfaceError::Netlink`]
    pub fn look() -> Result<Self, InterfaceError> {
        let mut netlink = Netlink::open()?;
        Ok(Self { links: netlink.links()?, addresses: netlink.addresses()? })
    }

    /// The interface that is configured for an address, or else the one on which this node has an
    /// address of its own whose network contains it (the narrowest, if several). `moving` are the
    /// addresses of all services: they come and go, and say nothing about the node's own networks.
    ///
    /// # Errors
    /// [`InterfaceError::None`]
    pub fn of(
        &self,
        address: &ServiceAddress,
        moving: &[IpAddr],
    ) -> Result<Target, InterfaceError> {
        let target = |name: &str| Target { address: address.ip, interface: name.to_owned() };
        if let Some(interface) = &address.interface {
            return Ok(target(interface));
        }
        let mut best: Option<(u8, &str)> = None;
        for own in &self.addresses {
            let link = self.links.iter().find(|link| link.index == own.index && !link.loopback);
            let fits = contains(own.addr, own.prefix, address.ip) && !moving.contains(&own.addr);
            if let Some(link) = link.filter(|_| fits)
                && best.is_none_or(|(prefix, _)| own.prefix > prefix)
            {
                best = Some((own.prefix, &link.name));
            }
        }
        best.map(|(_, name)| target(name)).ok_or(InterfaceError::None(address.ip))
    }
}

/// The interface of an address ([`Interfaces::of`]).
///
/// # Errors
/// [`InterfaceError`]
pub fn interface_for(
    address: &ServiceAddress,
    moving: &[IpAddr],
) -> Result<String, InterfaceError> {
    target(address, moving).map(|target| target.interface)
}

/// The address with its interface ([`Interfaces::of`]).
///
/// # Errors
/// [`InterfaceError`]
pub fn target(address: &ServiceAddress, moving: &[IpAddr]) -> Result<Target, InterfaceError> {
    if let Some(interface) = address.interface.clone() {
        return Ok(Target { address: address.ip, interface });
    }
    Interfaces::look()?.of(address, moving)
}

impl Target {
    /// The same address on the interface with that MAC, on top of the one that it would be on.
    ///
    /// # Errors
    /// [`InterfaceError::Netlink`]
    pub fn by_mac(self, mac: MacAddress) -> Result<Self, InterfaceError> {
        let parent = Netlink::open()?.link_named(&self.interface)?.index;
        Ok(Self { interface: mac_device(mac, parent), ..self })
    }
}

/// Whether the network of `own` contains `other`.
fn contains(own: IpAddr, prefix: u8, other: IpAddr) -> bool {
    let (own, other, width) = match (own, other) {
        (IpAddr::V4(own), IpAddr::V4(other)) => {
            (u128::from(own.to_bits()), u128::from(other.to_bits()), 32)
        }
        (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    // A prefix of the whole width is a lone address and no network.
    let host_bits = match u32::from(prefix) {
        prefix if prefix < width => width - prefix,
        _ => return false,
    };
    host_bits == 128 || (own ^ other) >> host_bits == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_shares_their_prefix() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (own, prefix, other, wanted) in [
            ("10.0.0.2", 24, "10.0.0.100", true),
            ("10.0.0.2", 24, "10.0.1.100", false),
            ("10.0.0.2", 32, "10.0.0.2", false),
            ("10.0.0.2", 0, "192.0.2.1", true),
            ("fd00::2", 64, "fd00::100", true),
            ("fd00::2", 64, "fd00:0:0:1::100", false),
            ("fd00::2", 128, "fd00::2", false),
            ("fd00::2", 0, "2001:db8::1", true),
            ("10.0.0.2", 24, "fd00::100", false),
            ("10.0.0.2", 255, "10.0.0.2", false),
        ] {
            assert_eq!(contains(ip(own), prefix, ip(other)), wanted, "{own}/{prefix} {other}");
        }
    }
}
