//! Resource agents: those of Debian, run as they are, and some of our own that misbehave.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use stead::ocf::{
    AgentName, Call, CollectError, DescribeError, EXIT_REASON, ExitCode, Kind, MetaData, ROOT,
    check, describe, describe_all, environment, installed,
};
use stead_core::time::Span;
use tempfile::TempDir;

/// Longer than any agent takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long an agent that never answers is waited for.
const SHORT: Duration = Duration::from_millis(300);

fn name(text: &str) -> AgentName {
    text.parse().expect(text)
}

fn of_debian(text: &str) -> MetaData {
    describe(Path::new(ROOT), &name(text), PATIENCE).expect(text)
}

/// All agents of the package, a few at once. It has 141 today and has never had fewer than 100.
#[test]
fn every_agent_of_debian_is_understood() {
    let root = Path::new(ROOT);
    let agents = installed(root).expect("readable");
    let heartbeat = agents.iter().filter(|agent| agent.provider == "heartbeat").count();
    assert!(heartbeat > 100, "{heartbeat}: the package resource-agents is not there");
    let answers = describe_all(root, &agents, PATIENCE);
    assert_eq!(answers.len(), agents.len());
    for (agent, answer) in agents.iter().zip(answers) {
        let meta = answer.unwrap_or_else(|error| panic!("{agent}: {error:?}"));
        assert!(!meta.shortdesc.is_empty() && !meta.api_version.is_empty(), "{agent}");
        for action in ["start", "stop", "monitor", "meta-data"] {
            let found = meta.action(action).unwrap_or_else(|| panic!("{agent}: no {action}"));
            assert!(found.timeout.is_some_and(|it| it > Span::ZERO), "{agent} {action}");
        }
        for parameter in &meta.parameters {
            assert!(!matches!(parameter.kind, Kind::Other(_)), "{agent}: {parameter:?}");
        }
        // What an agent takes for granted is nothing to be warned of.
        let defaults = meta.parameters.iter().filter_map(|it| {
            Some((it.name.clone(), it.default.clone().filter(|it| !it.is_empty())?))
        });
        let mut given: BTreeMap<String, String> = defaults.collect();
        for parameter in meta.parameters.iter().filter(|it| it.required) {
            given.entry(parameter.name.clone()).or_insert_with(|| "1".to_owned());
        }
        assert_eq!(check(&meta, &given), [], "{agent}");
    }
}

#[test]
fn facts_about_some_of_them() {
    let nginx = of_debian("ocf:heartbeat:nginx");
    let file = nginx.parameter("configfile").expect("it has one");
    assert_eq!((&file.kind, file.required), (&Kind::String, false));
    assert_eq!(file.default, None, "the agent does not say which it takes by itself");
    let program = nginx.parameter("httpd").expect("it has one");
    assert_eq!(program.default.as_deref(), Some("/usr/sbin/httpd"));
    assert_eq!(nginx.parameter("port").expect("it has one").kind, Kind::Integer);
    assert_eq!(nginx.action("start").unwrap().timeout, Some(Span::from_millis(40_000)));
    let depths: Vec<_> = nginx.actions.iter().filter_map(|it| it.depth).collect();
    assert!(depths.contains(&10) && depths.contains(&30), "{depths:?}");
    assert!(!nginx.is_promotable());

    let address = of_debian("ocf:heartbeat:IPaddr2");
    assert!(address.parameter("ip").expect("it has one").required);
    let mistakes = check(&address, &BTreeMap::from([("nick".to_owned(), "eth0".to_owned())]));
    let [unknown, missing] = &mistakes[..] else { panic!("{mistakes:?}") };
    assert!(unknown.help.starts_with("did you mean `nic`?"), "{unknown:?}");
    assert!(missing.message.contains("`ip`"), "{missing:?}");

    for promotable in ["pgsql", "redis", "mysql", "galera", "Stateful"] {
        assert!(of_debian(&format!("ocf:heartbeat:{promotable}")).is_promotable(), "{promotable}");
    }
    let roles: Vec<_> = of_debian("ocf:heartbeat:pgsql").actions;
    assert!(roles.iter().any(|it| it.role.as_deref() == Some("Promoted")), "{roles:?}");
}

#[test]
fn one_that_is_not_there_is_proposed_another() {
    let missing = |text| describe(Path::new(ROOT), &name(text), PATIENCE).unwrap_err().to_string();
    assert!(missing("ocf:heartbeat:ngnix").ends_with("did you mean ocf:heartbeat:nginx?"));
    assert!(missing("ocf:hartbeat:IPAddr2").ends_with("did you mean ocf:heartbeat:IPaddr2?"));
    let nothing = missing("ocf:heartbeat:xxxxxxxxxxxx");
    assert!(nothing.ends_with("`stead agents` lists those that are installed"), "{nothing}");
}

