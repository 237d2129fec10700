//! Which reference points a configuration names, and in which order.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::MOST;
use crate::id::ServiceId;
use crate::state::config::Config;

/// One reference point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The network that it speaks for, by its name.
    pub network: String,
    /// What is asked.
    pub what: What,
}

/// What is asked at a reference point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The next hops of each node's own routes in that network. Any of them speaks for all.
    Gateway,
    /// This address.
    Address(IpAddr),
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Gateway => write!(f, "the gateway of the network {}", self.network),
            What::Address(address) => write!(f, "{address} of the network {}", self.network),
        }
    }
}

/// All reference points, in the order that numbers them: by the networks' names, in each its
/// gateway first and then its addresses as they are listed. Never more than [`MOST`].
#[must_use]
pub fn of_config(config: &Config) -> Vec<Point> {
    let mut points = Vec::new();
    for (name, network) in &config.more.networks {
        let point = |what| Point { network: name.clone(), what };
        points.extend(network.gateway.then(|| point(What::Gateway)));
        points.extend(network.addresses.iter().map(|it| point(What::Address(*it))));
    }
    points.truncate(MOST);
    points
}

/// Which of these points speak for a service: those of every network that one of its addresses lies
/// in, a bit for each.
#[must_use]
pub fn of_service(config: &Config, points: &[Point], service: &ServiceId) -> u8 {
    let Some(service) = config.services.get(service) else { return 0 };
    let speaks = |point: &Point| {
        let network = config.more.networks.get(&point.network);
        network.is_some_and(|it| service.addresses.iter().any(|address| it.contains(address.ip)))
    };
    let numbered = points.iter().take(MOST).enumerate();
    numbered.filter(|(_, point)| speaks(point)).fold(0, |set, (number, _)| set | 1 << number)
}
