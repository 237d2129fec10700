//! Trials of the core's machines alone: the lease machine, the node machine, the state, encodings.
//! Together, in a cluster, they are tried in the simulator (`sim/`).

mod beats;
mod chain;
mod copied;
mod copies;
mod desk;
mod disarmed;
mod earlier;
mod guard;
mod parts;
mod patience;
mod points;
mod quarantine;
mod register;
mod reports;
mod resource;
mod restart;
mod satellites;
mod state;
mod wanted;
mod wire;
