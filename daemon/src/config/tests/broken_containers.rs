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
    expect![[r#"
        front: container, command, mounts, network, socket, environment TZ
        plain: network"#]]
    .assert_eq(
        &told
            .join("\n")
            .replace("service web: resource ", "")
            .replace(" changed; the service restarts", ""),
    );
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
        expect![[r#"
            Error:
              x cluster.toml can't be used: 19 problems; nothing was changed

            Error:
              x `Bad image` can't be the name of an image
                ,-[cluster.toml:19:13]
             18 | name = "a"
             19 | container = "Bad image"
                :             ^^^^^^^^^^^
             20 | socket = "unix:///run/docker.sock"
                `----
              help: write it as the engine shows it (docker image ls):  container = "docker.io/
                    library/nginx:1.27"

            Error:
              x `unix:///run/docker.sock` is no path of a socket
                ,-[cluster.toml:20:10]
             19 | container = "Bad image"
             20 | socket = "unix:///run/docker.sock"
                :          ^^^^^^^^^^^^^^^^^^^^^^^^^
             21 | network = "container:other"
                `----
              help: write its path alone:  socket = "/run/docker.sock"

            Error:
              x `container:other` can't be the name of a network
                ,-[cluster.toml:21:11]
             20 | socket = "unix:///run/docker.sock"
             21 | network = "container:other"
                :           ^^^^^^^^^^^^^^^^^
             22 | [[services.web.resources]]
                `----
              help: write  network = "host"  for the node's own, "none", or one of those that the
                    engine has (docker network ls)

            Error:
              x `data:/data` is no mount
                ,-[cluster.toml:25:11]
             24 | container = "x:1"
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
                :           ^^^^^^^^^^^^
             26 | environment = { "A=B" = "x", C = [] }
                `----
              help: write what is on the node, where the container sees it, both by whole paths,
                    and `ro` if it must not write there:  mounts = ["/srv/shop:/data", "/etc/
                    shop:/etc/shop:ro"]

            Error:
              x `/a:/` is no mount
                ,-[cluster.toml:25:25]
             24 | container = "x:1"
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
                :                         ^^^^^^
             26 | environment = { "A=B" = "x", C = [] }
                `----
              help: write what is on the node, where the container sees it, both by whole paths,
                    and `ro` if it must not write there:  mounts = ["/srv/shop:/data", "/etc/
                    shop:/etc/shop:ro"]

            Error:
              x `/a:/b:rw` is no mount
                ,-[cluster.toml:25:33]
             24 | container = "x:1"
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
                :                                 ^^^^^^^^^^
             26 | environment = { "A=B" = "x", C = [] }
                `----
              help: write what is on the node, where the container sees it, both by whole paths,
                    and `ro` if it must not write there:  mounts = ["/srv/shop:/data", "/etc/
                    shop:/etc/shop:ro"]

            Error:
              x two mounts at `/b`
                ,-[cluster.toml:25:54]
             24 | container = "x:1"
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
                :                                                      ^^^^^^^
             26 | environment = { "A=B" = "x", C = [] }
                `----
              help: a container sees one thing there: remove one

            Error:
              x each entry of `mounts` in resource `b` must be a text in quotes, and this is a
              | whole number
                ,-[cluster.toml:25:63]
             24 | container = "x:1"
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
                :                                                               ^
             26 | environment = { "A=B" = "x", C = [] }
                `----
              help: write it like this:  mounts = ["/srv/shop:/data", "/etc/shop:/etc/shop:ro"]

            Error:
              x `/a:/x/../..` is no mount
                ,-[cluster.toml:25:66]
             24 | container = "x:1"
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
                :                                                                  ^^^^^^^^^^^^^
             26 | environment = { "A=B" = "x", C = [] }
                `----
              help: write what is on the node, where the container sees it, both by whole paths,
                    and `ro` if it must not write there:  mounts = ["/srv/shop:/data", "/etc/
                    shop:/etc/shop:ro"]

            Error:
              x no variable can have the name `A=B`
                ,-[cluster.toml:26:17]
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
             26 | environment = { "A=B" = "x", C = [] }
                :                 ^^^^^
             27 | stop-signal = "SIGKILL"
                `----
              help: write it like this:  environment = { TZ = "UTC" }

            Error:
              x each entry of `environment` in resource `b` must be a text, a whole number or true
              | or false, and this is a list
                ,-[cluster.toml:26:34]
             25 | mounts = ["data:/data", "/a:/", "/a:/b:rw", "/a:/b", "/c:/b", 7, "/a:/x/../.."]
             26 | environment = { "A=B" = "x", C = [] }
                :                                  ^^
             27 | stop-signal = "SIGKILL"
                `----
              help: write it like this:  environment = { TZ = "UTC" }

            Error:
              x SIGKILL does not ask a program to end
                ,-[cluster.toml:27:15]
             26 | environment = { "A=B" = "x", C = [] }
             27 | stop-signal = "SIGKILL"
                :               ^^^^^^^^^
             28 | [[services.web.resources]]
                `----
              help: what does not end in time is killed anyway; write the signal that asks it,
                    such as  stop-signal = "SIGINT"

            Error:
              x resource `c` has both `unit` and `container`
                ,-[cluster.toml:30:13]
             29 | name = "c"
             30 | container = "x:1"
                :             ^^^^^
             31 | command = "nginx -g"
                `----
              help: make two resources of it, one for each

            Error:
              x resource `d` has `user`, which it can't have
                ,-[cluster.toml:38:8]
             37 | container = "x:1"
             38 | user = "www-data"
                :        ^^^^^^^^^^
             39 | ready = "notify"
                `----
              help: only a program is started by stead itself: remove it

            Error:
              x resource `d` has `ready`, which it can't have
                ,-[cluster.toml:39:9]
             38 | user = "www-data"
             39 | ready = "notify"
                :         ^^^^^^^^
             40 | parameters = { a = 1 }
                `----
              help: only of a program stead has to be told when it is ready: remove it

            Error:
              x resource `d` has `parameters`, which it can't have
                ,-[cluster.toml:40:14]
             39 | ready = "notify"
             40 | parameters = { a = 1 }
                :              ^^^^^^^^^
             41 | environment = "A=B"
                `----
              help: only an OCF agent gets parameters: remove it

            Error:
              x `environment` of resource `d` must be a table in { }, and this is a text
                ,-[cluster.toml:41:15]
             40 | parameters = { a = 1 }
             41 | environment = "A=B"
                :               ^^^^^
             42 | [[services.web.resources]]
                `----
              help: write it like this:  environment = { TZ = "UTC" }

            Error:
              x resource `e` has `mounts`, which it can't have
                ,-[cluster.toml:45:10]
             44 | program = ["/bin/true"]
             45 | mounts = ["/a:/b"]
                :          ^^^^^^^^^
             46 | command = ["x"]
                `----
              help: only a container does not see the node's files by itself: remove it

            Error:
              x resource `e` has `command`, which it can't have
                ,-[cluster.toml:46:11]
             45 | mounts = ["/a:/b"]
             46 | command = ["x"]
                :           ^^^^^
                `----
              help: only a container is told what to run beside its image: remove it
        "#]],
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
    let told = read.warnings.iter().filter_map(|it| it.message.split(": ").next());
    let told: Vec<_> = told.filter(|it| !it.starts_with("service")).collect();
    expect![[r#"
        the engine may not see what is mounted at `/srv/shop/www`
        image `nginx` may be another one on each node
        image `localhost:5000/nginx` may be another one on each node
        image `nginx:latest` may be another one on each node"#]]
    .assert_eq(&told.join("\n"));
}
