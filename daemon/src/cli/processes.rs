//! `stead guard` and `stead daemon`: the two processes of a node, which systemd starts.

use std::io::IsTerminal;

use clap::Args;
use clap::builder::FalseyValueParser;
use tracing_subscriber::filter::{Directive, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::context::Context;
use super::exit::Exit;
use crate::metrics::listen::Address;
use crate::metrics::system_journal;

/// Run the guard of this node (systemd does it).
///
/// It holds the lease: sends and judges heartbeats, and keeps the kernel's gate. Ends at SIGTERM,
/// after everything that stood on the lease is stopped.
#[derive(Debug, Args)]
#[command(after_help = "What is logged: RUST_LOG, for example RUST_LOG=stead=debug")]
pub(super) struct Guard {}

/// Run the daemon of this node (systemd does it).
///
/// It decides and serves the local API. Its end stops nothing: the guard keeps the lease and
/// programs go on, for the daemon-grace.
#[derive(Debug, Args)]
#[command(after_help = "What is logged: RUST_LOG, for example RUST_LOG=stead=debug")]
pub(super) struct Daemon {
    /// Let Prometheus read this node's metrics at http://ADDRESS:PORT/metrics
    ///
    /// Without this nothing listens, and `stead metrics` prints the same.
    #[arg(long, env = "STEAD_METRICS", value_name = "ADDRESS:PORT")]
    metrics: Option<String>,
    /// Allow an address there that others than this machine can reach; there are no passwords
    #[arg(long, env = "STEAD_METRICS_OPEN", value_parser = FalseyValueParser::new())]
    metrics_open: bool,
}

impl Guard {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        log_lines(false);
        crate::guard::run(&context.paths)?;
        Ok(Exit::Done)
    }
}

impl Daemon {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        log_lines(system_journal::is_there());
        let listen = self.listen();
        crate::driver::run(&context.paths, listen)?;
        Ok(Exit::Done)
    }

    /// Where to listen. An address that can't be used costs the metrics and nothing else: a daemon
    /// that would not start for it costs the node its services.
    fn listen(&self) -> Option<Address> {
        // A variable that is set to nothing stands for none.
        let text = self.metrics.as_deref().filter(|text| !text.trim().is_empty())?;
        let read = Address::read(text, self.metrics_open);
        read.inspect_err(|error| tracing::error!("metrics can't be read: {error}")).ok()
    }
}

/// What is logged unless RUST_LOG says otherwise.
const USUAL: &str = "info,openraft=warn";

/// Log lines go to standard error; the journal of the system adds time and process. What the daemon
/// notices goes there with fields, if that journal is there.
pub(super) fn log_lines(notices: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    if let Err(error) = logged(filter, notices).try_init() {
        eprintln!("no log lines: {error}");
    }
}

/// The filter stands before everything. In a layer of its own it is asked at every line and span of
/// every library, and spans that nobody wants are made all the same: the log's engine makes many
/// (docs/reference/hot-path.md).
fn logged(filter: EnvFilter, notices: bool) -> impl tracing::Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.boxed()
    } else {
        lines.without_time().with_ansi(false).boxed()
    };
    let other = filter_fn(|of| of.target() != system_journal::TARGET);
    let lines = lines.with_filter(other);
    let journal = notices.then(tracing_journald::layer).and_then(|layer| {
        let failed = |error: &std::io::Error| eprintln!("notices have no fields there: {error}");
        layer.inspect_err(failed).ok()
    });
    let journal = journal.map(|layer| {
        let plain = layer.with_field_prefix(None).with_syslog_identifier("stead".to_owned());
        plain.with_filter(filter_fn(|of| of.target() == system_journal::TARGET))
    });
    // The journal has every notice, however little is logged besides.
    let always = format!("{}=info", system_journal::TARGET).parse::<Directive>();
    let filter = match always {
        Ok(always) if journal.is_some() => filter.add_directive(always),
        Ok(_) | Err(_) => filter,
    };
    tracing_subscriber::registry().with(lines).with(journal).with(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_is_not_even_made() {
        for notices in [false, true] {
            let subscriber = logged(EnvFilter::new(USUAL), notices);
            tracing::subscriber::with_default(subscriber, || {
                assert!(tracing::enabled!(target: "stead::driver", tracing::Level::INFO));
                assert!(!tracing::enabled!(target: "openraft::core", tracing::Level::INFO));
                assert!(!tracing::enabled!(target: "openraft::core", tracing::Level::TRACE));
                assert!(tracing::trace_span!(target: "openraft::core", "tick").is_disabled());
                assert!(tracing::debug_span!(target: "stead::log", "write").is_disabled());
            });
        }
    }
}
