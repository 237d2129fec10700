//! `stead redirect`: what lies between clients and services, looked at and tried out.
//!
//! Happy path: [`advise`] finds out which layers are possible and says what each would cost;
//! [`trace`] has one node say what each place on the way to a service says there; [`probe`] has
//! several nodes move a throw-away address between them, and judges what came of it; [`client`] and
//! [`routing`] say what has to stand in others' configurations.
//! Failures: a node that can't take part is named, and nothing is left behind. Deliberately absent:
//! any change of the cluster's state.

pub mod advise;
pub mod client;
pub mod probe;
pub mod routing;
pub mod trace;
