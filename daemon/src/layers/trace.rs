//! Five translations between what a client wants and the port of a switch: what each place says.
//!
//! What it is for: `stead redirect trace CLIENT SERVICE`, asked on the client's side of things: on
//! a node, or on a machine with `stead client`. Each place is looked at as a client there would:
//! the document that is known, the resolvers of that machine, its kernel's route, its neighbour
//! table, a bridge that stands there. Failures: a place that can't be looked at says why.
//! Deliberately absent: asking anything that would change what a place says; a question to a cache
//! may make it ask its server.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::redirect::Layer;
use stead_edge::chain;
use stead_linux::netlink::{Mac, Neighbour, NeighbourState, Netlink};
use stead_redirect::dns::{self, Kind};
use stead_redirect::knowledge::{Document, Stamp, Whereabouts};
use stead_redirect::routing;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// How long a resolver is waited for.
const RESOLVE: Duration = Duration::from_secs(3);
/// The file that names a machine's resolvers (resolv.conf(5)).
const RESOLVERS: &str = "/etc/resolv.conf";
/// The most resolvers that are asked, as many as the C library does.
const MOST_RESOLVERS: usize = 3;
/// The port of name servers.
const DNS: u16 = 53;

/// What one place says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// Which translation.
    pub layer: String,
    /// What is translated.
    pub asked: String,
    /// Where.
    pub place: String,
    /// Into what, in words; why that is not known, if it is not.
    pub says: Result<String, String>,
    /// How old that is, in milliseconds, if it is known.
    pub age_ms: Option<u64>,
    /// After how many milliseconds it is looked up anew at the latest, if it is known.
    pub expires_ms: Option<u64>,
    /// Whether it leads to the holder; nothing if that can't be told.
    pub leads: Option<bool>,
}

/// What a service is, for whoever traces the ways to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its names.
    pub names: Vec<String>,
    /// Its addresses where it is.
    pub addresses: Vec<IpAddr>,
    /// The node that has it.
    pub node: Option<String>,
    /// The MACs that lead there; none if they are not known.
    pub macs: Vec<[u8; 6]>,
}

/// Looks at all five, from this machine.
pub async fn trace(wanted: &Wanted, document: Option<&Document>) -> Vec<Place> {
    let mut places = vec![knowledge(wanted, document)];
    let resolvers = resolvers(Path::new(RESOLVERS));
    for name in &wanted.names {
        places.extend(names(wanted, name, &resolvers).await);
    }
    for address in &wanted.addresses {
        places.extend(below(wanted, *address).await);
    }
    places
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn knowledge(wanted: &Wanted, document: Option<&Document>) -> Place {
    let place = |says, leads| Place {
        layer: Layer::Knowledge.name().to_owned(),
        asked: "the service".to_owned(),
        place: "the document known here".to_owned(),
        says,
        age_ms: None,
        expires_ms: None,
        leads,
    };
    let Some(document) = document else {
        return place(Err("there is none: `documents` is not set, or none has come".into()), None);
    };
    let at = document.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let says = match (document.state, &document.node) {
        (Whereabouts::Here, Some(node)) => format!("on {node}, at {at}"),
        (Whereabouts::Moving, Some(node)) => format!("on its way to {node}"),
        (Whereabouts::Here | Whereabouts::Moving | Whereabouts::Nowhere, _) => "nowhere".into(),
    };
    let leads = document.state == Whereabouts::Here && document.node == wanted.node;
    let now = Stamp::now().unix_millis();
    let until = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).ok();
    Place {
        age_ms: until(document.order.issued.unix_millis(), now),
        expires_ms: until(now, document.valid_until.unix_millis()),
        ..place(Ok(format!("{says} (epoch {})", document.order.epoch)), Some(leads))
    }
}

/// The resolvers of this machine.
fn resolvers(file: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next())?
    });
    let addresses = named.filter_map(|text| text.parse().ok());
    addresses.take(MOST_RESOLVERS).map(|ip: IpAddr| SocketAddr::new(ip, DNS)).collect()
}

