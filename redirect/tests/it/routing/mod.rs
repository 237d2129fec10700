//! Prefixes that move between subnets, with real routers of either kind.

mod bird;
mod faults;
mod frr;
mod lapse;
mod moves;
mod net;
