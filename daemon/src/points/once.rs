//! Asks the points of one configuration a few times, and waits: for `stead doctor`.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use stead_core::points::What;
use stead_core::state::config::{Config, NetworkConfig};
use stead_edge::chain;
use stead_linux::netlink::{Netlink, NetlinkError};
use stead_linux::packet::{PacketError, PacketSocket, Wanted};

use super::port::{answer, question};
use super::way::{Machine, Way};

/// How often each is asked.
const TIMES: u32 = 10;
/// How long each answer is waited for at most.
const PATIENCE: Duration = Duration::from_millis(100);

/// What came of asking one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The network's name.
    pub network: String,
    /// What was asked.
    pub what: What,
    /// Who that is from here, by which interface, how many of so many questions were answered; or
    /// why none was asked.
    pub answers: Result<(Vec<IpAddr>, String, u32, u32), String>,
}

/// Asks every point of a configuration from this machine. Takes up to a second for one that does
/// not answer.
///
/// # Errors
/// The kernel can't be asked for interfaces and routes.
pub fn look(config: &Config) -> Result<Vec<Found>, NetlinkError> {
    let machine = Machine::look(&mut Netlink::open()?, true)?;
    let services = config.services.values().flat_map(|service| &service.addresses);
    let moving: Vec<IpAddr> = services.map(|address| address.ip).collect();
    let points = stead_core::points::of_config(config);
    let found = points.into_iter().filter_map(|point| {
        let network = config.more.networks.get(&point.network)?;
        let answers = ask(&machine, network, &moving, point.what);
        Some(Found { network: point.network, what: point.what, answers })
    });
    Ok(found.collect())
}

fn ask(
    machine: &Machine,
    network: &NetworkConfig,
    moving: &[IpAddr],
    what: What,
) -> Result<(Vec<IpAddr>, String, u32, u32), String> {
    let way =
        machine.way(network, moving).ok_or("this machine has no interface in that network")?;
    if !way.passes {
        return Err(format!("{} is down or has no carrier", way.name));
    }
    let targets = match what {
        What::Address(address) => vec![address],
        What::Gateway => way.gateways.clone(),
    };
    if targets.is_empty() {
        return Err("no route of this machine has its next hop in that network".to_owned());
    }
    let socket = PacketSocket::open(&way.name, Wanted::Neighbors).map_err(|it| chain(&it))?;
    let mut answered = 0;
    for _ in 0..TIMES {
        answered += u32::from(ask_once(&socket, &way, &targets).map_err(|it| chain(&it))?);
    }
    Ok((targets, way.name, answered, TIMES))
}

/// Whether one of the targets answers in time.
fn ask_once(socket: &PacketSocket, way: &Way, targets: &[IpAddr]) -> Result<bool, PacketError> {
    for target in targets {
        socket.send(&question(socket.mac(), *target, way.from(*target), None))?;
    }
    let until = Instant::now() + PATIENCE;
    let mut buffer = [0; 2_048];
    while Instant::now() < until {
        match socket.receive(&mut buffer)? {
            Some(frame) => {
                let who = answer(frame, socket.mac());
                if who.is_some_and(|(address, _)| targets.contains(&address)) {
                    return Ok(true);
                }
            }
            None => std::thread::sleep(Duration::from_micros(200)),
        }
    }
    Ok(false)
}
