//! Fence devices that can't be, and what the operator is told.

use expect_test::{ExpectFile, expect_file};

use super::fencing::file;
use super::report;

pub(super) fn check(nodes: [&str; 3], tables: &str, expected: &ExpectFile) {
    let text = report(&file(nodes, tables));
    expected.assert_eq(text.split_once("changed\n").map_or(text.as_str(), |(_, rest)| rest));
}

#[test]
fn devices_that_are_none() {
    let tables = r#"
[fencing.devices.a]
timeout = "20s"
[fencing.devices.b]
agent = "fence_apc"
exec = ["/bin/true"]
[fencing.devices.c]
agnet = "fence_apc"
[fencing.devices.d]
agent = "reboot"
[fencing.devices.e]
exec = "/usr/local/bin/vm-power host5"
parameters = { ip = "10.0.0.5" }
[fencing.devices.f]
webhook = "https://10.0.0.9/power"
secret = "cloud"
[fencing.devices.g]
webhook = "http://cloud.example/power"
timeout = "100ms"
retries = 99
[fencing.devices.h]
exec = ["vm-power"]
secret = "/etc/secret"
[fencing.devices.I]
exec = { command = ["/bin/true"], timeout = "1s" }
[fencing.devices]
j = 5
[fencing]
device = 1
"#;
    check([""; 3], tables, &expect_file!["golden/devices-that-are-none.txt"]);
}

#[test]
fn parameters_and_secrets_that_can_not_be() {
    let tables = r#"
[fencing.devices.a]
agent = "fence_apc"
parameters = { ip = "10.0.0.7", "a b" = "1", list = [1], login = "a\nb", password = "x" }
secrets = { password = "/etc/stead/secrets/apc", key = "admin" }
"#;
    check([""; 3], tables, &expect_file!["golden/parameters-and-secrets.txt"]);
}
