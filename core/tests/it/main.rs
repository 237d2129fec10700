//! Trials of the core's machines alone: the lease machine, the node machine, the state, encodings.
//! Together, in a cluster, they are tried in the simulator (`sim/`).

mod advise;
mod beats;
mod bound;
mod carried;
mod chain;
mod copied;
mod copies;
mod desk;
mod disarmed;
mod earlier;
mod fenced;
mod guard;
mod left_alone;
mod lowered;
mod order;
mod parts;
mod patience;
mod placed;
mod points;
mod quarantine;
mod register;
mod registers;
mod reports;
mod resource;
mod rest;
mod restart;
mod satellites;
mod state;
mod told;
mod wanted;
mod watchdog;
mod watched;
mod wire;
