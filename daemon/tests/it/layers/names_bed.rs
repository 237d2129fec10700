//! BIND on the client's host: a primary, a secondary of it, and a cache that clients ask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use stead::demo::fleet::Fleet;
use stead_lab::Process;

use super::{said, start};
use crate::cluster::{Must, wait_for};

/// The client's host, where all servers are.
pub(super) const PRIMARY: &str = "10.77.0.250";
/// Another address of it, for the second one.
pub(super) const SECONDARY: &str = "10.77.0.252";
/// Where no server is.
const NOBODY: &str = "10.77.0.253";
/// The cache, which clients have as their resolver.
const CACHE: &str = "127.0.0.1";
pub(super) const KEY: &str = "key \"ha\" { algorithm hmac-sha256; secret \
                   \"c3RlYWQgc3RlYWQgc3RlYWQgc3RlYWQgc3RlYWQhISE=\"; };\n";
/// A key of somebody else, whom the primary knows as well.
const STRANGER: &str = "key \"stranger\" { algorithm hmac-sha256; secret \
                   \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"; };\n";
const ZONE: &str = "$TTL 60\n@ SOA ns.shop.test. admin.shop.test. 1 60 60 600 60\n@ NS ns\n\
                    ns A 10.77.0.250\nold A 192.0.2.1\n";

/// A name server on the client's host.
pub(super) struct Server {
    process: Process,
    pub(super) folder: PathBuf,
    address: &'static str,
}

pub(super) fn secret(path: &Path, text: &str) {
    fs::write(path, text).must();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).must();
}

/// The primary, which takes updates by the key `ha`.
pub(super) fn bind(fleet: &Fleet, address: &'static str) -> Server {
    let folder = fleet.folder().join("named");
    fs::create_dir_all(&folder).must();
    fs::write(folder.join("shop.zone"), ZONE).must();
    Server::start(fleet, folder, address, &updatable_by("ha"))
}

/// The secondary, which has the zone from the primary, and takes no updates.
pub(super) fn secondary(fleet: &Fleet) -> Server {
    let address = format!("{SECONDARY}/24");
    said(fleet.client(), "ip", &["address", "add", &address, "dev", "front"]).expect("an address");
    let folder = fleet.folder().join("second");
    fs::create_dir_all(&folder).must();
    Server::start(fleet, folder, SECONDARY, &copied_from(PRIMARY))
}

/// A zone that is what that primary has.
fn copied_from(primary: &str) -> String {
    format!("type secondary; file \"copy\"; primaries {{ {primary}; }};")
}

/// A zone that whoever has that key may update.
fn updatable_by(key: &str) -> String {
    format!(
        "type primary; file \"shop.zone\"; allow-update {{ key {key}; }}; \
         allow-transfer {{ any; }}; notify explicit; also-notify {{ {SECONDARY}; }};"
    )
}

impl Server {
    fn start(fleet: &Fleet, folder: PathBuf, address: &'static str, zone: &str) -> Self {
        configure(&folder, address, zone);
        let process = run(fleet, &folder);
        let server = Self { process, folder, address };
        server.wait_answers(fleet);
        server
    }

    fn wait_answers(&self, fleet: &Fleet) {
        wait_for(fleet, "the name server answers", || {
            Ok(!dig_at(fleet, self.address, "ns.shop.test").is_empty())
        });
    }

    /// The primary takes updates by that key alone from now on.
    pub(super) fn permit(&self, fleet: &Fleet, key: &str) {
        self.configure_anew(fleet, &updatable_by(key));
    }

    /// The secondary listens to somebody else, and stays as it is, until it is started again.
    pub(super) fn leave_behind(&self, fleet: &Fleet) {
        self.configure_anew(fleet, &copied_from(NOBODY));
    }

    /// Reads another configuration; as a service's signal has it.
    fn configure_anew(&self, fleet: &Fleet, zone: &str) {
        configure(&self.folder, self.address, zone);
        let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let read = |text: String| text.matches("reloading configuration succeeded").count();
        let before = read(log());
        self.process.signal(Signal::SIGHUP).must();
        wait_for(fleet, "it has read its configuration", || Ok(read(log()) > before));
    }

    pub(super) fn kill(&self) {
        self.process.kill().must();
    }

