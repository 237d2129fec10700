//! The layers against the real things: name servers, routing daemons, web and mail servers.
#![allow(missing_docs)]

mod probe;
