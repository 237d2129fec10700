//! Broken tables of resources.

use expect_test::{Expect, expect};
use stead_core::state::config::Stuck;

use super::{GOOD, report};
use crate::config::{differences, read, render};

pub(super) fn with(tables: &str) -> String {
    format!("{GOOD}{tables}")
}

pub(super) fn check(tables: &str, expected: Expect) {
    expected.assert_eq(&report(&with(tables)));
}

const WHOLE: &str = r#"
[[services.web.resources]]
name = "cache"
program = ["/usr/bin/redis-server", "--daemonize", "no"]
monitor = ["/usr/bin/redis-cli", "ping"]
restarts = 0

[[services.web.resources]]
name = "front"
ocf = "ocf:heartbeat:nginx"
parameters = { configfile = "/etc/nginx/shop.conf", port = 8080, test = true }
start-timeout = "10s"
stop-timeout = "5s"
monitor-timeout = "3s"
monitor-interval = "2s"
forget-after = "1h"

[[services.web.resources]]
name = "alone"
ocf = "heartbeat:Filesystem"
needs = []
safety = "lease"
stuck = "reboot"
"#;

#[test]
fn what_is_read_is_written_and_read_again() {
    let config = read("x", &with(WHOLE)).expect("it is good").config;
    let resources = config.resources(&"web".into());
    let needs: Vec<Vec<&str>> =
        resources.iter().map(|it| it.needs.iter().map(String::as_str).collect()).collect();
    assert_eq!(needs, [vec![], vec!["cache"], vec![]]);
    let stuck: Vec<_> = resources.iter().map(|it| it.stuck).collect();
    assert_eq!(stuck, [Stuck::Wait, Stuck::Wait, Stuck::Reboot]);
    let again = read("x", &render(&config)).expect("it is good").config;
    assert_eq!(again, config);
}

