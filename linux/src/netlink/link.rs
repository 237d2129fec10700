//! Network interfaces: look up, create, change, delete.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkProtoInfoBridge, MacVlanMode,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Mac, Netlink, NetlinkError};

/// A network interface as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it, unique in its network namespace.
    pub index: u32,
    /// Its name, unique in its network namespace.
    pub name: String,
    /// Its Ethernet address; `None` for what is not Ethernet.
    pub mac: Option<Mac>,
    /// Administratively up.
    pub up: bool,
    /// The cable has a signal (IFF_LOWER_UP).
    pub carrier: bool,
    /// The kernel's tables have caught up with the carrier (IFF_RUNNING); packets pass.
    pub running: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// Largest packet, in octets.
    pub mtu: u32,
    /// Index of the bridge (or other controller) that it is a port of.
    pub port_of: Option<u32>,
    /// Index of the interface that it stands on (a macvlan's), or of its peer (a veth's); in that
    /// one's own network namespace, which may be another.
    pub parent: Option<u32>,
    /// "veth", "bridge", "macvlan", ...; `None` for hardware.
    pub kind: Option<String>,
}

/// What a bridge does with the frames of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortState {
    /// Frames are dropped both ways in the bridge; the carrier stays up at the other end.
    Disabled,
    /// Frames pass.
    Forwarding,
}

/// How macvlan siblings see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Siblings reach each other directly.
    Bridge,
    /// Siblings never reach each other.
    Private,
}

/// How an interface gets its link-local IPv6 address when it is turned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressGeneration {
    /// It gets one that is formed of its MAC (RFC 4291, appendix A).
    Mac,
    /// It gets none.
    None,
}

/// The far end of a veth pair.
#[derive(Debug, Clone, Copy)]
pub struct VethPeer<'a> {
    /// Its name in its own namespace.
    pub name: &'a str,
    /// The network namespace in which it shall be born; `None` for the socket's.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Its Ethernet address; `None` lets the kernel choose.
    pub mac: Option<Mac>,
}

