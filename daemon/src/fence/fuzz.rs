//! What fence agents print of themselves, broken in masses, and names of agents.

use std::collections::BTreeMap;

use stead_fuzz::target;

use super::{AgentName, MetaData, Outlet, check, outlet_mistake, unable};

/// One of everything that is read.
const EVERYTHING: &str = r#"<?xml version="1.0" ?>
<resource-agent name="fence_apc" shortdesc="Fence agent for APC">
<symlink name="fence_other" shortdesc="Another"/>
<longdesc>Logs in and switches &lt;outlets&gt;.</longdesc><vendor-url></vendor-url>
<parameters>
<parameter name="action" unique="0" required="1"><getopt mixed="-o, --action=[action]"/>
<content type="string" default="reboot"/><shortdesc lang="en">Action</shortdesc></parameter>
<parameter name="ip" required="1" obsoletes="ipaddr"><content type="string"/></parameter>
<parameter name="ipaddr" required="1" deprecated="1"><content type="string"/></parameter>
<parameter name="plug" required="1" obsoletes="port"><content type="string"/></parameter>
<parameter name="port" required="1" deprecated="1"/>
<parameter name="ssh"><content type="boolean"/></parameter>
<parameter name="power_wait"><content type="second" default="0"/></parameter>
<parameter name="method"><content type="select" default="onoff"><option value="onoff"/>
<option value="cycle"/></content></parameter>
</parameters>
<actions><action name="on" automatic="0"/><action name="on" on_target="1" automatic="1"/>
<action name="off"/><action name="status"/><action name="list"/><action name="monitor"/></actions>
</resource-agent>
"#;

/// Pieces that mean something to the reader.
const WORDS: &[&[u8]] = &[
    b"<parameter name=\"plug\" required=\"1\">",
    b"<parameter name=\"port\">",
    b"<parameter name=\"a\" obsoletes=\"plug\">",
    b"</parameter>",
    b"<content type=\"second\" default=\"x\"/>",
    b"<actions>",
    b"</actions>",
    b"<action name=\"off\" on_target=\"1\"/>",
    b"<action name=\"status\"/>",
    b"automatic=\"1\"",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"<!DOCTYPE",
    b"<!ENTITY a \"b\">",
    b"&a;",
    b"&#x110000;",
    b"<a><a><a><a>",
];

#[test]
fn any_bytes_are_meta_data_or_refused() {
    let samples = || {
        let least = b"<resource-agent name=\"a\"/>".to_vec();
        vec![("everything", EVERYTHING.as_bytes().to_vec()), ("least", least)]
    };
    target!("fence-meta-data").samples(samples).words(WORDS).count(20_000).run(|bytes| {
        let meta = match MetaData::read(bytes) {
            Ok(meta) => meta,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return false;
            }
        };
        let _ = meta.cuts_off();
        // Who can't switch off and say so is never taken for one that can.
        let can = |name| meta.action(name).is_some_and(|it| !it.on_target || name == "status");
        assert_eq!(unable(&meta).is_none(), can("off") && can("status"));
        let wrong = outlet_mistake(&meta, &BTreeMap::new(), ("pdu", Some("3")));
        assert!(wrong.is_some() || meta.outlet() != Outlet::None);
        // What is known by name is not unknown, and each name stands there once.
        let all = meta.parameters.iter().map(|it| (it.name.clone(), "1".to_owned()));
        let all: BTreeMap<_, _> = all.collect();
        assert_eq!(all.len(), meta.parameters.len(), "each name once");
        let mistakes = check(&meta, &all, std::iter::empty());
        assert!(mistakes.iter().all(|it| !it.message.is_empty() && !it.help.is_empty()));
        let unknown = |text: &str| text.starts_with("the agent has no parameter");
        assert!(!mistakes.iter().any(|it| unknown(&it.message)), "{mistakes:?}");
        true
    });
}

#[test]
fn any_name_is_that_of_a_file_in_the_folder() {
    let samples = || vec![("name", b"fence_ipmilan".to_vec())];
    let target = target!("fence-agent-name").samples(samples).longest(200);
    let words: &[&[u8]] = &[b"fence_", b"/", b"..", b".", b"\0", b"\n", b"-"];
    target.words(words).count(60_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(name) = text.parse::<AgentName>() else { return false };
        assert_eq!(name.to_string(), text);
        assert!(text.starts_with("fence_") && !text.contains(['/', '.', '\0']), "{text}");
        true
    });
}
