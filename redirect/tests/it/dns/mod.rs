//! Names on real name servers: a primary, a secondary that it notifies, a cache, and a client.

mod cached;
mod crossing;
mod failing;
mod meddler;
mod pace;
mod site;
mod writing;
