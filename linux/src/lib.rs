//! System calls: everything that stead asks of the kernel, and the only `unsafe` in the house.
//!
//! Each module turns one interface of Linux into typed calls that say what happened: clocks,
//! netlink, namespaces, the lease gate, packet and datagram sockets, files that survive power loss,
//! processes. All of it is synchronous and none of it decides anything: when, why and for whom
//! stands in the callers. Nothing here knows what a lease, a view or a service is.
//!
//! Every `unsafe` block says why it is sound; bytes from the network and the disk never panic.

pub mod alarm;
pub mod clock;
pub mod durable;
pub mod gate;
pub mod lock;
pub mod namespace;
pub mod netlink;
pub mod packet;
pub mod poller;
pub mod process;
pub mod realtime;
pub mod reboot;
pub mod seqpacket;
pub mod shared;
pub mod sysctl;
pub mod tcp;
pub mod udp;
pub mod watchdog;
pub mod wire;
