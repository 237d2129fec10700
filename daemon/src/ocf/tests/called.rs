//! How agents are called, what their answers mean, and that the book says the same.

use std::collections::BTreeMap;
use std::path::Path;

use stead_core::time::Span;

use crate::ocf::*;

#[test]
fn names_stay_in_their_folder() {
    let read = |text: &str| text.parse::<AgentName>();
    let nginx = read("ocf:heartbeat:nginx").unwrap();
    assert_eq!(nginx.to_string(), "ocf:heartbeat:nginx");
    assert_eq!(nginx.path(Path::new(ROOT)), Path::new("/usr/lib/ocf/resource.d/heartbeat/nginx"));
    assert_eq!(read("ocf:my.org:Pure-FTPd_2+").unwrap().kind, "Pure-FTPd_2+");
    for (provider, kind) in [
        ("..", "x"),
        ("x", ".."),
        ("x", "."),
        ("x", ".ocf-shellfuncs"),
        ("x", ""),
        ("", "x"),
        ("x", "a/b"),
        ("x", "a\nb"),
        ("x", "a\0"),
        ("x", "a b"),
        ("x", "\u{e9}"),
        ("x", &"y".repeat(101)),
    ] {
        let text = format!("ocf:{provider}:{kind}");
        assert!(matches!(read(&text), Err(NameError::Part { .. })), "{text:?}");
        assert!(!read(&text).unwrap_err().to_string().contains('\n'), "{text:?}");
    }
    for text in ["", "nginx", "heartbeat:nginx", "ocf:nginx", "ocf:a:b:c", "OCF:heartbeat:nginx"] {
        let error = read(text).unwrap_err();
        assert_eq!(error, NameError::Form(text.to_owned()));
        assert!(error.to_string().contains("write ocf:PROVIDER:TYPE"), "{error}");
    }
    assert_eq!(read("systemd:nginx"), Err(NameError::Class("systemd".to_owned())));
    // In messages and files it is its text, and is looked at as such.
    assert_eq!(serde_json::to_string(&nginx).unwrap(), "\"ocf:heartbeat:nginx\"");
    assert_eq!(serde_json::from_str::<AgentName>("\"ocf:heartbeat:nginx\"").unwrap(), nginx);
    assert!(serde_json::from_str::<AgentName>("\"ocf:..:nginx\"").is_err());
}

