//! Starting BIRD on a host.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use stead_lab::Host;
use stead_redirect::routing::{Daemon, Source};

use super::net::Setup;

pub fn daemon(folder: &Path) -> Daemon {
    Daemon::Bird { control: folder.join("bird.ctl"), include: folder.join("stead.conf") }
}

/// Writes the operator's part, and starts it.
pub fn start(host: &Host, setup: &Setup<'_>, folder: &Path) {
    let file = folder.join("bird.conf");
    std::fs::write(&file, operators(setup, folder)).expect("written");
    let mut command = Command::new("/usr/sbin/bird");
    command.arg("-f").arg("-c").arg(&file).arg("-s").arg(folder.join("bird.ctl"));
    command.arg("-P").arg(folder.join("bird.pid"));
    host.spawn(command, &folder.join("log")).expect("BIRD is installed");
}

pub fn operators(setup: &Setup<'_>, folder: &Path) -> String {
    let mut text = format!("router id {};\nprotocol device {{ scan time 5; }}\n", setup.id);
    let export = if setup.node.is_some() { "where stead_announces()" } else { "all" };
    if setup.node.is_some() {
        let include = folder.join("stead.conf");
        if !include.exists() {
            // As stead leaves it before BIRD was ever there.
            let none = "function stead_announces()\n{\n  return false;\n}\n";
            std::fs::write(&include, none).expect("written");
        }
        let _ = writeln!(text, "include \"{}\";", include.display());
    }
    for family in ["ipv4", "ipv6"] {
        let learn = match setup.node {
            Some(Source::Kernel(_)) => ("learn;", "where stead_announces()"),
            Some(Source::Interface(_)) | None => ("", "none"),
        };
        let _ = writeln!(
            text,
            "protocol kernel {{ {} scan time 5; {family} {{ import {}; export where source = \
             RTS_BGP; }}; }}",
            learn.0, learn.1
        );
    }
    text.push_str("protocol bfd { interface \"*\" { interval 50 ms; multiplier 3; }; }\n");
    for peer in &setup.peers {
        let bfd = if peer.bfd { "bfd on;" } else { "" };
        let _ = writeln!(
            text,
            "protocol bgp {} {{ local as {}; neighbor {} as {}; hold time 9; {bfd} direct;\n  \
             connect delay time 1; connect retry time 1; error wait time 1, 2;\n  \
             ipv4 {{ import all; export {export}; next hop self; }};\n  \
             ipv6 {{ import all; export {export}; next hop self; }};\n}}",
            peer.name, setup.number, peer.address, peer.number
        );
    }
    text
}
