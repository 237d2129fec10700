//! The edges: everything that touches the world, and the command line.
//!
//! One binary, two processes on each node. [`guard`] holds the lease; [`driver`] runs the daemon
//! around core's node machine, with [`agent`] (programs, each with its [`keeper`]) and [`redirect`]
//! (announcements) as its hands, [`api`] and [`cli`] as its face, [`layers`] (what clients beyond
//! the segment learn by), [`journal`] as its memory for people and [`metrics`] as its numbers for
//! machines. [`config`] reads what the operator wants, [`revisions`] keeps what was in force;
//! [`ocf`] knows resource agents, [`fence`] switches machines off. [`demo`] is a whole cluster on
//! one machine, out of the same processes. [`quorum_server`] is a third process, on another
//! machine, that breaks ties; [`quorum_client`] asks it, for a [`tie_breaker`]. [`tools`] stands in
//! for what agents call of Pacemaker.
//!
//! Happy path: `cli` parses, then `guard::run`, `driver::run`, or a question to the running daemon.
//! Failures: every error says what failed, whether anything changed and what to do next; one that
//! ends a process leaves the lease to run out by itself.
//!
//! Absent on purpose: decisions. They are made in `stead_core`, from what is told to it here.

pub mod agent;
mod alike;
pub mod api;
pub mod cli;
pub mod config;
pub mod connections;
pub mod demo;
pub mod departure;
pub mod doctor;
pub mod driver;
mod ending;
pub mod executor;
pub mod fence;
pub mod guard;
pub mod identity;
pub mod journal;
pub mod keeper;
pub mod layers;
pub mod metrics;
pub mod ocf;
pub mod paths;
pub mod points;
pub mod quorum_client;
pub mod quorum_server;
pub mod redirect;
pub mod revisions;
mod tail;
mod threads;
pub mod tie_breaker;
pub mod tools;