    /// The secondary, after it was killed: with what it had, and the primary's again.
    pub(super) fn start_again(&mut self, fleet: &Fleet) {
        configure(&self.folder, self.address, &copied_from(PRIMARY));
        self.process = run(fleet, &self.folder);
        self.wait_answers(fleet);
    }
}

fn configure(folder: &Path, address: &str, zone: &str) {
    // Both are on one host, and each speaks by its own address. BIND's least time between two
    // looks at a primary is five minutes, unless it is told otherwise.
    let text = format!(
        "{KEY}{STRANGER}options {{ directory {:?}; pid-file none; session-keyfile none; \
         listen-on {{ {address}; }}; listen-on-v6 {{ none; }}; notify-source {address}; \
         transfer-source {address}; query-source address {address}; notify-delay 0; \
         min-refresh-time 1; max-refresh-time 2; min-retry-time 1; max-retry-time 2; \
         recursion no; dnssec-validation no; }};\ncontrols {{ }};\n\
         zone \"shop.test\" {{ {zone} }};\n",
        folder.display().to_string()
    );
    fs::write(folder.join("named.conf"), text).must();
}

fn run(fleet: &Fleet, folder: &Path) -> Process {
    let conf = folder.join("named.conf").display().to_string();
    start(fleet.client(), "named", &["-g", "-u", "root", "-c", &conf], &folder.join("log"))
}

/// A cache of the client's, which asks the primary when what it has is too old.
pub(super) fn cache(fleet: &Fleet) -> Process {
    let folder = fleet.folder().join("cache");
    fs::create_dir_all(&folder).must();
    let file = folder.join("unbound.conf");
    let text = format!(
        "server:\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n directory: \"/\"\n \
         interface: {CACHE}\n do-not-query-localhost: no\n module-config: \"iterator\"\n \
         use-syslog: no\n local-zone: \"test.\" nodefault\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: \"shop.test\"\n stub-addr: {PRIMARY}\n"
    );
    fs::write(&file, text).must();
    let file = file.display().to_string();
    let process =
        start(fleet.client(), "/usr/sbin/unbound", &["-d", "-c", &file], &folder.join("log"));
    wait_for(fleet, "the cache answers", || Ok(!look_up(fleet, "ns.shop.test").is_empty()));
    process
}

/// The addresses of a name, as the client's resolver says them.
pub(super) fn look_up(fleet: &Fleet, name: &str) -> Vec<String> {
    dig_at(fleet, CACHE, name)
}

/// The addresses of a name, as the primary says them to the client.
pub(super) fn dig(fleet: &Fleet, name: &str) -> Vec<String> {
    dig_at(fleet, PRIMARY, name)
}

/// The addresses of a name, as that server says them to the client; in order, which servers change
/// from answer to answer.
pub(super) fn dig_at(fleet: &Fleet, server: &str, name: &str) -> Vec<String> {
    let words = [&format!("@{server}"), "+short", "+time=1", "+tries=1", name, "A"];
    let text = said(fleet.client(), "dig", &words).unwrap_or_default();
    let mut addresses: Vec<_> = text.lines().map(str::to_owned).collect();
    addresses.sort();
    addresses
}

/// Whether a name has the marker of whoever wrote it.
pub(super) fn marked(fleet: &Fleet, name: &str) -> bool {
    let (at, marker) = (format!("@{PRIMARY}"), format!("_stead.{name}"));
    let words = [at.as_str(), "+short", "+time=1", "+tries=1", &marker, "TXT"];
    said(fleet.client(), "dig", &words).is_ok_and(|text| !text.is_empty())
}

/// How long a name's records may be kept.
pub(super) fn ttl(fleet: &Fleet, name: &str) -> String {
    record(fleet, PRIMARY, name).0
}

/// What the client's resolver has kept: an address, and for how many seconds more.
pub(super) fn kept(fleet: &Fleet, name: &str) -> (String, u64) {
    let (left, address) = record(fleet, CACHE, name);
    (address, left.parse().unwrap_or_default())
}

/// The first record of a name at that server: its time, and its address.
fn record(fleet: &Fleet, server: &str, name: &str) -> (String, String) {
    let words = [&format!("@{server}"), "+noall", "+answer", "+time=1", "+tries=1", name, "A"];
    let text = said(fleet.client(), "dig", &words).unwrap_or_default();
    let word = |number| text.split_whitespace().nth(number).unwrap_or_default().to_owned();
    (word(1), word(4))
}
