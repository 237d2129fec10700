//! What the layers between clients and services need on this machine: keys of zones, name servers
//! that can be reached, the routing daemon, the token for documents.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use stead_core::state::config::{Config, RedirectConfig, ZoneConfig};
use stead_edge::chain;
use stead_edge::private::Secret;
use stead_redirect::routing::{Daemon, Session, Watched};
use tokio::runtime::Builder;

use super::{Finding, Patient};
use crate::layers::{names, routes};

/// How long a name server is given to take a connection.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(config) = patient.config else { return Vec::new() };
    let mut findings = Vec::new();
    for (name, zone) in &config.redirect().zones {
        findings.push(key(name, zone));
        findings.extend(servers(name, zone));
    }
    findings.extend(patient.node.and_then(|node| routing(config, node)));
    findings.extend(token(config.redirect()));
    findings
}

/// The key of a zone, by the same rule as the daemon reads it.
fn key(name: &str, zone: &ZoneConfig) -> Finding {
    let check = format!("key of zone {name}");
    match names::open(zone) {
        Ok(_) => Finding::good(&check, zone.key.as_str()),
        Err(why) => Finding::bad(
            &check,
            why,
            "copy the file that `tsig-keygen` wrote to this node, owned by root, mode 0600; \
             without it this node can't write the names of what it serves",
        ),
    }
}

/// All of them at once: one that is away takes its time.
fn servers(name: &str, zone: &ZoneConfig) -> Vec<Finding> {
    std::thread::scope(|scope| {
        let ask = |at: &SocketAddr| {
            let (at, check) = (*at, format!("server {at} of {name}"));
            scope.spawn(move || server(&check, at))
        };
        let asked: Vec<_> = zone.servers.iter().map(ask).collect();
        // One that panicked has told it.
        asked.into_iter().filter_map(|it| it.join().ok()).collect()
    })
}

/// Whether a name server can be reached. Updates go by TCP.
fn server(check: &str, at: SocketAddr) -> Finding {
    match TcpStream::connect_timeout(&at, PATIENCE) {
        Ok(_) => Finding::good(check, "takes connections"),
        Err(error) => Finding::warning(
            check,
            format!("it can't be reached: {error}"),
            "let its port pass, TCP and UDP; names are written to the first server of a zone, and \
             looked at on all",
        ),
    }
}

/// The routing daemon, if one is configured.
fn routing(config: &Config, node: &str) -> Option<Finding> {
    let daemon = routes::daemon(config.redirect().routing.as_ref()?, node);
    let runtime = Builder::new_current_thread().enable_all().build();
    let watched = match runtime {
        Ok(runtime) => runtime.block_on(daemon.watch(&[])).map_err(|error| chain(&error)),
        Err(error) => return Some(Finding::unknown(ROUTING, error.to_string())),
    };
    Some(judge(&daemon, watched))
}

const ROUTING: &str = "routing daemon";

fn judge(daemon: &Daemon, watched: Result<Watched, String>) -> Finding {
    let name = daemon.name();
    let watched = match watched {
        Ok(watched) => watched,
        Err(why) => {
            let advice = "install and start it; its own configuration needs what `stead redirect \
                          routing-config` prints";
            return Finding::warning(ROUTING, format!("{name}: {why}"), advice);
        }
    };
    let up = watched.neighbours.iter().filter(|it| it.session == Session::Established).count();
    let all = watched.neighbours.len();
    let seen = format!("{}: {up} of {all} sessions stand", watched.version);
    if up < all || all == 0 {
        let advice = "add the routers next to this node, or see why they don't answer: what this \
                      node announces reaches nobody else";
        return Finding::warning(ROUTING, seen, advice);
    }
    Finding::good(ROUTING, seen)
}

/// The token that readers of documents have to show.
fn token(redirect: &RedirectConfig) -> Option<Finding> {
    let file = redirect.documents_token.as_ref()?;
    Some(match Secret::read(Path::new(file)) {
        Ok(_) => Finding::good("documents-token", file.as_str()),
        Err(error) => Finding::bad(
            "documents-token",
            chain(&error),
            "put the token into the file, owned by root, mode 0600; without it this node tells \
             nobody where services are",
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;

    use stead_redirect::routing::{Bfd, Neighbour};

    use super::super::Verdict;
    use super::*;

    #[test]
    fn files_with_secrets_have_to_be_there_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let zone = ZoneConfig {
            domain: "shop.test".to_owned(),
            servers: Vec::new(),
            key: path.display().to_string(),
            ttl: 60,
            moving_ttl: 5,
        };
        assert_eq!(key("shop", &zone).verdict, Verdict::Bad);
        fs::write(&path, "key \"ha\" { algorithm hmac-sha256; secret \"c2VjcmV0IQ==\"; };")
            .unwrap();
        let verdict = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let redirect = RedirectConfig {
                documents_token: Some(path.display().to_string()),
                ..Default::default()
            };
            (key("shop", &zone).verdict, token(&redirect).unwrap().verdict)
        };
        assert_eq!(verdict(0o644), (Verdict::Bad, Verdict::Bad));
        assert_eq!(verdict(0o600), (Verdict::Good, Verdict::Good));
        assert_eq!(token(&RedirectConfig::default()), None);
    }

    #[test]
    fn a_server_is_there_or_is_not() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(server("it", at).verdict, Verdict::Good);
        drop(listener);
        assert_eq!(server("it", at).verdict, Verdict::Warning);
    }

    #[test]
    fn a_routing_daemon_has_to_be_heard_by_all_its_neighbours() {
        let daemon = Daemon::Bird { control: "/nowhere".into(), include: "/nowhere".into() };
        let neighbour = |session| Neighbour {
            name: "uplink".to_owned(),
            address: "192.0.2.1".to_owned(),
            session,
            since: String::new(),
            last_error: None,
            hold: None,
            retained: None,
            bfd: Bfd::Off,
        };
        let verdict =
            |neighbours| judge(&daemon, Ok(Watched { neighbours, ..Default::default() })).verdict;
        let (up, down) = (Session::Established, Session::Active);
        assert_eq!(verdict(vec![neighbour(up.clone())]), Verdict::Good);
        assert_eq!(verdict(vec![neighbour(up), neighbour(down)]), Verdict::Warning);
        assert_eq!(verdict(vec![]), Verdict::Warning);
        let gone = judge(&daemon, Err("there is no /nowhere".to_owned()));
        assert_eq!(gone.verdict, Verdict::Warning);
        assert!(gone.seen.contains("BIRD") && gone.seen.contains("/nowhere"), "{}", gone.seen);
    }
}
