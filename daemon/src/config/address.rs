//! IP addresses: of nodes, which stay, and of services, which move.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::section::shown;

/// Why a text is no address, and what to write instead.
pub(super) struct Wrong {
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: String,
}

fn wrong(message: String, help: impl Into<String>) -> Wrong {
    Wrong { message, help: help.into() }
}

/// Reads the address of a node: an address alone.
///
/// # Errors
/// Says what is wrong with it and what to write instead.
pub(super) fn parse_node(text: &str) -> Result<IpAddr, Wrong> {
    let usable = |ip: IpAddr| match refusal(ip) {
        None => Ok(ip),
        Some(reason) => Err(reason),
    };
    if let Ok(ip) = text.parse::<IpAddr>() {
        return usable(ip);
    }
    if let Some((ip, _)) = text.split_once('/').filter(|(ip, _)| ip.parse::<IpAddr>().is_ok()) {
        return Err(wrong(
            format!("the address of a node has no prefix, and this is `{}`", shown(text)),
            format!("write  \"{ip}\"  (the interface already knows the prefix)"),
        ));
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Err(wrong(
            format!("the address of a node has no port, and this is `{text}`"),
            format!("write  \"{}\"  here and the port in the link's table", socket.ip()),
        ));
    }
    Err(no_address(text, "\"10.0.0.1\" or \"fd00::1\""))
}

/// Reads the address of a service: an address, `/` and the length of the prefix.
///
/// # Errors
/// Says what is wrong with it and what to write instead.
pub(super) fn parse_service(text: &str) -> Result<(IpAddr, u8), Wrong> {
    let Some((ip, prefix)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(ip) => wrong(
                format!("`{ip}` has no prefix"),
                format!("write  \"{ip}/{}\"  if its network has that prefix", usual_prefix(ip)),
            ),
            Err(_) => no_address(text, "\"10.0.0.100/24\""),
        });
    };
    let ip = parse_ip(ip)?;
    let number = prefix.parse::<i64>().ok().filter(|_| !prefix.starts_with('+'));
    let Some(number) = number else {
        return Err(wrong(
            format!("`{}` is not the length of a prefix", shown(prefix)),
            format!("write a number, for example  \"{ip}/{}\"", usual_prefix(ip)),
        ));
    };
    Ok((ip, check_prefix(ip, number)?))
}

/// Reads a network: its own address, `/` and the length of its prefix.
///
/// # Errors
/// Says what is wrong with it and what to write instead.
pub(super) fn parse_network(text: &str) -> Result<(IpAddr, u8), Wrong> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(ip, length)| Some((ip.parse::<IpAddr>().ok()?, length)));
    let Some((ip, length)) = parts else {
        return Err(wrong(
            format!("`{}` is not the prefix of a network", shown(text)),
            "write its address and the length of its prefix:  \"10.0.0.0/24\"",
        ));
    };
    let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
    let digits = !length.is_empty() && length.bytes().all(|octet| octet.is_ascii_digit());
    let length = length.parse::<u8>().ok().filter(|it| digits && (1..=most).contains(it));
    let Some(length) = length else {
        return Err(wrong(
            format!("`{}` has no length of a prefix from 1 to {most}", shown(text)),
            format!("most networks of this kind have {}", usual_prefix(ip)),
        ));
    };
    let network = without_host(ip, length);
    if network != ip {
        return Err(wrong(
            format!("{ip}/{length} is an address in a network, not the network"),
            format!("write  \"{network}/{length}\""),
        ));
    }
    Ok((network, length))
}

/// The network's own address.
fn without_host(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & !host).into()
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & !host).into()
        }
    }
}

/// Reads an address that a service may use, without prefix.
///
/// # Errors
/// Says what is wrong with it and what to write instead.
pub(super) fn parse_ip(text: &str) -> Result<IpAddr, Wrong> {
    match text.parse::<IpAddr>() {
        Ok(ip) => refusal(ip).map_or(Ok(ip), Err),
        Err(_) => Err(no_address(text, "\"10.0.0.100\"")),
    }
}

