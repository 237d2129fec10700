//! What Debian's fence agents say of themselves, all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use stead::fence::{
    AgentName, DescribeError, FOLDERS, MetaData, Outlet, check, describe, folders, installed,
    nearest, outlet_mistake, unable,
};
use stead::ocf::Kind;

use super::bed::{program, texts};

/// Longer than any agent takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

fn of_debian(name: &str) -> MetaData {
    describe(&folders(), &name.parse().expect(name), PATIENCE).expect(name)
}

/// The package has 86 today. Of these `fence_ack_manual` prints how it is called.
#[test]
fn every_agent_of_debian_is_understood() {
    let agents = installed(&folders()).expect("readable");
    assert!(agents.len() > 80, "{}: the package fence-agents is not there", agents.len());
    let mut able = 0;
    for agent in &agents {
        let meta = match describe(&folders(), agent, PATIENCE) {
            Ok(meta) => meta,
            Err(error) => {
                assert_eq!(agent.to_string(), "fence_ack_manual", "{error:?}");
                continue;
            }
        };
        assert!(!meta.shortdesc.is_empty(), "{agent}");
        assert!(meta.action("metadata").is_some(), "{agent}");
        for parameter in &meta.parameters {
            assert!(!matches!(parameter.kind, Kind::Other(_)), "{agent}: {parameter:?}");
        }
        able += usize::from(unable(&meta).is_none());
        // What an agent takes for granted is not refused.
        let plain = |name: &str| !["action", "plug", "port"].contains(&name);
        let known = |it: &&stead::ocf::Parameter| plain(&it.name) && !it.deprecated;
        let defaults = meta.parameters.iter().filter(known).filter_map(|it| {
            let default = it.default.clone().filter(|it| !it.is_empty());
            let given = default.or_else(|| it.required.then(|| "1".to_owned()))?;
            Some((it.name.clone(), given))
        });
        let given: BTreeMap<String, String> = defaults.collect();
        let errors = check(&meta, &given, std::iter::empty());
        let severity = stead::config::Severity::Error;
        let errors: Vec<_> = errors.into_iter().filter(|it| it.severity == severity).collect();
        assert_eq!(errors, [], "{agent}");
    }
    assert!(able > 75, "{able} can prove that a node is off");
}

#[test]
fn facts_about_some_of_them() {
    let ipmi = of_debian("fence_ipmilan");
    assert_eq!(ipmi.outlet(), Outlet::Optional("plug"));
    assert!(!ipmi.cuts_off() && unable(&ipmi).is_none());
    assert_eq!(ipmi.parameter("login_timeout").expect("it has one").kind, Kind::Seconds);
    let old = ipmi.parameter("ipaddr").expect("it has one");
    assert_eq!((old.deprecated, &old.replaced_with[..]), (true, &["ip".to_owned()][..]));
    assert_eq!(of_debian("fence_apc").outlet(), Outlet::Required("plug"));
    assert_eq!(of_debian("fence_dummy").outlet(), Outlet::None);
    for agent in ["fence_scsi", "fence_mpath", "fence_brocade"] {
        assert!(of_debian(agent).cuts_off(), "{agent}");
    }
    for agent in ["fence_kdump", "fence_heuristics_ping"] {
        let (message, _) = unable(&of_debian(agent)).expect(agent);
        assert_eq!(message, "it can't say whether something is off");
    }
}

/// As agents of before fence-agents 4 call an outlet, and some that are not Debian's still do.
#[test]
fn an_outlet_may_be_called_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let xml = r#"<resource-agent name="fence_old" shortdesc="Old"><parameters>
        <parameter name="port" required="1"><content type="string"/></parameter></parameters>
        <actions><action name="off"/><action name="status"/></actions></resource-agent>"#;
    let text = format!("#!/bin/sh\ncat <<'END'\n{xml}\nEND\n");
    program(&folder.path().join("fence_old"), &text);
    let name = "fence_old".parse().expect("a name");
    let meta = describe(&[folder.path().to_owned()], &name, PATIENCE).expect("read");
    assert_eq!(meta.outlet(), Outlet::Required("port"));
}