/// Calls an agent of Debian's as a manager does: with the environment, and nothing else.
fn call(call: &Call) -> (ExitCode, String) {
    let root = Path::new(ROOT);
    let mut command = Command::new(call.agent.path(root));
    command.arg(call.action).env_clear().envs(environment(root, call));
    let output = command.output().expect("run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (ExitCode::from(output.status.code().expect("not killed")), said)
}

#[test]
fn an_agent_runs_in_the_environment_that_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let (agent, parameters) = (name("ocf:heartbeat:Dummy"), BTreeMap::new());
    let does = |action| {
        let temporary = Some(folder.path());
        call(&Call { temporary, ..Call::new(&agent, "probe", action, &parameters) })
    };
    let states = [
        ("validate-all", ExitCode::Success),
        ("monitor", ExitCode::NotRunning),
        ("start", ExitCode::Success),
        ("monitor", ExitCode::Success),
        ("stop", ExitCode::Success),
        ("monitor", ExitCode::NotRunning),
        ("dance", ExitCode::Unimplemented),
    ];
    for (action, expected) in states {
        let (code, said) = does(action);
        assert_eq!(code, expected, "{action}: {said}");
        let there = folder.path().join("Dummy-probe.state").exists();
        assert_eq!(
            there,
            (action, expected) == ("start", ExitCode::Success) || {
                action == "monitor" && expected == ExitCode::Success
            }
        );
    }
}

#[test]
fn an_agent_says_why_it_fails() {
    let (agent, parameters) = (name("ocf:heartbeat:IPaddr2"), BTreeMap::new());
    let (code, said) = call(&Call::new(&agent, "address", "validate-all", &parameters));
    assert_eq!(code, ExitCode::NotConfigured, "{said}");
    assert!(said.lines().any(|line| line.starts_with(EXIT_REASON)), "{said}");
}

/// A folder of agents with one in it, which is this script.
fn with_agent(script: &str) -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("resource.d/mine");
    fs::create_dir_all(&folder).expect("made");
    let path = folder.join("odd");
    // A file that is open for writing can't be run, and a child of another test may have inherited
    // it for a moment: so this process never opens it.
    let text = root.path().join("text");
    fs::write(&text, format!("#!/bin/sh\ncd {}\n{script}\n", root.path().display())).expect("made");
    let copied = Command::new("install").args(["-m", "755"]).args([&text, &path]).status();
    assert!(copied.expect("run").success());
    // Neither of these is one.
    fs::write(folder.join("README"), "text").expect("made");
    fs::create_dir(folder.join("lib")).expect("made");
    root
}

fn ask(root: &TempDir, within: Duration) -> Result<MetaData, DescribeError> {
    assert_eq!(installed(root.path()).expect("readable"), [name("ocf:mine:odd")]);
    describe(root.path(), &name("ocf:mine:odd"), within)
}

/// Waits until no process has that number any more, or only a dead one.
fn gone(root: &TempDir, file: &str) {
    let number = fs::read_to_string(root.path().join(file)).expect("it was started");
    let deadline = Instant::now() + PATIENCE;
    let path = format!("/proc/{}/stat", number.trim());
    while fs::read_to_string(&path).is_ok_and(|line| !line.contains(") Z ")) {
        assert!(Instant::now() < deadline, "process {number} runs on");
        std::thread::yield_now();
    }
}

#[test]
fn one_that_hangs_is_killed_with_all_that_it_started() {
    let hangs = "sleep 1000 & echo $! > one\n(trap '' TERM; sleep 1001) & echo $! > two\n\
                 echo $$ > self; echo '<resource-agent/>'; wait";
    let root = with_agent(hangs);
    // It is asked again while the machine was too busy to get it so far.
    let deadline = Instant::now() + PATIENCE;
    while !root.path().join("self").exists() {
        assert!(Instant::now() < deadline, "it never began");
        let error = ask(&root, SHORT).unwrap_err();
        let DescribeError::NoAnswer { source: CollectError::TooLate(_), .. } = error else {
            panic!("{error:?}")
        };
    }
    for file in ["one", "two", "self"] {
        gone(&root, file);
    }
}

#[test]
fn what_one_leaves_running_is_not_waited_for() {
    let root = with_agent("sleep 1000 & echo $! > left\necho '<resource-agent name=\"odd\"/>'");
    assert_eq!(ask(&root, PATIENCE).expect("an answer").name, "odd");
    gone(&root, "left");
}

#[test]
fn one_that_prints_without_end_is_killed() {
    let root = with_agent("echo $$ > self; exec yes");
    let error = ask(&root, PATIENCE).unwrap_err();
    assert!(
        matches!(error, DescribeError::NoAnswer { source: CollectError::TooMuch(_), .. }),
        "{error:?}"
    );
    gone(&root, "self");
}

