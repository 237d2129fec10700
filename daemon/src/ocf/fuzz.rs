//! What agents print, broken in masses, and names of agents.

use std::collections::BTreeMap;
use std::path::Path;

use stead_fuzz::target;

use super::{AgentName, MetaData, ROOT, check};
use crate::config::Severity;

/// One of everything that is read.
const EVERYTHING: &str = r#"<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="web" version="2.1">
<version>1.1</version>
<longdesc lang="en">Serves &lt;much&gt;.</longdesc><shortdesc lang="en">Serves</shortdesc>
<parameters>
<parameter name="port" unique="1" required="1"><longdesc lang="en">A port</longdesc>
<content type="integer" default="80"/></parameter>
<parameter name="mode" unique-group="a" reloadable="1">
<deprecated><replaced-with name="way"/></deprecated>
<content type="select"><option value="fast"/></content></parameter>
<parameter name="way" obsoletes="port"><content type="time" default="20s"/></parameter>
</parameters>
<actions>
<action name="start" timeout="40s"/><action name="promote" timeout="1min"/>
<action name="demote"/><action name="monitor" depth="10" timeout="20" interval="10s"
 start-delay="1s" role="Master"/>
</actions>
</resource-agent>
"#;

/// Pieces that mean something to the reader.
const WORDS: &[&[u8]] = &[
    b"<parameter name=\"a\">",
    b"<parameter name=\"port\" obsoletes=\"mode\">",
    b"</parameter>",
    b"<content type=\"",
    b"<actions>",
    b"</actions>",
    b"<action name=\"monitor\" interval=\"99999999999999999999h\"/>",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"<!DOCTYPE",
    b"<!ENTITY a \"b\">",
    b"&a;",
    b"&#0;",
    b"&#x110000;",
    b"xmlns:a=\"b\"",
    b"a:b",
    b"required=\"1\"",
    b"\xef\xbb\xbf",
    b"<a><a><a><a>",
];

#[test]
fn any_bytes_are_meta_data_or_refused() {
    let samples = || {
        let least = b"<resource-agent name=\"a\"/>".to_vec();
        vec![("everything", EVERYTHING.as_bytes().to_vec()), ("least", least)]
    };
    target!("meta-data").samples(samples).words(WORDS).count(20_000).run(|bytes| {
        let meta = match MetaData::read(bytes) {
            Ok(meta) => meta,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return false;
            }
        };
        // All that is known can be written, and what is known by name is not unknown.
        let _ = meta.is_promotable();
        let all = meta.parameters.iter().map(|it| (it.name.clone(), "1".to_owned()));
        let all: BTreeMap<_, _> = all.collect();
        assert_eq!(all.len(), meta.parameters.len(), "each name once");
        let wrong = check(&meta, &all);
        assert!(wrong.iter().all(|it| it.severity == Severity::Warning), "{wrong:?}");
        assert!(wrong.iter().all(|it| !it.message.is_empty() && !it.help.is_empty()));
        true
    });
}

#[test]
fn any_name_stays_in_the_folder() {
    let samples = || vec![("name", b"ocf:heartbeat:nginx".to_vec())];
    let target = target!("agent-name").samples(samples).longest(200);
    let words: &[&[u8]] = &[b"ocf:", b":", b"/", b"..", b".", b"\0", b"\n"];
    target.words(words).count(60_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(name) = text.parse::<AgentName>() else { return false };
        assert_eq!(name.to_string(), text);
        let path = name.path(Path::new(ROOT));
        let normal = |part: std::path::Component| matches!(part, std::path::Component::Normal(_));
        let below = path.strip_prefix("/usr/lib/ocf/resource.d").expect("below its folder");
        assert!(below.components().all(normal) && below.components().count() == 2, "{path:?}");
        true
    });
}
