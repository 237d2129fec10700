//! The layers against the real things: name servers, routing daemons, web and mail servers.

mod client;
mod knowledge;
mod notify;
