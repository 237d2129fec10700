//! `stead demo`.

use std::net::SocketAddr;

use clap::Args;
use stead_core::time::Span;
use stead_core::timers::{LONGEST_RIDE_OUT, SHORTEST_RIDE_OUT};

use crate::demo::Options;

/// Build a cluster on this machine out of network namespaces, break it, and show what clients saw.
///
/// Needs no configuration, and no root where user namespaces are allowed; where they are not, it
/// prints the line to type. Nothing of the machine's own network is touched.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead demo\n  stead demo --sites\n  \
                  stead demo --ride-out 50ms\n  stead demo --json")]
pub(super) struct Demo {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// How long a stall must cost nothing
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = ride_out)]
    ride_out: Span,
    /// Leave it running, and print how to enter it
    #[arg(long)]
    keep: bool,
    /// Two sites and a quorum server at a third place: all up, a site down, the link between the
    /// sites lost, the server down, a site and the server down
    #[arg(long)]
    sites: bool,
}

impl Demo {
    /// Ends the process: what the demo answers is an exit status of its own.
    pub(super) fn run(self) -> ! {
        let Self { json, ride_out, keep, sites } = self;
        let status = crate::demo::run(&Options { json, ride_out, keep, sites });
        std::process::exit(i32::from(status))
    }
}

/// The program of the demo's services: a small web service (stead starts it).
#[derive(Debug, Args)]
pub(super) struct DemoWeb {
    /// Where it listens at each of the service's addresses
    port: u16,
}

impl DemoWeb {
    pub(super) fn run(self) -> ! {
        std::process::exit(i32::from(crate::demo::web(self.port)))
    }
}

/// The monitor of the demo's services: does the small web service answer?
#[derive(Debug, Args)]
pub(super) struct DemoCheck {
    /// Where it should answer
    #[arg(value_name = "ADDRESS:PORT")]
    service: SocketAddr,
}

impl DemoCheck {
    pub(super) fn run(self) -> ! {
        std::process::exit(i32::from(crate::demo::check(self.service)))
    }
}

/// A time such as `300ms` or `2s`.
fn ride_out(text: &str) -> Result<Span, String> {
    let wrong = || "write it like 300ms or 2s".to_owned();
    let (number, factor) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1_000),
    };
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    let span =
        Span::from_millis(number.checked_mul(factor).filter(|it| *it < 1 << 40).ok_or_else(wrong)?);
    if !(SHORTEST_RIDE_OUT..=LONGEST_RIDE_OUT).contains(&span) {
        return Err(format!("it must be from {SHORTEST_RIDE_OUT} to {LONGEST_RIDE_OUT}"));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_units() {
        assert_eq!(ride_out("50ms"), Ok(Span::from_millis(50)));
        assert_eq!(ride_out("2s"), Ok(Span::from_millis(2_000)));
        for wrong in
            ["", "50", "ms", "-1s", "1ms", "1e3s", "99999999999999999999s", "10000000000000s"]
        {
            assert!(ride_out(wrong).is_err(), "{wrong}");
        }
    }
}
