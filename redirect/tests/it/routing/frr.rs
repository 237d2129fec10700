//! Starting FRR on a host.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use stead_lab::Host;
use stead_redirect::routing::{Daemon, Vtysh};

use super::net::{Setup, until};

pub fn daemon(folder: &Path) -> Daemon {
    Daemon::Frr(Vtysh { sockets: Some(folder.to_owned()), ..Vtysh::debian() })
}

/// Writes the operator's part, one file for each daemon (a block of BFD in bgpd's file would make
/// it drop its neighbours), and starts them.
pub fn start(host: &Host, setup: &Setup<'_>, above: &Path, folder: &Path) {
    std::fs::set_permissions(above, Permissions::from_mode(0o755)).expect("it is ours");
    let name = host.name();
    for (daemon, text) in [
        ("zebra", format!("hostname {name}\n")),
        ("bfdd", format!("hostname {name}\n")),
        ("bgpd", operators(setup, name)),
    ] {
        std::fs::write(folder.join(format!("{daemon}.conf")), text).expect("written");
    }
    let owned = Command::new("chown").arg("-R").arg("frr:frr").arg(folder).status();
    assert!(owned.expect("chown").success(), "FRR is installed");
    for daemon in ["zebra", "bfdd", "bgpd"] {
        let mut command = Command::new(format!("/usr/lib/frr/{daemon}"));
        let file = |end: &str| folder.join(format!("{daemon}.{end}"));
        command.arg("-f").arg(file("conf")).arg("-i").arg(file("pid"));
        command.arg("-z").arg(folder.join("zserv.api")).arg("--vty_socket").arg(folder);
        command.args(["-P", "0"]);
        if daemon == "bfdd" {
            command.arg("--bfdctl").arg(folder.join("bfdd.sock"));
        }
        host.spawn(command, &folder.join(format!("{daemon}.log"))).expect("FRR is installed");
        // One that starts before those it needs looks for them again only after ten seconds.
        let socket = folder.join(if daemon == "zebra" { "zserv.api" } else { "bfdd.vty" });
        if daemon != "bgpd" {
            until(&format!("{daemon} listens on {name}"), || socket.exists());
        }
    }
}

fn operators(setup: &Setup<'_>, name: &str) -> String {
    let mut text = format!("hostname {name}\nrouter bgp {}\n", setup.number);
    let _ = writeln!(text, " bgp router-id {}\n no bgp ebgp-requires-policy", setup.id);
    for peer in &setup.peers {
        let neighbour = format!(" neighbor {}", peer.address);
        let _ = writeln!(text, "{neighbour} remote-as {}", peer.number);
        let _ = writeln!(text, "{neighbour} timers 3 9\n{neighbour} timers connect 1");
        if peer.bfd {
            let _ = writeln!(text, "{neighbour} bfd 3 50 50");
        }
    }
    text.push_str(" address-family ipv6 unicast\n");
    for peer in &setup.peers {
        let _ = writeln!(text, "  neighbor {} activate", peer.address);
    }
    text.push_str(" exit-address-family\n");
    text
}
