//! The keys of every table, and which one was meant by a key that is none.

use crate::alike;

/// A key that a table may have.
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// A line that sets it.
    pub(super) example: &'static str,
}

/// Declares the keys of a kind of table.
macro_rules! keys {
    ($($name:literal: $example:literal),* $(,)?) => {
        &[$(Key { name: $name, example: $example }),*]
    };
}

/// The tables of the file.
pub(super) const FILE: &[Key] = keys! {
    "cluster": "[cluster]",
    "links": "[links.lan]",
    "nodes": "[nodes.node1]",
    "services": "[services.web]",
    "networks": "[networks.front]",
    "zones": "[zones.shop]",
    "redirect": "[redirect]",
    "times": "[times.night]",
    "quorum": "[quorum]",
    "fencing": "[fencing.devices.bmc1]",
    "expect": "[[expect]]",
};
/// The keys of `[[expect]]`.
pub(super) const EXPECT: &[Key] = keys! {
    "fail": "fail = \"node1\"",
    "then": "then = \"db on node2 within 2 s\"",
};
/// The keys of `[cluster]`.
pub(super) const CLUSTER: &[Key] = keys! {
    "name": "name = \"shop\"",
    "ride-out": "ride-out = \"300ms\"",
    "round-trip": "round-trip = \"2ms\"",
    "daemon-grace": "daemon-grace = \"10s\"",
};
/// The keys of `[links.NAME]`.
pub(super) const LINK: &[Key] = keys! { "port": "port = 7744" };
/// The keys of `[nodes.NAME]`.
pub(super) const NODE: &[Key] = keys! {
    "site": "site = \"east\"",
    "satellite": "satellite = true",
    "addresses": "addresses = { lan = \"10.0.0.1\" }",
    "fence": "fence = [\"bmc1\"]",
    "fence-after": "fence-after = \"stay-off\"",
    "fence-rehearse": "fence-rehearse = \"1d\"",
    "watchdog": "watchdog = true",
    "labels": "labels = { rack = \"r1\", disk = \"ssd\" }",
    "capacity": "capacity = { memory = 64, cpu = 16 }",
};
/// The keys of `[services.NAME]`.
pub(super) const SERVICE: &[Key] = keys! {
    "addresses": "addresses = [\"10.0.0.100/24\"]",
    "prefer": "prefer = [\"node1\", \"site=east\"]",
    "failback": "failback = false",
    "program": "program = [\"/usr/sbin/nginx\", \"-g\", \"daemon off;\"]",
    "monitor": "monitor = [\"/usr/bin/curl\", \"--fail\", \"http://10.0.0.100/\"]",
    "copies": "copies = [\"node1\", \"node2\"]",
    "resources": "resources = [{ name = \"web\", ocf = \"heartbeat:nginx\" }]",
    "needs": "needs = [\"db\"]",
    "importance": "importance = 80",
    "hooks": "hooks = { takeover = [\"/usr/local/bin/tell-the-router\"] }",
    "only": "only = [\"rack=r1\", \"node7\"]",
    "never": "never = [\"node3\"]",
    "uses": "uses = { memory = 8 }",
    "together": "together = [\"cache\"]",
    "apart": "apart = [\"db2\"]",
    "apart-by": "apart-by = \"rack\"",
    "during": "[services.web.during.night]",
    "names": "names = [\"www.shop.example\"]",
    "clients": "clients = \"10min\"",
};
/// The keys of `[[services.NAME.resources]]`.
pub(super) const RESOURCE: &[Key] = keys! {
    "name": "name = \"data\"",
    "program": "program = [\"/usr/sbin/nginx\", \"-g\", \"daemon off;\"]",
    "monitor": "monitor = [\"/usr/bin/curl\", \"--fail\", \"http://10.0.0.100/\"]",
    "ocf": "ocf = \"heartbeat:nginx\"",
    "unit": "unit = \"nginx.service\"",
    "container": "container = \"docker.io/library/nginx:1.27\"",
    "command": "command = [\"nginx\", \"-g\", \"daemon off;\"]",
    "environment": "environment = { TZ = \"UTC\" }",
    "mounts": "mounts = [\"/srv/shop:/data\", \"/etc/shop:/etc/shop:ro\"]",
    "network": "network = \"host\"",
    "socket": "socket = \"/run/podman/podman.sock\"",
    "ready": "ready = { tcp = \"127.0.0.1:6380\" }",
    "user": "user = \"www-data\"",
    "group": "group = \"www-data\"",
    "stop-signal": "stop-signal = \"SIGINT\"",
    "parameters": "parameters = { configfile = \"/etc/nginx/nginx.conf\" }",
    "needs": "needs = [\"data\"]",
    "start-timeout": "start-timeout = \"20s\"",
    "stop-timeout": "stop-timeout = \"20s\"",
    "monitor-timeout": "monitor-timeout = \"20s\"",
    "monitor-interval": "monitor-interval = \"5s\"",
    "restarts": "restarts = 3",
    "forget-after": "forget-after = \"10min\"",
    "safety": "safety = \"lease\"",
    "stuck": "stuck = \"reboot\"",
    "promotable": "promotable = true",
};
/// The keys of `ready` of a resource.
pub(super) const READY: &[Key] = keys! { "tcp": "tcp = \"127.0.0.1:6380\"" };
/// The keys of `[networks.NAME]`.
pub(super) const NETWORK: &[Key] = keys! {
    "prefix": "prefix = \"10.0.0.0/24\"",
    "gateway": "gateway = true",
    "addresses": "addresses = [\"10.0.0.1\"]",
    "interface": "interface = \"eth0\"",
    "pool": "pool = \"10.0.0.100-10.0.0.199\"",
};
/// The keys of `[quorum]`.
pub(super) const QUORUM: &[Key] = keys! {
    "chain": "chain = [\"majority\", \"quorum-server\"]",
    "exec": "exec = [\"/usr/local/bin/quorum-etcd\", \"https://etcd.example:2379\"]",
    "handicap": "handicap = \"20ms\"",
};
/// The keys of the command of module `exec`.
pub(super) const EXEC: &[Key] = keys! {
    "command": "command = [\"/usr/local/bin/quorum-etcd\", \"https://etcd.example:2379\"]",
    "timeout": "timeout = \"1s\"",
};
/// The keys of `[fencing]`.
pub(super) const FENCING: &[Key] = keys! { "devices": "[fencing.devices.bmc1]" };
/// The keys of `[fencing.devices.NAME]`.
pub(super) const DEVICE: &[Key] = keys! {
    "agent": "agent = \"fence_ipmilan\"",
    "parameters": "parameters = { ip = \"10.0.0.5\", username = \"ADMIN\", lanplus = true }",
    "secrets": "secrets = { password = \"/etc/stead/secrets/bmc1\" }",
    "exec": "exec = [\"/usr/local/bin/vm-power\", \"host5\"]",
    "webhook": "webhook = \"http://10.0.0.9:8080/power\"",
    "secret": "secret = \"/etc/stead/secrets/cloud\"",
    "timeout": "timeout = \"20s\"",
    "retries": "retries = 1",
};
/// The keys of an address of a service that is more than a text.
pub(super) const ADDRESS: &[Key] = keys! {
    "ip": "ip = \"10.0.0.100\"",
    "prefix": "prefix = 24",
    "interface": "interface = \"eth0\"",
    "layers": "layers = [\"mac\"]",
    "on": "on = [\"site=east\"]",
};
/// The keys of a name of a service that is more than a text.
pub(super) const NAME: &[Key] = keys! {
    "name": "name = \"www.shop.example\"",
    "type": "type = \"alias\"",
    "target": "target = \"{node}.shop.example\"",
    "port": "port = 5060",
    "alpn": "alpn = [\"h2\"]",
    "ttl": "ttl = \"30s\"",
    "adopt": "adopt = true",
};
/// The keys of `[zones.NAME]`.
pub(super) const ZONE: &[Key] = keys! {
    "domain": "domain = \"shop.example\"",
    "servers": "servers = [\"10.0.0.53\", \"10.0.1.53\"]",
    "key": "key = \"/etc/stead/secrets/dns.key\"",
    "ttl": "ttl = \"60s\"",
    "moving-ttl": "moving-ttl = \"5s\"",
};
/// The keys of `[redirect]`.
pub(super) const REDIRECT: &[Key] = keys! {
    "routing": "routing = \"bird\"",
    "prefixes": "prefixes = [\"192.0.2.0/24\"]",
    "documents": "documents = 7420",
    "documents-token": "documents-token = \"/etc/stead/secrets/documents\"",
    "not-permitted": "not-permitted = { mac = \"network team\" }",
};
/// The keys of `routing` of `[redirect]`.
pub(super) const ROUTING: &[Key] = keys! {
    "daemon": "daemon = \"bird\"",
    "control": "control = \"/run/bird/bird.ctl\"",
    "include": "include = \"/etc/bird/stead.conf\"",
};
/// The keys of a program.
pub(super) const PROGRAM: &[Key] = keys! {
    "command": "command = [\"/usr/sbin/nginx\", \"-g\", \"daemon off;\"]",
    "stop-timeout": "stop-timeout = \"5s\"",
};
/// The keys of a monitor.
pub(super) const MONITOR: &[Key] = keys! {
    "command": "command = [\"/usr/bin/curl\", \"--fail\", \"http://10.0.0.100/\"]",
    "tcp": "tcp = \"10.0.0.100:5432\"",
    "http": "http = \"http://10.0.0.100/health\"",
    "expect": "expect = [200]",
    "contains": "contains = \"ready\"",
    "interval": "interval = \"1s\"",
    "timeout": "timeout = \"2s\"",
    "slower-than": "slower-than = \"500ms\"",
    "failures": "failures = 2",
};
/// The keys of `hooks`.
pub(super) const HOOKS: &[Key] = keys! {
    "takeover": "takeover = [\"/usr/local/bin/tell-the-router\", \"here\"]",
    "release": "release = [\"/usr/local/bin/tell-the-router\", \"gone\"]",
};
/// The keys of one of them.
pub(super) const HOOK: &[Key] = keys! {
    "command": "command = [\"/usr/local/bin/tell-the-router\", \"here\"]",
    "timeout": "timeout = \"10s\"",
};

