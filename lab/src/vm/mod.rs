//! Machines with a kernel of their own, on the same switches: what no namespace can show.
//!
//! What it is for: a pause that no clock of the machine shows, a watchdog, power that goes and
//! comes back, a kernel that panics, and file systems on disks that several machines reach. A
//! [`Machine`] is a QEMU that emulates its processor, so it works wherever the tests do.
//!
//! ```text
//!   machine's host (a namespace)                     switch
//!   ┌───────────────────────────────────┐
//!   │ QEMU ── tap0 ── br0 ── the cable ─┼──────────── port        one of them for each interface
//!   └───────────────────────────────────┘
//! ```
//!
//! The guest has the interface, its Ethernet address and its addresses; the host has none of them
//! and is silent. Every fault of the bed is one of the machine's cables, and the end of the bed is
//! the end of QEMU.
//!
//! A guest has no disk that it needs: its kernel is Debian's ([`Kernel`]), its programs are this
//! machine's own, `/usr` as it stands, read only, and all else is in its memory and anew at every
//! boot (`guest/init`). So whatever the tests install is there, in the same version, and nothing is
//! packed. All of this machine can be read in `/host`.
//!
//! Happy path: [`Kernel::at`], [`MachineSpec`], [`crate::Bed::machine`], [`Machine::power_on`],
//! [`Machine::wait_up`], [`Machine::run`]. Then [`Machine::pause`], [`Machine::reset`],
//! [`Machine::power_cut`], and what QEMU tells ([`Machine::wait_for_event`]).
//!
//! Times: userland after about 3 s, programs after about 6 s; some 150 MiB and hardly any processor
//! time for a guest that idles. What it does takes ten times as long as outside.
//!
//! Failures: [`crate::LabError`] says which machine and what it was asked. A guest that could not
//! be made ready says why on its console, which [`Machine::wait_up`] quotes. A question that waited
//! through a reset is not carried out afterwards (`guest/commands`).
//!
//! Deliberately absent: hardware virtualisation (times would depend on where the tests run),
//! migration and snapshots (QEMU refuses them while `/usr` is lent), anything about stead.

mod archive;
mod commands;
mod image;
mod kernel;
mod machine;
mod qemu;
mod qmp;
mod spec;

pub use commands::Answer;
pub use kernel::Kernel;
pub use machine::Machine;
pub use qmp::Event;
pub use spec::MachineSpec;
