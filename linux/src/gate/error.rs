//! What can go wrong at the gate, and what the caller does about it.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use super::wire::{self, Refusal};

/// What went wrong at the gate. In every case the call changed nothing, except where it says so.
#[derive(Debug, Error)]
pub enum GateError {
    /// The kernel or the sandbox has no packet filter for us.
    #[error(
        "can't reach the kernel's packet filter; nothing was changed; it needs nf_tables in the \
         kernel (Linux 5.16 or later) and CAP_NET_ADMIN in this network namespace"
    )]
    Unreachable(#[source] io::Error),
    /// The instance's name has other characters than a-z, 0-9 and hyphen, is empty or too long.
    #[error("{0:?} can't name a gate: 1 to 32 of a-z, 0-9 and hyphen")]
    Name(String),
    /// No device can have that name.
    #[error("{0:?} can't name a device: 1 to 15 bytes without `/`; nothing was changed")]
    Device(String),
    /// The kernel said no.
    #[error("the packet filter refused to {step}{}; nothing was changed", in_words(.detail))]
    Refused {
        /// The step of the batch that was refused.
        step: &'static str,
        /// The kernel's explanation; often empty.
        detail: String,
        /// The error number.
        #[source]
        source: io::Error,
    },
    /// The eBPF form is not to be had.
    #[error(
        "the eBPF form of the gate is not to be had: the kernel refused to {step}{}; the form of \
         nftables needs less",
        in_words(.detail)
    )]
    Ebpf {
        /// What was refused.
        step: &'static str,
        /// The kernel's explanation; often empty.
        detail: String,
        /// The error number.
        #[source]
        source: io::Error,
    },
    /// More addresses than there is room for.
    #[error("the gate has room for {room} addresses; nothing was changed; manage fewer")]
    Full {
        /// How many it takes.
        room: usize,
    },
    /// The kernel was asked, but its answer is missing.
    #[error(
        "the packet filter's answer can't be read; what was asked may have been done or not; ask \
         again"
    )]
    Unsure(#[source] io::Error),
    /// Another process that is still alive made the table.
    #[error(
        "the gate's table belongs to another process that still runs; nothing was changed; end \
         that guard first"
    )]
    Owned,
    /// Somebody removed the table or a filter, or emptied a set: addresses may be unguarded.
    #[error("the gate was changed by somebody else: its addresses may be unguarded; repair it")]
    Gone,
    /// The address was never given to [`Gate::manage`].
    #[error("{0} is not managed by this gate; nothing was changed; manage it before opening it")]
    NotManaged(IpAddr),
    /// The process was held up so long, so often, that the address could not be opened in time.
    #[error(
        "held up for {held_up:?} while opening addresses; they are shut; try again when the \
         processor is free"
    )]
    Late {
        /// The length of the last attempt.
        held_up: Duration,
    },
}

fn in_words(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

impl From<Refusal> for GateError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { step, detail, source } = refusal;
        if step == wire::ANSWER {
            return Self::Unsure(source);
        }
        Self::Refused { step, detail, source }
    }
}