async fn names(wanted: &Wanted, name: &str, resolvers: &[SocketAddr]) -> Vec<Place> {
    let place = |server: Option<&SocketAddr>, says, expires_ms, leads| Place {
        layer: Layer::Dns.name().to_owned(),
        asked: name.to_owned(),
        place: server.map_or_else(|| RESOLVERS.to_owned(), |it| format!("resolver {it}")),
        says,
        age_ms: None,
        expires_ms,
        leads,
    };
    if resolvers.is_empty() {
        return vec![place(None, Err("this machine has no resolver".into()), None, None)];
    }
    let Ok(parsed) = name.parse::<dns::Name>() else { return Vec::new() };
    let mut places = Vec::new();
    for server in resolvers {
        let families = [
            (Kind::A, wanted.addresses.iter().any(IpAddr::is_ipv4)),
            (Kind::Aaaa, wanted.addresses.iter().any(IpAddr::is_ipv6)),
        ];
        for (kind, _) in families.into_iter().filter(|(_, wants)| *wants) {
            let looked = dns::look(*server, &parsed, kind, Instant::now() + RESOLVE).await;
            places.push(match looked {
                Err(fault) => place(Some(server), Err(chain(&fault)), None, None),
                Ok(look) if look.answers.is_empty() => {
                    let says = format!("no {kind} ({})", look.rcode);
                    let kept = look.nothing_for.map(|it| u64::from(it) * 1_000);
                    place(Some(server), Ok(says), kept, Some(false))
                }
                Ok(look) => {
                    let texts: Vec<_> = look.answers.iter().map(|it| it.text.clone()).collect();
                    let ttl = look.answers.iter().map(|it| it.ttl).min().unwrap_or_default();
                    let leads = look.answers.iter().any(|it| match &it.data {
                        Some(dns::Data::A(ip)) => wanted.addresses.contains(&(*ip).into()),
                        Some(dns::Data::Aaaa(ip)) => wanted.addresses.contains(&(*ip).into()),
                        Some(_) | None => false,
                    });
                    let ttl = Some(u64::from(ttl) * 1_000);
                    place(Some(server), Ok(texts.join(", ")), ttl, Some(leads))
                }
            });
        }
    }
    places
}

/// Route, neighbour table and switch, for one address.
async fn below(wanted: &Wanted, address: IpAddr) -> Vec<Place> {
    let macs = wanted.macs.clone();
    let looked = spawn_blocking(move || local(address, &macs)).await;
    let mut places = looked.unwrap_or_else(|error| {
        // A bug, and no reason to hide what the others say.
        tracing::error!("a look into this machine's own tables broke off: {error}");
        Vec::new()
    });
    // Last: it has the kernel look the neighbour up, if it does not know it.
    let echo = match routing::observe(address, None, Duration::from_secs(1)).await {
        Ok(observed) if observed.answered => {
            Ok(format!("it answers, after {} ms", observed.took.as_millis()))
        }
        Ok(_) => Ok("it does not answer an echo".to_owned()),
        Err(error) => Err(chain(&error)),
    };
    places.push(Place {
        layer: "echo".to_owned(),
        asked: address.to_string(),
        place: "this machine".to_owned(),
        leads: None,
        says: echo,
        age_ms: None,
        expires_ms: None,
    });
    places
}