/// The keys of `[times.NAME]`.
pub(super) const TIME: &[Key] = keys! {
    "days": "days = [\"sat\", \"sun\"]",
    "from": "from = \"02:00\"",
    "to": "to = \"05:30\"",
    "zone": "zone = \"Europe/Berlin\"",
};
/// The keys of `[services.NAME.during.NAME]`.
pub(super) const DURING: &[Key] = keys! {
    "prefer": "prefer = [\"node2\"]",
    "only": "only = [\"site=east\"]",
    "never": "never = [\"node1\"]",
};

/// Where each key belongs, for one that stands in the wrong table.
pub(super) const HOMES: [(&str, &[Key]); 22] = [
    ("[cluster]", CLUSTER),
    ("[links.NAME]", LINK),
    ("[nodes.NAME]", NODE),
    ("[services.NAME]", SERVICE),
    ("[networks.NAME]", NETWORK),
    ("[times.NAME]", TIME),
    ("[quorum]", QUORUM),
    ("`exec` of [quorum]", EXEC),
    ("[fencing]", FENCING),
    ("[fencing.devices.NAME]", DEVICE),
    ("`program` of [services.NAME]", PROGRAM),
    ("`monitor` of [services.NAME]", MONITOR),
    ("[[services.NAME.resources]]", RESOURCE),
    ("`ready` of [[services.NAME.resources]]", READY),
    ("`hooks` of [services.NAME]", HOOKS),
    ("a hook of [services.NAME]", HOOK),
    ("an entry of `addresses` in [services.NAME]", ADDRESS),
    ("[[expect]]", EXPECT),
    ("[zones.NAME]", ZONE),
    ("[redirect]", REDIRECT),
    ("`routing` of [redirect]", ROUTING),
    ("an entry of `names` in [services.NAME]", NAME),
];