#[test]
fn what_one_complains_of_is_told_and_is_no_meta_data() {
    let root = with_agent("echo '<resource-agent name=\"odd\"/>'; echo noise >&2");
    assert_eq!(ask(&root, PATIENCE).expect("an answer").name, "odd");
    let root = with_agent("echo first >&2; echo 'no \x1b[31mfile' >&2; echo >&2; exit 5");
    let error = ask(&root, PATIENCE).unwrap_err().to_string();
    let expected = "ocf:mine:odd meta-data failed with exit status: 5: no \u{fffd}[31mfile";
    assert_eq!(error, expected);
    let root = with_agent("env > environment; ls -l /proc/self/fd > open; cat");
    let error = ask(&root, PATIENCE).unwrap_err();
    assert!(matches!(error, DescribeError::Unreadable { .. }), "{error:?}");
    let seen = fs::read_to_string(root.path().join("environment")).expect("written");
    assert!(seen.contains("OCF_RESOURCE_TYPE=odd\n") && !seen.contains("CARGO"), "{seen}");
    let open = fs::read_to_string(root.path().join("open")).expect("written");
    assert!(open.contains("0 -> /dev/null"), "its input is empty: {open}");
}

fn stead(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command.arg("agents").args(args).env_remove("OCF_ROOT").output().expect("run")
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_command_shows_all_and_one() {
    let list = text(stead(&[]));
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).expect(name);
    assert!(line("ocf:heartbeat:nginx ").contains(" lease "), "{list}");
    assert!(line("ocf:heartbeat:pgsql ").contains(" fence   promotable  "), "{list}");
    let one = text(stead(&["nginx"]));
    assert_eq!(one, text(stead(&["ocf:heartbeat:nginx"])));
    assert!(one.lines().any(|line| line.starts_with("configfile ")), "{one}");
    let json: serde_json::Value =
        serde_json::from_str(&text(stead(&["IPaddr2", "--json"]))).unwrap();
    assert_eq!((&json["safety"], &json["promotable"]), (&"fence".into(), &false.into()));
    assert_eq!(json["meta_data"]["parameters"][0]["name"], "ip");
    assert_eq!(json["meta_data"]["actions"][0]["timeout_ms"], 20_000.0);
}

#[test]
fn the_command_refuses_what_it_does_not_know() {
    let refused = |args: &[&str]| {
        let output = stead(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let root = with_agent("exit 1");
    let root = root.path().to_str().expect("text");
    assert!(refused(&["--root", root, "od"]).contains("did you mean ocf:mine:odd?"));
    assert!(refused(&["--root", root, "odd"]).contains("it said nothing"));
    assert!(refused(&["--root", "/nowhere"]).contains("package resource-agents"));
    assert!(refused(&["--root", root, "systemd:nginx"]).contains("class `systemd`"));
    let list = text(stead(&["--root", root]));
    assert!(list.ends_with("1 of 1 can't be used as they are.\n"), "{list}");
}

/// What `stead lint` says of a file with these resources: its status, and what was found.
fn lint(resources: &str) -> (Option<i32>, serde_json::Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.toml");
    let node = |number: u8| {
        let (lan, back) = (format!("10.0.0.{number}"), format!("10.1.0.{number}"));
        format!("[nodes.node{number}]\naddresses = {{ lan = {lan:?}, back = {back:?} }}\n")
    };
    let head = "[cluster]\nname = \"shop\"\n[links.lan]\n[links.back]\n";
    let nodes: String = (1..=3).map(node).collect();
    let service = "[services.web]\naddresses = [\"10.0.0.100/24\"]\n";
    fs::write(&file, format!("{head}{nodes}{service}{resources}")).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    let output = command.arg("lint").arg(&file).arg("--json").output().expect("run");
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), found)
}

#[test]
fn a_file_is_held_against_the_agents_of_this_machine() {
    let resources = "[[services.web.resources]]\nname = \"front\"\nocf = \"heartbeat:nginx\"\n\
                     parameters = { configfil = \"/etc/nginx.conf\" }\n\
                     [[services.web.resources]]\nname = \"nowhere\"\nsafety = \"lease\"\n\
                     ocf = \"heartbeat:Dumy\"\n";
    let (status, found) = lint(resources);
    assert_eq!((status, &found["usable"]), (Some(1), &false.into()), "{found}");
    let problems = found["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 1, "an agent that is not here is no mistake: {found}");
    assert_eq!(problems[0]["message"], "the agent has no parameter `configfil`");
    assert_eq!(problems[0]["line"], 16, "{found}");
    let help = problems[0]["help"].as_str().unwrap_or_default();
    assert!(help.starts_with("did you mean `configfile`?"), "{help}");

    let (status, found) = lint(&resources.replace("configfil ", "configfile "));
    assert_eq!((status, &found["usable"]), (Some(0), &true.into()), "{found}");
    let warnings = found["problems"].as_array().expect("a list");
    assert_eq!(warnings.len(), 1, "{found}");
    let message = warnings[0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("no agent ocf:heartbeat:Dumy"), "{message}");
}