#[test]
fn the_environment_of_a_call() {
    let name: AgentName = "ocf:heartbeat:IPaddr2".parse().unwrap();
    let written = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let parameters = written(&[("ip", "192.0.2.1"), ("CRM_meta_timeout", "1"), ("a=b", "c")]);
    let more = written(&[("promotable", "true"), ("timeout", "2")]);
    let call = Call {
        timeout: Span::from_millis(1_500),
        interval: Some(Span::from_millis(10_000)),
        check_level: Some(10),
        node: Some("node1"),
        meta: Some(&more),
        tools: Some(Path::new("/usr/lib/tools")),
        temporary: Some(Path::new("/run/there")),
        ..Call::new(&name, "address", "monitor", &parameters)
    };
    let shown = |call: &Call| -> String {
        let all = environment(Path::new(ROOT), call);
        let line = |(name, value): &(std::ffi::OsString, std::ffi::OsString)| {
            format!("{}={}\n", name.display(), value.display())
        };
        all.iter().map(line).collect()
    };
    expect_test::expect![[r#"
        HA_RSCTMP=/run/there
        HA_SBIN_DIR=/usr/lib/tools
        LC_ALL=C.UTF-8
        OCF_CHECK_LEVEL=10
        OCF_EXIT_REASON_PREFIX=ocf-exit-reason:
        OCF_RA_VERSION_MAJOR=1
        OCF_RA_VERSION_MINOR=1
        OCF_RESKEY_CRM_meta_interval=10000
        OCF_RESKEY_CRM_meta_name=monitor
        OCF_RESKEY_CRM_meta_on_node=node1
        OCF_RESKEY_CRM_meta_on_node_uuid=node1
        OCF_RESKEY_CRM_meta_promotable=true
        OCF_RESKEY_CRM_meta_timeout=1500
        OCF_RESKEY_crm_feature_set=3.10.0
        OCF_RESKEY_ip=192.0.2.1
        OCF_RESOURCE_INSTANCE=address
        OCF_RESOURCE_PROVIDER=heartbeat
        OCF_RESOURCE_TYPE=IPaddr2
        OCF_ROOT=/usr/lib/ocf
        PATH=/usr/lib/tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    "#]]
    .assert_eq(&shown(&call));
    let nothing = BTreeMap::new();
    let least = shown(&Call::new(&name, "address", "start", &nothing));
    for lacking in ["HA_", "on_node", "CHECK_LEVEL", "promotable", "_ip="] {
        assert!(!least.contains(lacking), "{least}");
    }
    assert!(least.contains("OCF_RESKEY_CRM_meta_interval=0\n"), "{least}");
}

#[test]
fn codes_have_words() {
    for code in -1..=255 {
        let exit = ExitCode::from(code);
        assert_eq!(exit.code(), code);
        assert!(exit.to_string().contains(&code.to_string()), "{exit}");
    }
    assert_eq!(ExitCode::from(7).to_string(), "it does not run (OCF code 7)");
    assert_eq!(ExitCode::from(42), ExitCode::Other(42));
    assert_eq!(ExitCode::from(42).to_string(), "the agent ended with 42, which means nothing");
}

#[test]
fn only_what_is_known_to_be_harmless_may_run_twice() {
    let of = |name: &str| safety(&name.parse().unwrap());
    for name in ["ocf:heartbeat:nginx", "ocf:heartbeat:Delay", "ocf:pacemaker:Dummy"] {
        assert_eq!(of(name), Safety::Lease, "{name}");
    }
    for kind in [
        "Filesystem",
        "LVM",
        "LVM-activate",
        "ZFS",
        "Raid1",
        "mdraid",
        "pgsql",
        "mysql",
        "mariadb",
        "redis",
        "galera",
        "VirtualDomain",
        "Xen",
        "lxc",
        "docker",
        "podman",
        "iSCSITarget",
        "iSCSILogicalUnit",
        "nfsserver",
        "exportfs",
        "anything",
        "postfix",
        "named",
        "Nginx",
        "x",
    ] {
        assert_eq!(of(&format!("ocf:heartbeat:{kind}")), Safety::Fence, "{kind}");
    }
    // Another's nginx may be anything.
    assert_eq!(of("ocf:mine:nginx"), Safety::Fence);
}

/// The book's page, which is held against the program in both directions.
const PAGE: &str = include_str!("../../../../docs/reference/agents.md");

#[test]
fn the_book_has_the_harmless_ones_the_codes_and_the_variables() {
    let rows = |mark: &str| -> Vec<&str> {
        let rows = PAGE.lines().filter(|line| line.starts_with(&format!("| `{mark}")));
        rows.filter_map(|line| line.split('`').nth(1)).collect()
    };
    let harmless = rows("ocf:");
    assert_eq!(harmless.len(), safety::HARMLESS.len());
    for (provider, kind, reason) in safety::HARMLESS {
        let row = format!("| `ocf:{provider}:{kind}` | {reason} |");
        assert!(PAGE.contains(&row), "{row}");
    }
    for code in (0..=9).chain([190, 191]) {
        let words = ExitCode::from(code).to_string();
        let words = words.strip_suffix(&format!(" (OCF code {code})")).unwrap();
        let row = format!("| {code} | {words} |");
        assert!(PAGE.contains(&row), "{row}");
    }
    let name: AgentName = "ocf:heartbeat:IPaddr2".parse().unwrap();
    let nothing = BTreeMap::new();
    let path = Some(Path::new("/x"));
    let call = Call {
        check_level: Some(0),
        node: Some("node1"),
        tools: path,
        temporary: path,
        ..Call::new(&name, "address", "start", &nothing)
    };
    let set = environment(Path::new(ROOT), &call).into_iter().map(|(name, _)| name);
    let mut set: Vec<_> = set.map(|name| name.into_string().unwrap()).collect();
    let mut told: Vec<_> = ["OCF_", "HA_", "LC_", "PATH"].into_iter().flat_map(rows).collect();
    // Their names are the operator's, or stead's for a moment.
    told.retain(|name| !name.contains('*'));
    told.sort_unstable();
    set.sort();
    assert_eq!(told, set);
}
