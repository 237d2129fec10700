//! Services that need each other, hooks, and monitors that ask as clients do.

use super::super::{differences, read, render};
use super::{good_but, report};

const DB: &str = "\n[services.db]\naddresses = [\"10.0.0.101/24\"]\n";

/// The good file, with these lines in its service, and another service.
fn with(lines: &str) -> String {
    let web = "addresses = [\"10.0.0.100/24\"]\n";
    good_but(web, &format!("{web}{lines}\n{DB}"))
}

/// What is said of a file that can't be used, on lines of their own.
#[track_caller]
fn says(lines: &str, all: &[&str]) {
    let report = report(&with(lines));
    for words in all {
        assert!(report.contains(words), "{words}\n{report}");
    }
    assert!(report.contains("cluster.toml:"), "it has a line: {report}");
}

#[test]
fn what_can_be_said_is_said_again() {
    let text = with(
        "needs = [\"db\"]\nimportance = 80\n\
         hooks = { takeover = [\"/bin/here\"], release = { command = [\"/bin/gone\", \"x\"], \
         timeout = \"3s\" } }\n\
         monitor = { http = \"http://10.0.0.100:8080/health?deep=1\", expect = [200, 204], \
         contains = \"re\\\"ady\", interval = \"500ms\", slower-than = \"300ms\", failures = 2 }",
    );
    let config = read("cluster.toml", &text).expect("it can be used").config;
    let again = render(&config);
    assert_eq!(read("cluster.toml", &again).expect("it can be read").config, config);
    for line in [
        "needs = [\"db\"]",
        "importance = 80",
        "hooks = { takeover = { command = [\"/bin/here\"], timeout = \"10s\" }, release = { \
         command = [\"/bin/gone\", \"x\"], timeout = \"3s\" } }",
        "monitor = { http = \"http://10.0.0.100:8080/health?deep=1\", expect = [200, 204], \
         contains = \"re\\\"ady\", interval = \"500ms\", timeout = \"2s\", \
         slower-than = \"300ms\", failures = 2 }",
    ] {
        assert!(again.lines().any(|it| it == line), "{line}\n{again}");
    }
    let before = read("cluster.toml", &with("monitor = { tcp = \"10.0.0.100:80\" }"));
    let before = before.expect("it can be used").config;
    let changes = differences(&before, &config);
    let said: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "service web: monitor: a connection to 10.0.0.100:80 -> \
             http://10.0.0.100:8080/health?deep=1 for 200 or 204 with \"re\\\"ady\" within 300 ms, \
             2 failures in a row",
            "service web: monitor's interval: 1 s -> 500 ms",
            "service web: needs: nothing -> db",
            "service web: importance: 50 -> 80",
            "service web: takeover hook runs: nothing -> /bin/here for 10 s at most",
            "service web: release hook runs: nothing -> /bin/gone x for 3 s at most",
        ]
    );
    let tcp = "monitor = { tcp = \"10.0.0.100:80\", interval = \"1s\", timeout = \"2s\" }";
    assert!(render(&before).lines().any(|it| it == tcp));
}

#[test]
fn a_monitor_that_comes_goes_or_asks_otherwise_is_one_change() {
    let config = |lines: &str| read("cluster.toml", &with(lines)).expect("it can be used").config;
    let none = config("");
    let command = config("monitor = [\"/bin/true\", \"x\"]");
    let tcp = config("monitor = { tcp = \"10.0.0.100:80\", failures = 2 }");
    let said = |old, new| -> Vec<String> {
        differences(old, new).iter().map(ToString::to_string).collect()
    };
    let asks = "a connection to 10.0.0.100:80, 2 failures in a row";
    assert_eq!(said(&none, &tcp), [format!("service web: monitor added, {asks}")]);
    assert_eq!(said(&command, &tcp), [format!("service web: monitor: /bin/true x -> {asks}")]);
    assert_eq!(said(&tcp, &command), [format!("service web: monitor: {asks} -> /bin/true x")]);
    assert_eq!(said(&tcp, &none), ["service web: monitor removed"]);
    assert_eq!(said(&none, &command), ["service web: monitor added, /bin/true x"]);
}

#[test]
fn needs_name_services_and_go_in_no_circle() {
    says(
        "needs = [\"bd\"]",
        &["service web needs `bd`, and there is no such service", "it may need other services: db"],
    );
    says("needs = [\"db\", \"db\"]", &["service web needs db twice"]);
    says("needs = [\"web\"]", &["services need each other in a circle: web -> web"]);
    let circle = with("needs = [\"db\"]").replace(DB, &format!("{DB}needs = [\"web\"]\n"));
    let report = report(&circle);
    assert!(report.contains("services need each other in a circle"), "{report}");
    assert!(report.contains("none of them could ever start"), "{report}");
}

#[test]
fn hooks_and_importance_are_within_reason() {
    says("importance = 0", &["`importance = 0` is out of range", "it goes from 1 to 100"]);
    says("hooks = [\"/bin/x\"]", &["`hooks` of [services.web] must be a table"]);
    says("hooks = { takover = [\"/bin/x\"] }", &["did you mean `takeover`?"]);
    says(
        "hooks = { release = \"/bin/x y\" }",
        &["must be a list", "no shell splits it", "release = [\"/bin/x\", \"y\"]"],
    );
    says(
        "hooks = { release = { command = [\"/bin/x\"], timeout = \"1h\" } }",
        &["is too long for a hook"],
    );
    says("hooks = { release = { timeout = \"1s\" } }", &["has no `command`"]);
}

#[test]
fn a_monitor_looks_one_way_at_something_that_can_be_asked() {
    says("monitor = { tcp = \"10.0.0.100\" }", &["is no address with a port", "10.0.0.100:5432"]);
    says(
        "monitor = { tcp = \"10.0.0.100:80\", http = \"http://10.0.0.100/\" }",
        &["has both `tcp` and `http`"],
    );
    says(
        "monitor = { command = [\"/bin/true\"], tcp = \"10.0.0.100:80\" }",
        &["has both `command` and `tcp`"],
    );
    says(
        "monitor = { http = \"https://10.0.0.100/\" }",
        &["is nothing that can be asked", "https needs a program"],
    );
    says(
        "monitor = { http = \"http://shop.example/\" }",
        &["write the address in place of the name"],
    );
    says("monitor = { http = \"10.0.0.100/health\" }", &["write it like this:  http = "]);
    says(
        "monitor = { http = \"http://10.0.0.100/\", expect = [99] }",
        &["`expect` of `monitor` of [services.web] has what is no status code"],
    );
    says("monitor = { tcp = \"10.0.0.100:80\", expect = 200 }", &["has `expect` and no `http`"]);
    says("monitor = { tcp = \"10.0.0.100:80\", failures = 0 }", &["it goes from 1 to 100"]);
    says("monitor = { interval = \"1s\" }", &["has no `command`"]);
    let slow = with("monitor = { tcp = \"10.0.0.100:80\", slower-than = \"5s\" }");
    let checked = read("cluster.toml", &slow).expect("it can be used");
    assert!(checked.warnings.iter().any(|it| it.to_string().contains("has no effect")));
    let v6 = with("monitor = { http = \"http://[fd00::100]:8080/x\" }");
    let config = read("cluster.toml", &v6).expect("it can be used").config;
    assert!(render(&config).contains("http = \"http://[fd00::100]:8080/x\""));
}
