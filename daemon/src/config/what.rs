//! Something that can be somebody's alone, as an operator writes it on a command line.

use stead_core::id::ServiceId;
use stead_core::state::config::Prefix;
use stead_core::state::{MacAddress, Registered};

use super::section::shown;
use super::{address, name, redirect};

/// Reads an address, a prefix, a MAC or a name; which of them it is follows from its form.
///
/// # Errors
/// Says what is wrong with it, and what to write instead.
pub fn read_registered(text: &str) -> Result<Registered, String> {
    if let Some(mac) = mac(text) {
        if mac.is_usable() {
            return Ok(Registered::Mac(mac));
        }
        return Err(format!("{mac} is no card's MAC: it is a group's, or zero"));
    }
    let said = |wrong: address::Wrong| format!("{}; {}", wrong.message, wrong.help);
    if text.contains('/') {
        let (network, length) = address::parse_network(text).map_err(said)?;
        let prefix = Prefix { network, length };
        // One address alone has one name only.
        let alone = prefix == Prefix::host(network);
        return Ok(if alone { Registered::Address(network) } else { Registered::Prefix(prefix) });
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return address::parse_ip(text).map(Registered::Address).map_err(said);
    }
    redirect::domain_of(text).map(Registered::Name).ok_or_else(|| {
        format!(
            "`{}` is no address (10.0.0.100), prefix (10.0.8.0/24), MAC (02:00:00:00:00:01) or \
             name (www.shop.example)",
            shown(text)
        )
    })
}

/// Six numbers of two hexadecimal digits, with colons or hyphens between them.
fn mac(text: &str) -> Option<MacAddress> {
    let separator = if text.contains(':') { ':' } else { '-' };
    let mut octets = [0; 6];
    let mut parts = text.split(separator);
    for octet in &mut octets {
        let part = parts.next().filter(|it| it.len() == 2)?;
        let digits = part.bytes().all(|it| it.is_ascii_hexdigit());
        *octet = u8::from_str_radix(part, 16).ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(MacAddress(octets))
}

/// The name of a service, which may not be there yet.
///
/// # Errors
/// Says why it can't be one.
pub fn service_name(text: &str) -> Result<ServiceId, String> {
    match name::refusal(text) {
        None => Ok(ServiceId::from(text)),
        Some(why) => Err(format!("a service can't be called `{}`: it {why}", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kind_follows_from_the_form() {
        for (text, kind, written) in [
            ("10.0.0.100", "address", "10.0.0.100"),
            ("FD00::0:1", "address", "fd00::1"),
            ("10.0.8.0/24", "prefix", "10.0.8.0/24"),
            ("fd00:8::/64", "prefix", "fd00:8::/64"),
            ("10.0.8.1/32", "address", "10.0.8.1"),
            ("fd00::1/128", "address", "fd00::1"),
            ("02:00:5E:00:53:01", "mac", "02:00:5e:00:53:01"),
            ("02-00-5e-00-53-01", "mac", "02:00:5e:00:53:01"),
            ("WWW.shop.example.", "name", "www.shop.example"),
            ("printer", "name", "printer"),
        ] {
            let read = read_registered(text).unwrap();
            let known = match read {
                Registered::Address(_) => "address",
                Registered::Prefix(_) => "prefix",
                Registered::Mac(_) => "mac",
                Registered::Name(_) => "name",
            };
            assert_eq!((known, read.to_string().as_str()), (kind, written), "{text}");
            assert_eq!(read_registered(&read.to_string()).as_ref(), Ok(&read), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_with_what_to_write() {
        for (text, word) in [
            ("10.0.0.300", "no address (10.0.0.100)"),
            ("10.0.8.1/24", "write  \"10.0.8.0/24\""),
            ("10.0.8.0/33", "prefix from 1 to 32"),
            ("01:00:5e:00:00:01", "a group's"),
            ("00:00:00:00:00:00", "a group's, or zero"),
            ("02:00:5e:00:53", "no address"),
            ("224.0.0.1", ""),
            ("0.0.0.0", ""),
            ("", "no address"),
            ("a b", "no address"),
            ("www..example", "no address"),
            ("fe80::1%eth0", "no address"),
        ] {
            let wrong = read_registered(text).unwrap_err();
            assert!(wrong.contains(word), "{text}: {wrong}");
        }
        assert!(service_name("web").is_ok() && service_name("Web shop").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if let Ok(read) = read_registered(&text) {
                prop_assert_eq!(read_registered(&read.to_string()), Ok(read));
            }
        }

        #[test]
        fn nearly_right_texts_too(text in "[0-9a-fA-F:./-]{0,24}") {
            if let Ok(read) = read_registered(&text) {
                prop_assert_eq!(read_registered(&read.to_string()), Ok(read));
            }
        }
    }
}
