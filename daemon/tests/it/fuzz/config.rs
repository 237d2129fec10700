//! `cluster.toml`: any text is a configuration, or an error with a place in it.

use stead::config::{differences, read, render};
use stead_fuzz::{Sample, target};

/// Pieces that mean something to the reader.
const WORDS: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b"=",
    b"\"",
    b"'",
    b".",
    b",",
    b"#",
    b"\"\"\"",
    b"'''",
    b"[[",
    b"]]",
    b"\r",
    b"\\",
    b"[cluster]\n",
    b"[links.lan]\n",
    b"[nodes.node1]\n",
    b"[services.web]\n",
    b"addresses = ",
    b"port = ",
    b"ride-out = ",
    b"\"300ms\"",
    b"\"10.0.0.1\"",
    b"\"fd00::1/64\"",
    b"0x",
    b"1e9",
    b"-1",
    b"inf",
    b"nan",
    b"1979-05-27",
    b"99999999999999999999",
    b"0.000001ms",
    b"18446744073709551615s",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\xa6\x80",
    b"\\u0000",
    b"true",
    b"fence = ",
    b"[fencing.devices.a]\n",
    b"exec = ",
    b"\"7d\"",
    b"only = ",
    b"never = ",
    b"together = ",
    b"apart = ",
    b"uses = ",
    b"\"rack=r1\"",
    b"\"must\"",
    b"{ memory = 8 }",
    b"[[expect]]\n",
    b"fail = ",
    b"then = ",
    b"\"web on node2 within 2 s\"",
    b"\"web runs\"",
];

const EVERYTHING: &str = r#"
[cluster]
name = "shop"
ride-out = "300ms"
round-trip = "2 ms"
daemon-grace = "1.5s"
[links.lan]
port = 7744
[nodes.node1]
site = "east"
addresses = { lan = "10.0.0.1" }
[nodes.node2]
addresses = { lan = "10.0.0.2" }
[services.web]
addresses = ["10.0.0.100/24", { ip = "fd00::100", prefix = 64, interface = "eth0" }]
prefer = ["node1"]
failback = false
program = { command = ["/usr/sbin/nginx", "-g", "daemon off;"], stop-timeout = "5s" }
monitor = { command = ["/usr/bin/curl", "http://10.0.0.100"], interval = "1s", timeout = "2s" }
"#;

/// What the other one has nothing of.
const FENCED: &str = r#"
[cluster]
name = "shop"
[links.lan]
[nodes.node1]
addresses = { lan = "10.0.0.1" }
fence = [["pdu:3", "vm"], ["bmc1"]]
fence-after = "stay-off"
fence-rehearse = "7d"
[nodes.node2]
addresses = { lan = "10.0.0.2" }
fence = ["pdu:4"]
watchdog = true
[fencing.devices.bmc1]
agent = "fence_ipmilan"
parameters = { ip = "10.9.0.5", lanplus = true, cipher = 3 }
secrets = { password = "/etc/stead/secrets/bmc1" }
timeout = "30s"
retries = 0
[fencing.devices.pdu]
webhook = "http://10.9.0.9:8080/power"
secret = "/etc/stead/secrets/pdu"
[fencing.devices.vm]
exec = ["/usr/local/bin/vm-power", "host5"]
"#;

/// Rules of placement.
const RULES: &str = r#"
[cluster]
name = "shop"
[links.lan]
[nodes.node1]
addresses = { lan = "10.0.0.1" }
site = "east"
labels = { rack = "r1", disk = "ssd" }
capacity = { memory = 64, cpu = 16 }
[nodes.node2]
addresses = { lan = "10.0.0.2" }
labels = { rack = "r2" }
capacity = { memory = 32, cpu = 0 }
[services.web]
addresses = ["10.0.0.100/24"]
prefer = ["node2", "site=east"]
only = ["rack=r1", "node2"]
never = ["disk=hdd", "node3"]
uses = { memory = 8 }
together = { cache = 30, queue = "must" }
[services.cache]
addresses = ["10.0.0.101/24"]
uses = { memory = 30, cpu = 1 }
apart = ["queue", "web"]
apart-by = "rack"
[services.queue]
addresses = ["10.0.0.102/24"]
[[expect]]
fail = "node1"
then = "web on node2 within 1.5 s"
[[expect]]
fail = ["rack=r2", "node2"]
then = ["web on site=east", "cache runs", "queue nowhere"]
"#;

fn samples() -> Vec<Sample> {
    let checked = read("cluster.toml", EVERYTHING).expect("it is a good one");
    let broken = EVERYTHING.replace("7744", "77440").replace("lan = \"10.0.0.2\"", "wan = 3");
    vec![
        ("everything", EVERYTHING.as_bytes().to_vec()),
        ("fenced", FENCED.as_bytes().to_vec()),
        ("rules", RULES.replace("\"disk=hdd\", \"node3\"", "").into_bytes()),
        ("wrong rules", RULES.as_bytes().to_vec()),
        ("rendered", render(&checked.config).into_bytes()),
        ("broken", broken.into_bytes()),
    ]
}

/// Whether the text is a configuration.
fn check(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match read("cluster.toml", &text) {
        Ok(checked) => {
            let text = render(&checked.config);
            let again = read("again", &text).expect("what was accepted is accepted again");
            assert_eq!(again.config, checked.config, "{text}");
            assert!(differences(&checked.config, &again.config).is_empty());
            for warning in &checked.warnings {
                assert!(!warning.to_string().is_empty());
            }
            true
        }
        Err(rejected) => {
            assert!(!rejected.problems().is_empty());
            // A carriage return alone ends a line too, as editors have it.
            let lines = text.split(['\n', '\r']).count();
            for problem in rejected.problems() {
                assert!((1..=lines).contains(&problem.line), "line {} of {lines}", problem.line);
                assert!(problem.column >= 1 && !problem.message.is_empty());
            }
            // Drawn with the text beside it, as an operator sees it.
            assert!(!format!("{:?}", miette::Report::new(rejected)).is_empty());
            false
        }
    }
}

#[test]
fn any_text_is_a_configuration_or_an_error_with_a_place() {
    target!("cluster-toml").samples(samples).words(WORDS).count(8_000).run(check);
}
