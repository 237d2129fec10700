//! What breaks ties: whether a quorum server answers this node, or the program of module `exec`.
//!
//! Where the server is, and by which key it is known, stands in the replicated state, so the daemon
//! of this node is asked for that; the rest is looked at from here, with this node's own key. A
//! node works without it, so the worst that is found is a warning.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use stead_core::id::ClusterId;
use stead_core::quorum::ask::Standing;
use stead_core::quorum::chain::Module;
use stead_core::state::QuorumServer;
use stead_core::state::config::ExecConfig;
use stead_edge::chain;
use stead_log::transport::{Identity, KeyHash};
use tokio::runtime::{Builder, Runtime};

use super::{Finding, Patient};
use crate::api::report::BreakerReport;
use crate::quorum_client::{Looked, NotConnected, look};
use crate::tie_breaker::exec;

/// The finding about no address in particular.
const SERVER: &str = "quorum server";
const PROGRAM: &str = "quorum program";
/// What follows from a tie that nothing breaks.
const UNBROKEN: &str = "until then the loss of exactly half of the voters stops everything";

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let quorum = patient.config.map(|config| &config.later.quorum);
    let register = || quorum.and_then(|it| it.chain.register());
    // What is in force counts; a file that is not applied yet says what may be.
    let named = match patient.breaker {
        Some(breaker) => Module::ALL.into_iter().find(|it| it.name() == breaker.module),
        None => register(),
    };
    match (named, quorum.and_then(|it| it.exec.as_ref())) {
        (Some(Module::QuorumServer), _) => server(patient),
        (Some(Module::Exec), Some(exec)) => vec![program(exec, patient.cluster)],
        (Some(Module::Exec | Module::Majority | Module::Fence) | None, _) => Vec::new(),
    }
}

fn server(patient: &Patient<'_>) -> Vec<Finding> {
    let (Some(breaker), Some(cluster)) = (patient.breaker, patient.cluster) else {
        let seen = "no daemon answers here, so where the cluster is enrolled is not known";
        return vec![Finding::unknown(SERVER, seen)];
    };
    let Some((addresses, key)) = known(breaker) else {
        let advice = "on the server: stead quorum-server enrol; then here what that prints";
        let seen = format!("the cluster is enrolled at none; {UNBROKEN}");
        return vec![Finding::warning(SERVER, seen, advice)];
    };
    let own = Identity::load(&patient.paths.keys()).map_err(|error| chain(&error));
    let (identity, runtime) = match own.and_then(|own| Ok((own, runtime()?))) {
        Ok(both) => both,
        Err(why) => return vec![Finding::unknown(SERVER, why)],
    };
    let one = |address| {
        let server = QuorumServer { addresses: vec![address], key };
        let looked = runtime.block_on(look(&identity, &server, cluster));
        answer(&format!("{SERVER} {address}"), looked)
    };
    addresses.into_iter().map(one).collect()
}

/// Where the server is, and its key; nothing if there is none.
fn known(breaker: &BreakerReport) -> Option<(Vec<SocketAddr>, [u8; 32])> {
    let addresses: Vec<_> = breaker.at.iter().filter_map(|it| it.parse().ok()).collect();
    let KeyHash(key) = breaker.key.as_ref()?.parse().ok()?;
    (!addresses.is_empty()).then_some((addresses, key))
}

fn runtime() -> Result<Runtime, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime to ask with: {error}"))
}

fn ms(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

fn answer(check: &str, looked: Result<Looked, NotConnected>) -> Finding {
    match looked {
        Ok(Looked { connected, round_trip, standing }) => {
            let (connected, round_trip) = (ms(connected), ms(round_trip));
            let seen = format!("TLS with its key in {connected}, an answer in {round_trip}");
            stands(check, &seen, Some(standing))
        }
        Err(why @ NotConnected::Refused(_)) => {
            Finding::warning(check, format!("it is there, and {why}; {UNBROKEN}"), "")
        }
        Err(why @ (NotConnected::WrongKey { .. } | NotConnected::NoServer { .. })) => {
            let advice = "find out who answers at that address";
            Finding::warning(check, format!("{why}; {UNBROKEN}"), advice)
        }
        Err(why @ NotConnected::KeyUnusable(_)) => Finding::unknown(check, why.to_string()),
        Err(
            why @ (NotConnected::Starting
            | NotConnected::NoAddress
            | NotConnected::Unreachable { .. }
            | NotConnected::TooSlow(_)),
        ) => {
            let advice = "look at the network and its filters; on the server: systemctl status \
                          stead-quorum-server";
            Finding::warning(check, format!("{why}; {UNBROKEN}"), advice)
        }
    }
}

/// Whether it would grant anything.
fn stands(check: &str, seen: &str, standing: Option<Standing>) -> Finding {
    let advice = "a coordinator with quorum tells it within seconds. If it stays so, the cluster \
                  has none: stead status";
    match standing {
        Some(Standing { last, distrusted: None }) => {
            Finding::good(check, format!("{seen}; newest grant {last}"))
        }
        Some(Standing { distrusted: Some(_), .. }) => {
            let why = "it grants nothing: it is new, or came back from a backup, and was not told \
                       yet what was granted before";
            Finding::warning(check, format!("{seen}; {why}"), advice)
        }
        None => {
            let why = "nothing is kept there yet, so nothing is granted";
            Finding::warning(check, format!("{seen}; {why}"), advice)
        }
    }
}

/// Whether the program is there and answers `get`, which changes nothing.
fn program(exec: &ExecConfig, cluster: Option<ClusterId>) -> Finding {
    let file = exec.command.first().map_or("", String::as_str);
    let path = Path::new(file);
    if !path.is_file() {
        let advice = "install it on every node, or mend the path in the file";
        return Finding::warning(PROGRAM, format!("{file} is no file here; {UNBROKEN}"), advice);
    }
    if let Err(errno) = access(path, AccessFlags::X_OK) {
        let seen = format!("{file} can't be run ({errno}); {UNBROKEN}");
        return Finding::warning(PROGRAM, seen, "chmod 755 the file; look how it is mounted");
    }
    let Some(cluster) = cluster else {
        let seen = format!("{file} can be run; what it keeps is known once the machine has joined");
        return Finding::good(PROGRAM, seen);
    };
    let looked = runtime().map(|runtime| {
        let looked = runtime.block_on(exec::look(exec, cluster));
        looked.map_err(|error| error.to_string())
    });
    match looked {
        Err(why) => Finding::unknown(PROGRAM, why),
        Ok(Err(why)) => {
            let advice = "run it by hand with `get`, and STEAD_KEY in its environment";
            Finding::warning(PROGRAM, format!("{why}; {UNBROKEN}"), advice)
        }
        Ok(Ok((standing, took))) => {
            stands(PROGRAM, &format!("{file} get answers in {}", ms(took)), standing)
        }
    }
}

#[cfg(test)]
mod tests;