impl Netlink {
    /// Every interface of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let ask = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let found = self.list(format_args!("list the interfaces"), &ask)?;
        Ok(found.iter().filter_map(as_link).map(Link::read).collect())
    }

    /// The interface of that index; a refusal that is [`NetlinkError::not_there`] if there is none.
    pub fn link(&mut self, index: u32) -> Result<Link, NetlinkError> {
        let ask = message(index);
        self.one_link(format_args!("look up interface {index}"), ask)
    }

    /// The interface of that name; a refusal that is [`NetlinkError::not_there`] if there is none.
    pub fn link_named(&mut self, name: &str) -> Result<Link, NetlinkError> {
        let mut ask = LinkMessage::default();
        ask.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_link(format_args!("look up interface {name}"), ask)
    }

    fn one_link(
        &mut self,
        action: fmt::Arguments<'_>,
        ask: LinkMessage,
    ) -> Result<Link, NetlinkError> {
        let found = self.get(action, RouteNetlinkMessage::GetLink(ask))?;
        found.iter().find_map(as_link).map(Link::read).ok_or_else(|| NetlinkError::Malformed {
            action: action.to_string(),
            reason: "an acknowledgement without the interface".to_owned(),
        })
    }

    /// Creates a veth pair: `name` here, `peer` here or in another namespace. Both start down.
    pub fn create_veth(
        &mut self,
        name: &str,
        mac: Option<Mac>,
        peer: VethPeer<'_>,
    ) -> Result<Link, NetlinkError> {
        let mut far = LinkMessage::default();
        far.attributes.push(LinkAttribute::IfName(peer.name.to_owned()));
        if let Some(namespace) = peer.namespace {
            far.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
        }
        if let Some(mac) = peer.mac {
            far.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
        }
        let info = vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
        ];
        self.create(name, mac, None, info)
    }

    /// Creates a bridge without spanning tree: its ports forward as soon as they have carrier.
    pub fn create_bridge(&mut self, name: &str, mac: Option<Mac>) -> Result<Link, NetlinkError> {
        self.create(name, mac, None, vec![LinkInfo::Kind(InfoKind::Bridge)])
    }

    /// Creates a macvlan interface on top of interface `parent`.
    pub fn create_macvlan(
        &mut self,
        name: &str,
        parent: u32,
        mode: MacvlanMode,
        mac: Option<Mac>,
    ) -> Result<Link, NetlinkError> {
        let mode = match mode {
            MacvlanMode::Bridge => MacVlanMode::Bridge,
            MacvlanMode::Private => MacVlanMode::Private,
        };
        let info = vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(mode)])),
        ];
        self.create(name, mac, Some(parent), info)
    }

    /// Creates a dummy: an interface that swallows what is sent to it and has carrier while it is
    /// up. [`NetlinkError::unsupported`] if this kernel has none.
    pub fn create_dummy(&mut self, name: &str) -> Result<Link, NetlinkError> {
        self.create(name, None, None, vec![LinkInfo::Kind(InfoKind::Dummy)])
    }

    /// Creates an interface for addresses and routes that lead to no cable: a dummy or, where the
    /// kernel has none, a bridge without ports. Either is [`Link::running`] as soon as it is up, so
    /// routing daemons take it for connected. (A bridge loses its carrier when its first port comes
    /// and has none: so give it none.)
    pub fn create_stub(&mut self, name: &str) -> Result<Link, NetlinkError> {
        match self.create_dummy(name) {
            Err(error) if error.unsupported() => self.create_bridge(name, None),
            done => done,
        }
    }

    fn create(
        &mut self,
        name: &str,
        mac: Option<Mac>,
        parent: Option<u32>,
        info: Vec<LinkInfo>,
    ) -> Result<Link, NetlinkError> {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.to_owned()));
        if let Some(mac) = mac {
            link.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
        }
        if let Some(parent) = parent {
            link.attributes.push(LinkAttribute::Link(parent));
        }
        link.attributes.push(LinkAttribute::LinkInfo(info));
        self.change(
            format_args!("create interface {name}"),
            RouteNetlinkMessage::NewLink(link),
            NLM_F_CREATE | NLM_F_EXCL,
        )?;
        self.link_named(name)
    }

    /// Turns an interface on.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut link = message(index);
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.set(format_args!("turn on interface {index}"), link)
    }

    /// Turns an interface off; its addresses stay (IPv4) or go (IPv6), its routes go.
    pub fn set_down(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut link = message(index);
        link.header.change_mask = LinkFlags::Up;
        self.set(format_args!("turn off interface {index}"), link)
    }

    /// Says how an interface gets its link-local IPv6 address. It takes effect when the interface
    /// is turned on, so it belongs between creating one and [`Netlink::set_up`]: an address that
    /// was formed stays. It does not keep the kernel from forming an address of a router's prefix:
    /// for that, set [`crate::sysctl::Setting::AcceptRa`] to 0. Refused (EAFNOSUPPORT) where the
    /// interface has no IPv6.
    pub fn set_address_generation(
        &mut self,
        index: u32,
        how: AddressGeneration,
    ) -> Result<(), NetlinkError> {
        let mode = match how {
            AddressGeneration::Mac => In6AddrGenMode::Eui64,
            AddressGeneration::None => In6AddrGenMode::None,
        };
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
        let what = LinkAttribute::AfSpecUnspec(vec![inet6]);
        self.set_one(format_args!("set how interface {index} forms addresses"), index, what)
    }

    /// Renames an interface.
    pub fn rename(&mut self, index: u32, name: &str) -> Result<(), NetlinkError> {
        let what = LinkAttribute::IfName(name.to_owned());
        self.set_one(format_args!("rename interface {index} to {name}"), index, what)
    }

    /// Makes an interface a port of `bridge`, or frees it with `None`.
    pub fn set_port_of(&mut self, index: u32, bridge: Option<u32>) -> Result<(), NetlinkError> {
        let what = LinkAttribute::Controller(bridge.unwrap_or(0));
        self.set_one(format_args!("plug interface {index} into a bridge"), index, what)
    }

    /// Gives an interface another Ethernet address.
    pub fn set_mac(&mut self, index: u32, mac: Mac) -> Result<(), NetlinkError> {
        let what = LinkAttribute::Address(mac.0.to_vec());
        self.set_one(format_args!("give interface {index} the address {mac}"), index, what)
    }

    /// Sets the largest packet, in octets.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), NetlinkError> {
        self.set_one(
            format_args!("set the MTU of interface {index}"),
            index,
            LinkAttribute::Mtu(mtu),
        )
    }

    /// Moves an interface into another network namespace; it arrives down and without addresses.
    pub fn move_to(&mut self, index: u32, namespace: BorrowedFd<'_>) -> Result<(), NetlinkError> {
        let what = LinkAttribute::NetNsFd(namespace.as_raw_fd());
        self.set_one(format_args!("move interface {index} to another namespace"), index, what)
    }

    /// Lets a bridge drop or pass the frames of one of its ports; the carrier is not touched.
    /// Refused (ENETDOWN) until the port is [`Link::running`]. The kernel goes back to forwarding
    /// by itself when the port's carrier or any other of its settings changes; that is also why the
    /// bridge is asked here and not the interface.
    pub fn set_port_state(&mut self, index: u32, state: PortState) -> Result<(), NetlinkError> {
        // IFLA_BRPORT_STATE and BR_STATE_* of linux/if_link.h and linux/if_bridge.h
        const STATE: u16 = 1;
        let wanted = match state {
            PortState::Disabled => 0,
            PortState::Forwarding => 3,
        };
        let what = LinkProtoInfoBridge::Other(DefaultNla::new(STATE, vec![wanted]));
        let mut link = message(index);
        link.header.interface_family = AddressFamily::Bridge;
        link.attributes.push(LinkAttribute::ProtoInfoBridge(vec![what]));
        self.set(format_args!("set the bridge port of interface {index} to {state:?}"), link)
    }

    /// Deletes an interface (a veth takes its peer along).
    pub fn delete_link(&mut self, index: u32) -> Result<(), NetlinkError> {
        let gone = RouteNetlinkMessage::DelLink(message(index));
        self.change(format_args!("delete interface {index}"), gone, 0)
    }

    fn set_one(
        &mut self,
        action: fmt::Arguments<'_>,
        index: u32,
        what: LinkAttribute,
    ) -> Result<(), NetlinkError> {
        let mut link = message(index);
        link.attributes.push(what);
        self.set(action, link)
    }

    fn set(&mut self, action: fmt::Arguments<'_>, link: LinkMessage) -> Result<(), NetlinkError> {
        self.change(action, RouteNetlinkMessage::SetLink(link), 0)
    }
}