#[test]
fn what_is_written_for_an_agent_is_compared_with_what_it_takes() {
    let apc = of_debian("fence_apc");
    let told = |pairs: &[(&str, &str)], secrets: &[&str]| -> Vec<String> {
        let secrets = secrets.iter().copied();
        let mistakes = check(&apc, &texts(pairs), secrets);
        mistakes.into_iter().map(|it| format!("{}. {}", it.message, it.help)).collect()
    };
    let good = [("ip", "10.0.0.7"), ("username", "apc"), ("ssh", "TRUE")];
    assert_eq!(told(&good, &["password"]), [""; 0]);
    assert_eq!(told(&[("ipaddr", "10.0.0.7"), ("login", "apc")], &[]).len(), 2, "old names");
    let lacking = told(&[("ssh", "true")], &["password"]);
    assert_eq!(lacking.len(), 2, "{lacking:?}");
    assert!(lacking[0].starts_with("the agent needs the parameter `ip`."), "{lacking:?}");
    let wrong = [
        ("action", "reboot", "`action` is set by stead itself. remove it"),
        ("plug", "3", "`plug` is not set for the whole device. write the outlet in the node's"),
        ("pcmk_host_map", "a:1", "`pcmk_host_map` is a setting of Pacemaker's"),
        ("usrname", "apc", "the agent has no parameter `usrname`. did you mean `username`?"),
        (
            "login_timeout",
            "5s",
            "`login_timeout` should be a number of seconds, says the agent, not",
        ),
        ("ssh", "y", "`ssh` should be yes or no, says the agent, not `y`. write  true  or  false"),
        ("delay", "5", "`delay` only makes every takeover 5 s longer"),
        ("password", "x", "`password` stands in the configuration, which every node shows. write"),
    ];
    for (name, value, start) in wrong {
        let mut pairs = good.to_vec();
        pairs.push((name, value));
        let told = told(&pairs, &[]);
        assert!(told.iter().any(|it| it.starts_with(start)), "{name}: {told:?}");
    }
    assert!(told(&good, &["pasword"])[0].contains("did you mean `password`?"));
}

#[test]
fn an_outlet_is_named_where_there_are_several() {
    let wrong = |agent: &str, parameters: &[(&str, &str)], plug: Option<&str>| {
        let told = outlet_mistake(&of_debian(agent), &texts(parameters), ("dev", plug));
        told.map(|(message, _)| message).unwrap_or_default()
    };
    assert_eq!(wrong("fence_apc", &[], Some("3")), "");
    let lacking = "device `dev` has to be told which outlet is the node's";
    assert_eq!(wrong("fence_apc", &[], None), lacking);
    assert_eq!(wrong("fence_dummy", &[], None), "");
    assert_eq!(wrong("fence_dummy", &[], Some("3")), "device `dev` has no outlets, and `3` is one");
    // The agent would pass over it, and switch off the same board for each node.
    let board = "device `dev` is one board, and `3` no outlet of it";
    assert_eq!(wrong("fence_ipmilan", &[], Some("3")), board);
    assert_eq!(wrong("fence_ipmilan", &[("port_as_ip", "True")], Some("10.0.0.5")), "");
    assert_eq!(wrong("fence_scsi", &[], Some("node2")), "");
    assert_eq!(wrong("fence_vmware", &[], Some("vm-2")), "");
}

#[test]
fn one_that_is_not_there_is_proposed_another() {
    let near = |name: &str| nearest(&folders(), name).map(|it| it.to_string());
    assert_eq!(near("fence_impilan").as_deref(), Some("fence_ipmilan"));
    assert_eq!(near("ipmilan").as_deref(), Some("fence_ipmilan"));
    assert_eq!(near("fence_xxxxxxxxxx"), None);
    for bad in ["reboot", "fence_", "fence_a/b", "../fence_a", "fence_a b", ""] {
        assert!(bad.parse::<AgentName>().is_err(), "{bad}");
    }
    let name = "fence_impilan".parse().expect("a name");
    let error = describe(&folders(), &name, PATIENCE).expect_err("there is none");
    assert_eq!(
        error.to_string(),
        "no fence agent fence_impilan is installed; did you mean fence_ipmilan?"
    );
    assert_eq!(FOLDERS[0], "/usr/local/sbin");
}

#[test]
fn agents_that_misbehave_are_refused_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let folders = vec![PathBuf::from("/nowhere"), folder.path().to_owned()];
    let asked = |script: &str, within| {
        program(&folder.path().join("fence_odd"), &format!("#!/bin/sh\n{script}\n"));
        let name = "fence_odd".parse().expect("a name");
        describe(&folders, &name, within).expect_err("it says nothing that can be read")
    };
    let told = asked("echo 'DeprecationWarning: old' >&2; echo broken >&2; exit 3", PATIENCE);
    assert_eq!(told.to_string(), "fence_odd -o metadata failed with exit status: 3: broken");
    let told = asked("echo '<other/>'", PATIENCE);
    assert!(matches!(told, DescribeError::Unreadable { .. }), "{told:?}");
    for (script, within) in [
        ("sleep 1000 & sleep 1000", Duration::from_millis(300)),
        ("yes '<resource-agent>'", PATIENCE),
    ] {
        let told = asked(script, within);
        assert!(matches!(told, DescribeError::NoAnswer { .. }), "{told:?}");
    }
}