/// The prefix, if it can be one of this address and leaves it an address of a machine.
///
/// # Errors
/// Says what is wrong with it and what to write instead.
pub(super) fn check_prefix(ip: IpAddr, prefix: i64) -> Result<u8, Wrong> {
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let Some(length) = u8::try_from(prefix).ok().filter(|length| (1..=most).contains(length))
    else {
        return Err(wrong(
            format!("a prefix of {prefix} is out of range for {ip}"),
            format!(
                "it goes from 1 to {most}; most networks of this kind have {}",
                usual_prefix(ip)
            ),
        ));
    };
    match ends_of_network(ip, length) {
        Some(end) => Err(wrong(
            format!("{ip}/{length} is the {end} of its network, not an address of a machine"),
            "choose another address of that network, or check the prefix",
        )),
        None => Ok(length),
    }
}

/// The prefix that most networks of the address's family have.
fn usual_prefix(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 24 } else { 64 }
}

/// What the address means to its network, if it is one of those that no machine may have.
///
/// Networks of two addresses have none (RFC 3021, RFC 6164); IPv6 has no broadcast, and its
/// lowest address belongs to the routers (RFC 4291, section 2.6.1).
fn ends_of_network(ip: IpAddr, prefix: u8) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
            let bits = ip.to_bits() & host;
            match bits {
                _ if prefix >= 31 => None,
                0 => Some("network address"),
                _ => (bits == host).then_some("broadcast address"),
            }
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
            (prefix < 127 && ip.to_bits() & host == 0).then_some("routers' anycast address")
        }
    }
}

/// Why no machine can be reached at this address, if so.
fn refusal(ip: IpAddr) -> Option<Wrong> {
    let kind = match ip {
        IpAddr::V4(ip) => refused_v4(ip)?,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(plain) => {
                let message = format!("`{ip}` is an IPv4 address in IPv6 clothes");
                return Some(wrong(message, format!("write  \"{plain}\"")));
            }
            None => refused_v6(ip)?,
        },
    };
    let message = format!("`{ip}` is {kind}: no other machine can reach this one there");
    Some(wrong(message, "write an address that this network gives to a machine"))
}

fn refused_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip {
        _ if ip.is_unspecified() => Some("the unspecified address"),
        _ if ip.is_loopback() => Some("a loopback address"),
        _ if ip.is_multicast() => Some("a multicast address"),
        _ if ip.is_broadcast() => Some("the broadcast address"),
        // RFC 1122, section 3.2.1.3, and RFC 1112, section 4.
        _ if ip.octets()[0] == 0 || ip.octets()[0] >= 240 => Some("a reserved address"),
        _ => None,
    }
}

fn refused_v6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip {
        _ if ip.is_unspecified() => Some("the unspecified address"),
        _ if ip.is_loopback() => Some("the loopback address"),
        _ if ip.is_multicast() => Some("a multicast address"),
        // It says nothing without an interface, and clients elsewhere can't use it.
        _ if ip.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

fn no_address(text: &str, example: &str) -> Wrong {
    wrong(
        format!("`{}` is not an IP address", shown(text)),
        format!("write an address like  {example}  (names are not looked up)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(text: &str) -> Result<String, String> {
        parse_service(text).map(|(ip, prefix)| format!("{ip}/{prefix}")).map_err(|w| w.message)
    }

    #[test]
    fn addresses_of_machines_are_accepted() {
        for good in
            ["10.0.0.100/24", "10.0.0.0/31", "10.0.0.1/32", "fd00::100/64", "fd00::/127", "::2/128"]
        {
            assert_eq!(service(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn the_ends_of_a_network_belong_to_no_machine() {
        for bad in ["10.0.0.0/24", "10.0.0.255/24", "10.0.0.4/30", "10.0.0.7/30", "fd00::/64"] {
            assert!(service(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "/",
            "/24",
            "10.0.0.1/",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "10.0.0.1/+24",
            "10.0.0.1/-1",
            "10.0.0.1/x",
            "10.0.0.1/24/24",
            "fd00::1/129",
            "fd00::1%eth0/64",
            "10.0.0.256/24",
            "0.0.0.0/8",
            "127.0.0.1/8",
            "224.0.0.5/24",
            "255.255.255.255/24",
            "0.1.2.3/8",
            "241.0.0.1/8",
            "::/64",
            "::1/128",
            "ff02::1/64",
            "fe80::1/64",
            "::ffff:10.0.0.1/120",
        ] {
            assert!(service(bad).is_err(), "{bad}");
        }
        for bad in ["10.0.0.1/24", "10.0.0.1:80", "node1", "[fd00::1]:80", "fe80::1", "127.0.0.1"] {
            assert!(parse_node(bad).is_err(), "{bad}");
        }
    }
}
