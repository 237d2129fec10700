//! The layers against the real things: name servers, routing daemons, web and mail servers.
#![allow(missing_docs)]

mod client;
mod dns;
mod knowledge;
mod notify;
mod probe;
mod routing;