/// What to do about a key that the table doesn't know.
pub(super) fn unknown_key(key: &str, keys: &[Key]) -> String {
    let names = keys.iter().map(|known| known.name);
    let known = names.clone().collect::<Vec<_>>().join(", ");
    if let Some(name) = nearest(key, names) {
        return format!("did you mean `{name}`? The keys here are: {known}");
    }
    if let Some(known) = FILE.iter().find(|known| known.name == key) {
        return format!("it is a table of its own: begin it with a line like  {}", known.example);
    }
    let home = HOMES.iter().find(|(_, keys)| keys.iter().any(|known| known.name == key));
    match home {
        Some((home, _)) => format!("`{key}` belongs to {home}; the keys here are: {known}"),
        None => format!("remove it; the keys here are: {known}"),
    }
}

/// The known word that was probably meant; words of the file have hyphens.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    alike::nearest(&word.replace('_', "-"), known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let meant = |word| nearest(word, CLUSTER.iter().map(|key| key.name));
        assert_eq!(meant("ride_out"), Some("ride-out"));
        assert_eq!(meant("rideout"), Some("ride-out"));
        assert_eq!(meant("Name"), Some("name"));
        assert_eq!(meant("deamon-grace"), Some("daemon-grace"));
        assert_eq!(meant("token"), None);
        assert_eq!(meant(""), None);
        assert_eq!(meant(&"x".repeat(1_000_000)), None);
    }
}
