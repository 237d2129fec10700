//! Two name servers of one zone, with or without a cache, on a network of their own.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stead_core::id::Epoch;
use stead_lab::{Bed, Host, LinkSpec, Process, Switch};
use stead_redirect::dns::{
    Data, Fault, Key, Kind, Look, Name, Seen, Wanted, Writer, Zone, look, update, verify,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// Long enough for a machine that is busy with everything else.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);
/// The zone of all tests; `old` and `mail` were made by a person.
const ZONE: &str = "$TTL 60
@ SOA ns1 admin 1 3600 600 86400 5
@ NS ns1
@ NS ns2
ns1 A 10.0.0.1
ns2 A 10.0.0.2
old A 192.0.2.99
mail TXT \"a person's\"
*.wild A 192.0.2.77
_stead.odd TXT \"not ours\"
";
const SECRET: &str = "qmyTvyMvPCJKBLBMJ5bdSPc0JVLUZUqPHfdDvHJMZNU=";

/// Which name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Software {
    Bind,
    Knot,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Primary,
    Secondary { forwards: bool },
}

pub(super) struct Site {
    pub(super) bed: Bed,
    pub(super) secondary: Process,
    pub(super) client: Host,
    hosts: Vec<Host>,
    switch: Switch,
    folder: TempDir,
}

/// The same test with each of them.
pub(super) fn each(test: impl Fn(&Site)) {
    for software in [Software::Bind, Software::Knot] {
        test(&Site::new(software));
    }
}

impl Site {
    pub(super) fn new(software: Software) -> Self {
        Self::with(software, &[], false)
    }

    /// With a primary whose environment has these besides, and a secondary that `forwards` updates
    /// to it or refuses them.
    pub(super) fn with(software: Software, environment: &[(&str, &str)], forwards: bool) -> Self {
        let bed = Bed::new("dns").expect("these tests need root");
        let switch = bed.switch("switch").expect("a switch");
        let folder = tempfile::tempdir().expect("a folder");
        let host = |name: &str, number: u8| {
            let host = bed.host(name).expect("a host");
            let address = format!("10.0.0.{number}").parse().expect("an address");
            let spec = LinkSpec::new("eth0").addr(address, 24);
            bed.connect(&host, &switch, spec).expect("a cable");
            host
        };
        let (ns1, ns2, client) = (host("ns1", 1), host("ns2", 2), host("client", 9));
        fs::write(folder.path().join("key"), key_text("ha", SECRET)).expect("written");
        let mut primary = command(software, folder.path(), Role::Primary);
        primary.envs(environment.iter().copied());
        start(&ns1, primary, folder.path(), "ns1");
        let secondary = command(software, folder.path(), Role::Secondary { forwards });
        let secondary = start(&ns2, secondary, folder.path(), "ns2");
        let hosts = vec![ns1, ns2];
        let site = Self { bed, secondary, client, hosts, switch, folder };
        for server in servers() {
            site.on(site.until("it serves the zone", || async {
                let seen = look(server, &name("site.test"), Kind::Soa, soon()).await;
                seen.is_ok_and(|it| it.authoritative && !it.answers.is_empty())
            }));
        }
        site
    }

    /// A cache that asks the primary.
    pub(super) fn cache(&self) -> SocketAddr {
        let host = self.bed.host("cache").expect("a host");
        let spec = LinkSpec::new("eth0").addr("10.0.0.3".parse().expect("an address"), 24);
        self.bed.connect(&host, &self.switch, spec).expect("a cable");
        let text = "server:\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n directory: \"/\"\n \
             interface: 10.0.0.3\n access-control: 10.0.0.0/24 allow\n module-config: \"iterator\"\n \
             use-syslog: no\n local-zone: \"test.\" nodefault\n\
             remote-control:\n control-enable: no\n\
             stub-zone:\n name: \"site.test\"\n stub-addr: 10.0.0.1\n";
        let file = self.folder.path().join("unbound.conf");
        fs::write(&file, text).expect("written");
        let mut unbound = Command::new("/usr/sbin/unbound");
        unbound.args(["-d", "-c"]).arg(&file);
        start(&host, unbound, self.folder.path(), "cache");
        "10.0.0.3:53".parse().expect("an address")
    }

    /// Runs that as the client, on whose host sockets open inside.
    pub(super) fn on<T: Send>(&self, act: impl Future<Output = T> + Send) -> T {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(act)
        };
        self.client.run(run).expect("inside")
    }

    /// Waits for a condition.
    pub(super) async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < deadline, "not in time: {what}; {}", self.logs());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the servers wrote, for a test that fails.
    pub(super) fn logs(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(format!("{name}.log")));
        ["ns1", "ns2", "cache"].map(|name| read(name).unwrap_or_default()).join("\n--\n")
    }

    /// With the key that its servers know.
    pub(super) fn zone(&self) -> Zone {
        self.zone_with("ha", SECRET)
    }

    pub(super) fn zone_with(&self, key: &str, secret: &str) -> Zone {
        let path = self.key_file(key, secret);
        Zone {
            name: name("site.test"),
            servers: servers().to_vec(),
            key: Key::read(&path).expect("a key"),
        }
    }

    fn key_file(&self, key: &str, secret: &str) -> PathBuf {
        let path = self.folder.path().join("key-of-the-client");
        fs::write(&path, key_text(key, secret)).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        path
    }

    /// Writes, and panics if that fails.
    pub(super) async fn write(&self, epoch: u64, wanted: &Wanted) -> stead_redirect::dns::Updated {
        let updated = update(&self.zone(), &writer(epoch), wanted, soon()).await;
        updated.unwrap_or_else(|error| panic!("{error}; {}", self.logs()))
    }

    /// Waits until all servers say it.
    pub(super) async fn converged(&self, wanted: &Wanted) {
        self.until("all servers say it", || async {
            let seen = verify(&self.zone(), wanted, soon()).await.expect("of the zone");
            seen.len() == 2 && seen.iter().all(|(_, it)| matches!(it, Seen::Converged { .. }))
        })
        .await;
    }

    /// What the primary says, in the words of a zone file.
    pub(super) async fn says(&self, of: &str, kind: Kind) -> Vec<String> {
        let seen = look(servers()[0], &name(of), kind, soon()).await.expect("answered");
        let mut all: Vec<_> = seen.answers.into_iter().map(|it| it.text).collect();
        all.sort();
        all
    }

    pub(super) fn cut(&self, place: usize) {
        let link = self.hosts[place].link("eth0").expect("there");
        self.bed.unplug(&link).expect("unplugged");
    }
}