/// What this machine's kernel says.
fn local(address: IpAddr, macs: &[[u8; 6]]) -> Vec<Place> {
    let place = |layer: Layer, asked: &dyn ToString, place: &str, says| Place {
        layer: layer.name().to_owned(),
        asked: asked.to_string(),
        place: place.to_owned(),
        says,
        age_ms: None,
        expires_ms: None,
        leads: None,
    };
    let mut netlink = match Netlink::open() {
        Ok(netlink) => netlink,
        Err(error) => {
            return vec![place(Layer::Route, &address, "this kernel", Err(chain(&error)))];
        }
    };
    let route = match netlink.route_to(address) {
        Ok(Some(route)) => route,
        Ok(None) => {
            let says = if is_own(&mut netlink, address) {
                Ok("it is an address of this machine itself".to_owned())
            } else {
                Ok("no route".to_owned())
            };
            return vec![place(Layer::Route, &address, "this kernel", says)];
        }
        Err(error) => {
            return vec![place(Layer::Route, &address, "this kernel", Err(chain(&error)))];
        }
    };
    // What comes of the route for this very address: a redirect names another router.
    let way = netlink.way_to(address).ok().flatten().unwrap_or(route);
    let link = way.index.and_then(|index| netlink.link(index).ok());
    let name = link.as_ref().map_or("?", |link| link.name.as_str()).to_owned();
    let hop = way.gateway.unwrap_or(address);
    let via = match way.gateway {
        Some(gateway) => format!("{} via {gateway} on {name}", route.to),
        None => format!("{} on {name}, on the segment", route.to),
    };
    let mut places = vec![place(Layer::Route, &address, "this kernel", Ok(via))];
    let table = netlink.neighbours();
    let is_hop = |it: &&Neighbour| it.addr == hop && Some(it.index) == way.index;
    let known = table.as_ref().map(|all| all.iter().find(is_hop));
    let says = known.map(neighbour).map_err(|error| chain(error));
    let known = known.ok().flatten();
    let mut entry = place(Layer::Arp, &hop, &format!("neighbours of {name}"), says);
    entry.age_ms = known.and_then(|it| it.ages).map(|ages| millis(ages.confirmed));
    let mac = known.filter(|it| it.state.is_used()).and_then(|it| it.mac);
    // Of a gateway's MAC nothing is known here.
    let direct = way.gateway.is_none() && !macs.is_empty();
    entry.leads = mac.filter(|_| direct).map(|mac| macs.contains(&mac.0));
    places.push(entry);
    if let Some(mac) = mac {
        places.push(port(&mut netlink, mac, link.as_ref().map(|link| link.index)));
    }
    places
}

fn is_own(netlink: &mut Netlink, address: IpAddr) -> bool {
    netlink.addresses().is_ok_and(|all| all.iter().any(|it| it.addr == address))
}

fn neighbour(known: Option<&Neighbour>) -> String {
    let Some(known) = known else { return "not known: it is asked when it is needed".into() };
    let mac = known.mac.map_or_else(|| "no MAC".to_owned(), |mac| mac.to_string());
    match known.state {
        NeighbourState::Reachable => format!("{mac}, confirmed lately"),
        NeighbourState::Stale => format!("{mac}, used, and asked about after that"),
        NeighbourState::Delay | NeighbourState::Probe => format!("{mac}, being asked about"),
        NeighbourState::Permanent => format!("{mac}, set by hand: nobody can change it from afar"),
        NeighbourState::Incomplete => "being asked for the first time".to_owned(),
        NeighbourState::Failed => "nobody answers for it".to_owned(),
        NeighbourState::Other => format!("{mac}, set by something else"),
    }
}

/// Behind which port a MAC is, if the switch is a bridge of this machine.
fn port(netlink: &mut Netlink, mac: Mac, index: Option<u32>) -> Place {
    let found = netlink.find_station(mac);
    let found = found.map(|all| all.into_iter().find(|it| Some(it.port) != index));
    let station = found.as_ref().ok().and_then(Option::as_ref);
    let says = match (&found, station) {
        (Err(error), _) => Err(chain(error)),
        (Ok(_), Some(station)) => {
            let name = netlink.link(station.port).map(|link| link.name);
            Ok(format!("port {}", name.unwrap_or_else(|_| station.port.to_string())))
        }
        (Ok(_), None) => Err("the switch is not this machine's: look into its table".to_owned()),
    };
    Place {
        layer: Layer::Mac.name().to_owned(),
        asked: mac.to_string(),
        place: "switch".to_owned(),
        says,
        age_ms: station.map(|it| millis(it.age)),
        expires_ms: None,
        leads: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_as_the_library_reads_them() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = "# nameserver 10.9.9.9\nsearch shop.example\nnameserver 10.0.0.53\n\
                    nameserver  fd00::53\nnameserver nonsense\n nameserver 10.0.0.54\n\
                    nameserver 10.0.0.55\n";
        std::fs::write(file.path(), text).expect("written");
        let found: Vec<_> = resolvers(file.path()).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.53:53", "[fd00::53]:53", "10.0.0.54:53"]);
        assert!(resolvers(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn a_place_that_was_never_told_says_so() {
        let place = knowledge(&Wanted::default(), None);
        assert!(place.says.is_err() && place.leads.is_none());
    }
}
