//! Broken units, and broken ways to run a program.

use expect_test::expect;

use super::broken_resources::{check, with};
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
    expect![[r#""#]].assert_eq(&told.join("\n"));
}

#[test]
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
        expect![[r#""#]],
    );
}

#[test]
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
        expect![[r#""#]],
    );
}

#[test]
fn one_unit_in_two_resources() {
    check(
        r#"
[[services.web.resources]]
name = "a"
unit = "nginx.service"
safety = "lease"
[[services.web.resources]]
name = "b"
unit = "nginx.service"
safety = "lease"
"#,
        expect![[r#""#]],
    );
}
