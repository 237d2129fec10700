//! Containers: what is written for them, and what can't be.

use expect_test::expect;

use super::broken_resources::{check, with};
use crate::config::{differences, read, render};

const WHOLE: &str = r#"
[[services.web.resources]]
name = "front"
container = "docker.io/library/nginx:1.27"
command = ["nginx", "-g", "daemon off;"]
environment = { TZ = "UTC", "with.dot" = 7, on = true }
mounts = ["/srv/shop:/data", "/etc/shop:/etc/shop:ro"]
network = "none"
socket = "/run/podman/podman.sock"
stop-signal = "SIGQUIT"
monitor = ["/usr/bin/curl", "http://127.0.0.1/"]
[[services.web.resources]]
name = "plain"
container = "registry.example:5000/shop/back@sha256:0123"
network = "host"
safety = "lease"
"#;

#[test]
fn what_is_read_is_written_and_read_again() {
    let config = read("x", &with(WHOLE)).expect("it is good").config;
    let text = render(&config);
    assert!(!text.contains("\"host\""), "that is what is meant by nothing: {text}");
    let again = read("x", &text).expect("it is good").config;
    assert_eq!(again, config);
    let safety: Vec<_> = config.resources(&"web".into()).iter().map(|it| it.safety).collect();
    use stead_core::state::config::Safety;
    assert_eq!(safety, [Safety::Fence, Safety::Lease]);
    let other = WHOLE.replace("nginx:1.27", "nginx:1.28").replace("UTC", "CET").replace(":ro", "");
    let other = other.replace("network = \"none\"\n", "").replace("\"nginx\", ", "");
    let other = other.replace("\"host\"", "\"back\"").replace("/run/podman/", "/run/");
    let other = read("x", &with(&other)).expect("it is good").config;
    let told: Vec<_> = differences(&config, &other).iter().map(ToString::to_string).collect();
    expect![[r#""#]].assert_eq(&told.join("\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one report, line by line")]
fn what_can_be_no_container() {
    check(
        r#"
[[services.web.resources]]
name = "a"
container = "Bad image"
socket = "unix:///run/docker.sock"
network = "container:other"
[[services.web.resources]]
name = "b"
container = "x:1"
mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
environment = { "A=B" = "x", C = [] }
stop-signal = "SIGKILL"
[[services.web.resources]]
name = "c"
container = "x:1"
command = "nginx -g"
socket = "docker.sock"
user = "www-data"
unit = "x.service"
[[services.web.resources]]
name = "d"
container = "x:1"
user = "www-data"
ready = "notify"
parameters = { a = 1 }
environment = "A=B"
[[services.web.resources]]
name = "e"
program = ["/bin/true"]
mounts = ["/a:/b"]
command = ["x"]
"#,
        expect![[r#""#]],
    );
}

#[test]
fn what_deserves_a_second_look() {
    let text = r#"
[[services.web.resources]]
name = "data"
ocf = "heartbeat:Filesystem"
parameters = { device = "/dev/sdb", directory = "/srv/shop/", fstype = "ext4" }
[[services.web.resources]]
name = "a"
container = "nginx"
mounts = ["/srv/shop/www:/www"]
[[services.web.resources]]
name = "b"
container = "localhost:5000/nginx"
mounts = ["/srv/shopping:/www"]
[[services.web.resources]]
name = "c"
container = "nginx:latest"
"#;
    let read = read("x", &with(text)).expect("it is good");
    let told: Vec<_> = read.warnings.iter().map(|it| it.message.clone()).collect();
    expect![[r#""#]].assert_eq(&told.join("\n"));
}
