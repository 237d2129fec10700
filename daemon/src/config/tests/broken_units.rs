//! Broken units, and broken ways to run a program.

use expect_test::expect;

use super::broken_resources::{check, with};
use super::report;
use crate::config::{differences, read, render};

const WHOLE: &str = r#"
[[services.web.resources]]
name = "front"
unit = "nginx@a-b.service"
monitor = ["/usr/bin/curl", "http://127.0.0.1/"]
safety = "lease"
[[services.web.resources]]
name = "cache"
program = ["/usr/bin/redis-server"]
ready = "notify"
user = "redis"
group = "www-data"
stop-signal = "SIGINT"
[[services.web.resources]]
name = "cache2"
program = ["/usr/bin/redis-server"]
ready = { tcp = "[::1]:6380" }
"#;

#[test]
fn what_is_read_is_written_and_read_again() {
    let config = read("x", &with(WHOLE)).expect("it is good").config;
    let again = read("x", &render(&config)).expect("it is good").config;
    assert_eq!(again, config);
    let other = WHOLE.replace("nginx@", "apache@").replace("notify", "notify\"\nrestarts = 1#");
    let other = other.replace("user = \"redis\"\ngroup = \"www-data\"\n", "user = \"www-data\"\n");
    let other = read("x", &with(&other)).expect("it is good").config;
    let told: Vec<_> = differences(&config, &other).iter().map(ToString::to_string).collect();
    expect![[r#"
        service web: resource front: unit changed; the service restarts
        service web: resource cache: user, group, restarts changed; the service restarts"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one report, line by line")]
fn units_that_cannot_be_held() {
    check(
        r#"
[[services.web.resources]]
name = "a"
unit = "nginx"
[[services.web.resources]]
name = "b"
unit = "nginx.socket"
[[services.web.resources]]
name = "c"
unit = "postgresql@.service"
[[services.web.resources]]
name = "d"
unit = "dbus.service"
[[services.web.resources]]
name = "e"
unit = "a b/c.service"
[[services.web.resources]]
name = "f"
unit = "nginx.service"
[[services.web.resources]]
name = "g"
unit = "redis.service"
safety = "lease"
parameters = { a = 1 }
user = "www-data"
"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 7 problems; nothing was changed

            Error:
              x `nginx` is no whole name of a unit
                ,-[cluster.toml:19:8]
             18 | name = "a"
             19 | unit = "nginx"
                :        ^^^^^^^
             20 | [[services.web.resources]]
                `----
              help: write  unit = "nginx.service"

            Error:
              x a unit of kind .socket can't be a resource
                ,-[cluster.toml:22:8]
             21 | name = "b"
             22 | unit = "nginx.socket"
                :        ^^^^^^^^^^^^^^
             23 | [[services.web.resources]]
                `----
              help: only what runs as a process can be held: name the unit that ends in .service,
                    and leave `nginx.socket` disabled

            Error:
              x `postgresql@.service` is a template, of which nothing runs
                ,-[cluster.toml:25:8]
             24 | name = "c"
             25 | unit = "postgresql@.service"
                :        ^^^^^^^^^^^^^^^^^^^^^
             26 | [[services.web.resources]]
                `----
              help: name an instance of it, such as  unit = "postgresql@main.service"

            Error:
              x `dbus.service` is needed to run services
                ,-[cluster.toml:28:8]
             27 | name = "d"
             28 | unit = "dbus.service"
                :        ^^^^^^^^^^^^^^
             29 | [[services.web.resources]]
                `----
              help: it has to run on each node by itself: remove it

            Error:
              x `a b/c.service` can't be the name of a unit
                ,-[cluster.toml:31:8]
             30 | name = "e"
             31 | unit = "a b/c.service"
                :        ^^^^^^^^^^^^^^^
             32 | [[services.web.resources]]
                `----
              help: letters, digits and : - _ . \ @ are all that it can have; `systemctl list-
                    unit-files` shows those that there are

            Error:
              x resource `g` has `parameters`, which it can't have
                ,-[cluster.toml:39:14]
             38 | safety = "lease"
             39 | parameters = { a = 1 }
                :              ^^^^^^^^^
             40 | user = "www-data"
                `----
              help: only an OCF agent gets parameters: remove it

            Error:
              x resource `g` has `user`, which it can't have
                ,-[cluster.toml:40:8]
             39 | parameters = { a = 1 }
             40 | user = "www-data"
                :        ^^^^^^^^^^
                `----
              help: only a program is started by stead itself: remove it
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one report, line by line")]
fn ways_to_run_a_program_that_are_none() {
    check(
        r#"
[[services.web.resources]]
name = "a"
program = ["/bin/true"]
ready = "soon"
user = ""
stop-signal = "int"
[[services.web.resources]]
name = "b"
program = ["/bin/true"]
ready = { tcp = "localhost:80", udp = 1 }
group = "www-data"
stop-signal = "SIGKILL"
[[services.web.resources]]
name = "c"
program = ["/bin/true"]
ready = { tcp = "127.0.0.1:0" }
stop-signal = "HANGUP"
user = "a b"
"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 10 problems; nothing was changed

            Error:
              x `soon` is no way to tell that it is ready
                ,-[cluster.toml:20:9]
             19 | program = ["/bin/true"]
             20 | ready = "soon"
                :         ^^^^^^
             21 | user = ""
                `----
              help: write  ready = "notify"  if it says so itself, or  ready = { tcp =
                    "127.0.0.1:6380" }  if it is ready when it takes connections there

            Error:
              x no user can have the name ``
                ,-[cluster.toml:21:8]
             20 | ready = "soon"
             21 | user = ""
                :        ^^
             22 | stop-signal = "int"
                `----
              help: write  user = "www-data"

            Error:
              x `int` is no name of a signal
                ,-[cluster.toml:22:15]
             21 | user = ""
             22 | stop-signal = "int"
                :               ^^^^^
             23 | [[services.web.resources]]
                `----
              help: write  stop-signal = "SIGINT"

            Error:
              x `localhost:80` is no address with a port
                ,-[cluster.toml:26:17]
             25 | program = ["/bin/true"]
             26 | ready = { tcp = "localhost:80", udp = 1 }
                :                 ^^^^^^^^^^^^^^
             27 | group = "www-data"
                `----
              help: write  ready = "notify"  if it says so itself, or  ready = { tcp =
                    "127.0.0.1:6380" }  if it is ready when it takes connections there

            Error:
              x unknown key `udp` in `ready` of resource `b`
                ,-[cluster.toml:26:33]
             25 | program = ["/bin/true"]
             26 | ready = { tcp = "localhost:80", udp = 1 }
                :                                 ^^^
             27 | group = "www-data"
                `----
              help: remove it; the keys here are: tcp

            Error:
              x resource `b` has a `group` and no `user`
                ,-[cluster.toml:27:9]
             26 | ready = { tcp = "localhost:80", udp = 1 }
             27 | group = "www-data"
                :         ^^^^^^^^^^
             28 | stop-signal = "SIGKILL"
                `----
              help: say as whom it runs as well:  user = "www-data"

            Error:
              x SIGKILL does not ask a program to end
                ,-[cluster.toml:28:15]
             27 | group = "www-data"
             28 | stop-signal = "SIGKILL"
                :               ^^^^^^^^^
             29 | [[services.web.resources]]
                `----
              help: what does not end in time is killed anyway; write the signal that asks it,
                    such as  stop-signal = "SIGINT"

            Error:
              x `127.0.0.1:0` is no address with a port
                ,-[cluster.toml:32:17]
             31 | program = ["/bin/true"]
             32 | ready = { tcp = "127.0.0.1:0" }
                :                 ^^^^^^^^^^^^^
             33 | stop-signal = "HANGUP"
                `----
              help: write  ready = "notify"  if it says so itself, or  ready = { tcp =
                    "127.0.0.1:6380" }  if it is ready when it takes connections there

            Error:
              x `HANGUP` is no name of a signal
                ,-[cluster.toml:33:15]
             32 | ready = { tcp = "127.0.0.1:0" }
             33 | stop-signal = "HANGUP"
                :               ^^^^^^^^
             34 | user = "a b"
                `----
              help: write its name, such as  stop-signal = "SIGINT"

            Error:
              x no user can have the name `a b`
                ,-[cluster.toml:34:8]
             33 | stop-signal = "HANGUP"
             34 | user = "a b"
                :        ^^^^^
                `----
              help: write  user = "www-data"
        "#]],
    );
}

#[test]
fn one_unit_in_two_resources() {
    let two = |name: &str| {
        let head = format!("[[services.web.resources]]\nname = \"{name}\"\n");
        format!("{head}unit = \"a.service\"\nsafety = \"lease\"\n")
    };
    let told = report(&with(&format!("{}{}", two("a"), two("b"))));
    assert!(told.contains("a.service stands in two resources, first in service `web`"), "{told}");
}