fn message(index: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link
}

fn as_link(message: &RouteNetlinkMessage) -> Option<&LinkMessage> {
    if let RouteNetlinkMessage::NewLink(link) = message { Some(link) } else { None }
}

impl Link {
    /// Reads the kernel's description.
    pub(super) fn read(message: &LinkMessage) -> Link {
        let flags = message.header.flags;
        let mut link = Link {
            index: message.header.index,
            name: String::new(),
            mac: None,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            running: flags.contains(LinkFlags::Running),
            loopback: flags.contains(LinkFlags::Loopback),
            mtu: 0,
            port_of: None,
            parent: None,
            kind: None,
        };
        for attribute in &message.attributes {
            if let LinkAttribute::IfName(name) = attribute {
                link.name.clone_from(name);
            } else if let LinkAttribute::Address(octets) = attribute {
                link.mac = Mac::from_slice(octets);
            } else if let LinkAttribute::Mtu(mtu) = attribute {
                link.mtu = *mtu;
            } else if let LinkAttribute::Controller(index) = attribute {
                link.port_of = Some(*index).filter(|&index| index != 0);
            } else if let LinkAttribute::Link(index) = attribute {
                link.parent = Some(*index).filter(|&index| index != 0);
            } else if let LinkAttribute::LinkInfo(infos) = attribute {
                link.kind = infos.iter().find_map(kind);
            }
        }
        link
    }
}

fn kind(info: &LinkInfo) -> Option<String> {
    if let LinkInfo::Kind(kind) = info { Some(kind.to_string()) } else { None }
}