#[test]
fn changes_are_told_without_values() {
    let old = read("x", &with(WHOLE)).expect("it is good").config;
    let new = WHOLE
        .replace("shop.conf", "secret.conf")
        .replace("restarts = 0", "needs = [\"alone\"]")
        .replace("\"front\"", "\"edge\"");
    let new = read("x", &with(&new)).expect("it is good").config;
    let told: Vec<_> = differences(&old, &new).iter().map(ToString::to_string).collect();
    expect![[r#"
        service web: resource front removed; the service restarts
        service web: resource cache: needs, restarts changed; the service restarts
        service web: resource edge added, ocf:heartbeat:nginx; the service restarts"#]]
    .assert_eq(&told.join("\n"));
    let new = WHOLE.replace("shop.conf", "secret.conf");
    let new = read("x", &with(&new)).expect("it is good").config;
    let told: Vec<_> = differences(&old, &new).iter().map(ToString::to_string).collect();
    expect![[r#"
        service web: resource front: parameter configfile changed; the service restarts"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn a_resource_that_is_nothing_and_one_that_is_two_things() {
    check(
        r#"
[[services.web.resources]]
name = "nothing"
[[services.web.resources]]
name = "both"
program = ["/bin/true"]
ocf = "heartbeat:Dummy"
"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x resource `nothing` has none of `program`, `ocf`, `unit`, `container`
                ,-[cluster.toml:17:1]
             16 |
             17 | [[services.web.resources]]
                : ^^^^^^^^^^^^^^^^^^^^^^^^^^
             18 | name = "nothing"
                `----
              help: say what it is:  program = ["/usr/sbin/nginx", "-g", "daemon off;"]  or  ocf =
                    "heartbeat:nginx"  or  unit = "nginx.service"  or  container = "docker.io/
                    library/nginx:1.27"

            Error:
              x resource `both` has both `program` and `ocf`
                ,-[cluster.toml:22:7]
             21 | program = ["/bin/true"]
             22 | ocf = "heartbeat:Dummy"
                :       ^^^^^^^^^^^^^^^^^
                `----
              help: make two resources of it, one for each
        "#]],
    );
}

#[test]
fn a_resource_without_name_and_one_with_an_odd_one() {
    check(
        r#"
[[services.web.resources]]
ocf = "heartbeat:Dummy"
monitor = ["/bin/true"]
[[services.web.resources]]
name = "Odd Name"
program = { command = ["/bin/true"] }
"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 4 problems; nothing was changed

            Error:
              x a resource of [services.web] has no `name`
                ,-[cluster.toml:17:1]
             16 |
             17 | [[services.web.resources]]
                : ^^^^^^^^^^^^^^^^^^^^^^^^^^
             18 | ocf = "heartbeat:Dummy"
                `----
              help: add a line like  name = "data"

            Error:
              x a resource of [services.web] has `monitor`, which it can't have
                ,-[cluster.toml:19:11]
             18 | ocf = "heartbeat:Dummy"
             19 | monitor = ["/bin/true"]
                :           ^^^^^^^^^^^^^
             20 | [[services.web.resources]]
                `----
              help: the agent has a monitor of its own: remove it

            Error:
              x the resource's name `Odd Name` has characters other than a to z, 0 to 9 and -
                ,-[cluster.toml:21:8]
             20 | [[services.web.resources]]
             21 | name = "Odd Name"
                :        ^^^^^^^^^^
             22 | program = { command = ["/bin/true"] }
                `----
              help: write a name such as  name = "data"

            Error:
              x `program` of resource `Odd Name` must be a list, and this is a table
                ,-[cluster.toml:22:11]
             21 | name = "Odd Name"
             22 | program = { command = ["/bin/true"] }
                :           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
                `----
              help: times are keys of the resource: start-timeout, stop-timeout, monitor-timeout,
                    monitor-interval
        "#]],
    );
}

#[test]
fn names_that_no_agent_has() {
    check(
        r#"
[[services.web.resources]]
name = "a"
ocf = "lsb:nginx"
[[services.web.resources]]
name = "b"
ocf = "heartbeat:../../../bin/sh"
"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x `lsb:nginx` is no OCF agent's name: agents of class `lsb` are not run; write
              | ocf:PROVIDER:TYPE, such as ocf:heartbeat:nginx
                ,-[cluster.toml:19:7]
             18 | name = "a"
             19 | ocf = "lsb:nginx"
                :       ^^^^^^^^^^^
             20 | [[services.web.resources]]
                `----
              help: write provider and type, for example  ocf = "heartbeat:nginx"

            Error:
              x `heartbeat:../../../bin/sh` is no OCF agent's name: `../../../bin/sh` in
              | `ocf:heartbeat:../../../bin/sh` is not the name of a provider or a type; write
              | letters, digits and -_+. only, and no dot first, as in ocf:heartbeat:nginx
                ,-[cluster.toml:22:7]
             21 | name = "b"
             22 | ocf = "heartbeat:../../../bin/sh"
                :       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
                `----
              help: write provider and type, for example  ocf = "heartbeat:nginx"
        "#]],
    );
}

#[test]
fn parameters_that_no_agent_has() {
    check(
        r#"
[[services.web.resources]]
name = "c"
ocf = "heartbeat:Dummy"
parameters = { "a-b" = "x", state = [1] }
[[services.web.resources]]
name = "d"
ocf = "heartbeat:Dummy"
paramters = { state = "/x" }
restarts = -1
"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 4 problems; nothing was changed

            Error:
              x no parameter can have the name `a-b`
                ,-[cluster.toml:20:16]
             19 | ocf = "heartbeat:Dummy"
             20 | parameters = { "a-b" = "x", state = [1] }
                :                ^^^^^
             21 | [[services.web.resources]]
                `----
              help: an agent finds a parameter in a variable of its environment, so letters,
                    digits and _ are all that it can have

            Error:
              x each entry of `parameters` in resource `c` must be a text, a whole number or true
              | or false, and this is a list
                ,-[cluster.toml:20:37]
             19 | ocf = "heartbeat:Dummy"
             20 | parameters = { "a-b" = "x", state = [1] }
                :                                     ^^^
             21 | [[services.web.resources]]
                `----
              help: write it like this:  parameters = { configfile = "/etc/nginx/nginx.conf" }

            Error:
              x unknown key `paramters` in a resource of [services.web]
                ,-[cluster.toml:24:1]
             23 | ocf = "heartbeat:Dummy"
             24 | paramters = { state = "/x" }
                : ^^^^^^^^^
             25 | restarts = -1
                `----
              help: did you mean `parameters`? The keys here are: name, program, monitor, ocf,
                    unit, container, command, environment, mounts, network, socket, ready, user,
                    group, stop-signal, parameters, needs, start-timeout, stop-timeout, monitor-
                    timeout, monitor-interval, restarts, forget-after, safety, stuck, promotable

            Error:
              x `restarts = -1` is out of range in resource `d`
                ,-[cluster.toml:25:12]
             24 | paramters = { state = "/x" }
             25 | restarts = -1
                :            ^^
                `----
              help: it goes from 0 to 10000, for example  restarts = 3
        "#]],
    );
}

#[test]
fn no_class_of_safety_and_what_belongs_elsewhere() {
    check(
        r#"
[[services.web.resources]]
name = "data"
ocf = "heartbeat:Filesystem"
[[services.web.resources]]
name = "address"
ocf = "heartbeat:IPaddr2"
[[services.web.resources]]
name = "fenced"
ocf = "heartbeat:Dummy"
safety = "sometimes"
stuck = "fence"
"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x no lease ends an address that ocf:heartbeat:IPaddr2 adds
                ,-[cluster.toml:22:7]
             21 | name = "address"
             22 | ocf = "heartbeat:IPaddr2"
                :       ^^^^^^^^^^^^^^^^^^^
             23 | [[services.web.resources]]
                `----
              help: write the address into `addresses` of the service: there it falls silent with
                    the node's lease

            Error:
              x `sometimes` is no class of safety
                ,-[cluster.toml:26:10]
             25 | ocf = "heartbeat:Dummy"
             26 | safety = "sometimes"
                :          ^^^^^^^^^^^
             27 | stuck = "fence"
                `----
              help: it is  safety = "lease"  if nothing is lost when it starts elsewhere as soon
                    as this node's lease is over, else  safety = "fence"

            Error:
              x `fence` is nothing that can be done then
                ,-[cluster.toml:27:9]
             26 | safety = "sometimes"
             27 | stuck = "fence"
                :         ^^^^^^^
                `----
              help: when it can't be stopped, not even by a kill, its service waits where it is:
                    stuck = "wait"  or its node boots itself anew, with all that runs there:
                    stuck = "reboot"
        "#]],
    );
}

#[test]
fn an_address_that_an_agent_has_on_the_card_is_not_steads_as_well() {
    let text = r#"
[[services.web.resources]]
name = "route"
ocf = "heartbeat:aws-vpc-move-ip"
safety = "lease"
parameters = { ip = "10.0.0.100", routing_table = "rtb-1", interface = "eth0" }
"#;
    check(
        text,
        expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x 10.0.0.100 is put on the card by ocf:heartbeat:aws-vpc-move-ip, and by stead as
          | well
            ,-[cluster.toml:17:1]
         16 |
         17 | [[services.web.resources]]
            : ^^^^^^^^^^^^^^^^^^^^^^^^^^
         18 | name = "route"
            `----
          help: take it out of `addresses`: it is the agent's alone (docs/how-to/redirect.md,
                In a cloud)
    "#]],
    );
    let alone = text.replace("10.0.0.100", "198.51.100.7");
    assert!(read("cluster.toml", &with(&alone)).is_ok());
}

#[test]
fn needs_in_a_circle_and_of_what_is_not_there() {
    let resource = |name: &str, needs: &str| {
        format!(
            "[[services.web.resources]]\nname = \"{name}\"\nprogram = [\"/bin/true\"]\n\
             needs = [{needs}]\n"
        )
    };
    let circle = [resource("a", "\"b\""), resource("b", "\"c\""), resource("c", "\"a\"")];
    check(
        &circle.concat(),
        expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x resources need each other in a circle: a -> b -> c -> a
            ,-[cluster.toml:16:1]
         15 | addresses = ["10.0.0.100/24"]
         16 | [[services.web.resources]]
            : ^^^^^^^^^^^^^^^^^^^^^^^^^^
         17 | name = "a"
            `----
          help: let one of them go: a could start without its `needs`
    "#]],
    );
    let unknown = [resource("data", ""), resource("front", "\"dada\"")];
    check(
        &unknown.concat(),
        expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x resource `front` needs `dada`, which is none
            ,-[cluster.toml:20:1]
         19 | needs = []
         20 | [[services.web.resources]]
            : ^^^^^^^^^^^^^^^^^^^^^^^^^^
         21 | name = "front"
            `----
          help: did you mean `data`?
    "#]],
    );
    check(
        &[resource("a", ""), resource("a", "")].concat(),
        expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x two resources of service `web` have the name `a`
            ,-[cluster.toml:20:1]
         19 | needs = []
         20 | [[services.web.resources]]
            : ^^^^^^^^^^^^^^^^^^^^^^^^^^
         21 | name = "a"
            `----
          help: give one of them another name
    "#]],
    );
}

#[test]
fn a_program_beside_resources() {
    let text = GOOD.replace(
        "addresses = [\"10.0.0.100/24\"]",
        "addresses = [\"10.0.0.100/24\"]\nprogram = [\"/bin/true\"]\n\
         resources = [{ name = \"a\", ocf = \"heartbeat:Dummy\" }, 7]",
    );
    expect![[r#"
        Error:
          x cluster.toml can't be used: 2 problems; nothing was changed

        Error:
          x [services.web] has both `program` and `resources`
            ,-[cluster.toml:16:11]
         15 | addresses = ["10.0.0.100/24"]
         16 | program = ["/bin/true"]
            :           ^^^^^^^^^^^^^
         17 | resources = [{ name = "a", ocf = "heartbeat:Dummy" }, 7]
            `----
          help: make the program one of the resources: it can then need others

        Error:
          x each entry of `resources` in [services.web] must be a table, and this is a whole
          | number
            ,-[cluster.toml:17:55]
         16 | program = ["/bin/true"]
         17 | resources = [{ name = "a", ocf = "heartbeat:Dummy" }, 7]
            :                                                       ^
            `----
          help: write it like this:  resources = [{ name = "web", ocf = "heartbeat:nginx" }]
    "#]]
    .assert_eq(&report(&text));
}