pub(super) fn servers() -> [SocketAddr; 2] {
    ["10.0.0.1:53", "10.0.0.2:53"].map(|it| it.parse().expect("an address"))
}

pub(super) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(super) fn writer(epoch: u64) -> Writer {
    Writer::new("lab", "web", Epoch(epoch)).expect("fits")
}

pub(super) fn address(last: u8) -> Data {
    Data::A([192, 0, 2, last].into())
}

pub(super) fn wanted(of: &str, ttl: u32, data: Vec<Data>) -> Wanted {
    Wanted::new(name(of), ttl, data).expect("can be said")
}

pub(super) async fn ask(server: SocketAddr, of: &str, kind: Kind) -> Result<Look, Fault> {
    look(server, &name(of), kind, soon()).await
}

fn key_text(key: &str, secret: &str) -> String {
    format!("key \"{key}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n")
}

fn start(host: &Host, command: Command, folder: &Path, log: &str) -> Process {
    host.spawn(command, &folder.join(format!("{log}.log"))).expect("started")
}

fn command(software: Software, folder: &Path, role: Role) -> Command {
    let folder_of = folder.join(if role == Role::Primary { "ns1" } else { "ns2" });
    fs::create_dir(&folder_of).expect("a folder");
    if role == Role::Primary {
        fs::write(folder_of.join("zone"), ZONE).expect("written");
    }
    let (key, at) = (folder.join("key"), folder_of.display().to_string());
    let file = folder_of.join("conf");
    let (text, mut command) = match software {
        Software::Bind => {
            let mut command = Command::new("/usr/sbin/named");
            command.args(["-g", "-n", "1", "-c"]).arg(&file);
            (bind(&key, &at, role), command)
        }
        Software::Knot => {
            let mut command = Command::new("/usr/sbin/knotd");
            command.arg("-c").arg(&file);
            (knot(&at, role), command)
        }
    };
    fs::write(&file, text).expect("written");
    command.current_dir(&folder_of);
    command
}

fn bind(key: &Path, folder: &str, role: Role) -> String {
    let (own, zone) = match role {
        Role::Primary => (
            "10.0.0.1",
            "type primary; file \"zone\"; allow-update { key ha; }; notify explicit; also-notify { \
             10.0.0.2; }; notify-delay 0;"
                .to_owned(),
        ),
        Role::Secondary { forwards } => {
            let whose = if forwards { "any" } else { "none" };
            let zone = format!(
                "type secondary; file \"zone\"; primaries {{ 10.0.0.1; }}; notify no; \
                 allow-update-forwarding {{ {whose}; }};"
            );
            ("10.0.0.2", zone)
        }
    };
    format!(
        "include \"{}\";\ncontrols {{}};\noptions {{ directory \"{folder}\"; pid-file none; \
         session-keyfile none; listen-on {{ {own}; }}; listen-on-v6 {{ none; }}; recursion no; \
         dnssec-validation no; allow-transfer {{ any; }}; }};\nzone site.test {{ {zone} }};\n",
        key.display()
    )
}

fn knot(folder: &str, role: Role) -> String {
    let (own, zone) = match role {
        Role::Primary => ("10.0.0.1", "    acl: [update, transfer]\n    notify: second\n"),
        Role::Secondary { forwards: true } => {
            ("10.0.0.2", "    acl: [notify, update]\n    master: first\n")
        }
        Role::Secondary { forwards: false } => ("10.0.0.2", "    acl: notify\n    master: first\n"),
    };
    format!(
        "server:\n    rundir: {folder}\n    listen: {own}@53\nlog:\n  - target: stderr\n    any: info\n\
         database:\n    storage: {folder}\n\
         key:\n  - id: ha\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
         remote:\n  - id: first\n    address: 10.0.0.1@53\n  - id: second\n    address: 10.0.0.2@53\n\
         acl:\n  - id: update\n    key: ha\n    action: update\n\
         \x20 - id: transfer\n    address: 10.0.0.2\n    action: transfer\n\
         \x20 - id: notify\n    address: 10.0.0.1\n    action: notify\n\
         zone:\n  - domain: site.test\n    file: {folder}/zone\n    zonefile-sync: -1\n\
         \x20   zonefile-load: whole\n    journal-content: changes\n{zone}"
    )
}
