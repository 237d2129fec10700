//! Every odd form of meta-data that real agents have, and what is said of what was written.

use std::collections::BTreeMap;

use stead_core::time::Span;

use crate::config::Severity;
use crate::ocf::*;

/// The usual frame of an agent of API 1.0 around its parameters.
fn agent(parameters: &str) -> MetaData {
    let xml = format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE resource-agent SYSTEM \"ra-api-1.dtd\">\n\
         <resource-agent name=\"web\" version=\"2.1\">\n<version>1.0</version>\n\
         <longdesc lang=\"en\">\nServes.\n\nMuch.\n</longdesc>\n\
         <shortdesc lang=\"en\">Serves\n  the web</shortdesc>\n\
         <parameters>{parameters}</parameters>\n<actions>\n\
         <action name=\"start\" timeout=\"40s\" />\n\
         <action name=\"monitor\" depth=\"0\" timeout=\"20\" interval=\"10s\" />\n\
         <action name=\"monitor\" depth=\"10\" timeout=\"1min\" interval=\"500ms\" />\n\
         </actions>\n</resource-agent>\n"
    );
    MetaData::read(xml.as_bytes()).expect(&xml)
}

fn only(parameter: &str) -> Parameter {
    let meta = agent(parameter);
    assert_eq!(meta.parameters.len(), 1, "{parameter}");
    meta.parameters[0].clone()
}

#[test]
fn the_usual_form() {
    let meta = agent("");
    assert_eq!((meta.name.as_str(), meta.version.as_str()), ("web", "2.1"));
    assert_eq!(meta.api_version, "1.0");
    assert_eq!(
        (meta.shortdesc.as_str(), meta.longdesc.as_str()),
        ("Serves the web", "Serves.\n\nMuch.")
    );
    let times: Vec<_> = meta.actions.iter().map(|it| (it.timeout, it.interval, it.depth)).collect();
    let millis = |millis| Some(Span::from_millis(millis));
    assert_eq!(
        times,
        [
            (millis(40_000), None, None),
            (millis(20_000), millis(10_000), Some(0)),
            (millis(60_000), millis(500), Some(10)),
        ]
    );
    assert_eq!(meta.action("monitor").unwrap().depth, Some(0));
    assert_eq!(meta.action("stop"), None);
    assert!(!meta.is_promotable());
}

#[test]
fn parameters_of_api_1_0() {
    let it = only(
        "<parameter name=\"port\" unique=\"1\" required=\"1\"><longdesc lang=\"de\">Tor</longdesc>\
         <longdesc lang=\"en\">A port &lt;of&gt; the server &amp; more</longdesc>\
         <shortdesc lang=\"en\">Port</shortdesc>\
         <content type=\"integer\" default=\"80\"/></parameter>",
    );
    assert!(it.required && it.unique && !it.deprecated && !it.reloadable);
    assert_eq!((it.kind, it.default.as_deref()), (Kind::Integer, Some("80")));
    assert_eq!(it.longdesc, "A port <of> the server & more");
}

#[test]
fn parameters_of_api_1_1() {
    let it = only(
        "<parameter name=\"mode\" unique-group=\"a\" reloadable=\"1\">\
         <deprecated><replaced-with name=\"way\"/><replaced-with name=\"path\"/>\
         <desc lang=\"en\">Old</desc></deprecated>\
         <content type=\"select\" default=\"fast\"><option value=\"fast\"/>\
         <option value=\"safe\"/></content></parameter>",
    );
    assert!(it.unique && it.deprecated && it.reloadable && !it.required);
    assert_eq!(it.unique_group.as_deref(), Some("a"));
    assert_eq!(it.replaced_with, ["way", "path"]);
    assert_eq!(it.kind, Kind::Select(vec!["fast".to_owned(), "safe".to_owned()]));
}

#[test]
fn parameters_in_the_form_of_fence_agents() {
    let meta = agent(
        "<parameter name=\"ipaddr\" required=\"1\" deprecated=\"1\"><content type=\"string\"/>\
         </parameter><parameter name=\"ip\" required=\"1\" obsoletes=\"ipaddr\"/>",
    );
    assert!(meta.parameters[0].deprecated);
    assert_eq!(meta.parameters[0].replaced_with, ["ip"]);
    assert!(!meta.parameters[1].deprecated);
    // Either will do.
    let given = |name: &str| check(&meta, &BTreeMap::from([(name.to_owned(), "x".to_owned())]));
    assert_eq!(given("ip"), []);
    let [old] = &given("ipaddr")[..] else { panic!("{:?}", given("ipaddr")) };
    assert_eq!((old.severity, old.help.as_str()), (Severity::Warning, "write `ip` instead"));
    assert_eq!(check(&meta, &BTreeMap::new()).len(), 1);
}

#[test]
fn what_is_lacking_gets_what_pacemaker_assumes() {
    let it = only("<parameter name=\"x\"/>");
    assert!(!it.required && !it.unique && !it.deprecated);
    assert_eq!((it.kind, it.default), (Kind::String, None));
    // Without a name nothing can be said to it.
    assert_eq!(agent("<parameter><content type=\"string\"/></parameter>").parameters, []);
    // The same one twice is one.
    only("<parameter name=\"x\"/><parameter name=\"x\" required=\"1\"/>");
    assert_eq!(
        only("<parameter name=\"x\"><content type=\"Port\"/></parameter>").kind,
        Kind::Other("Port".to_owned())
    );
    let bare = MetaData::read(b"<resource-agent/>").unwrap();
    assert_eq!(bare, MetaData::default());
}

#[test]
fn odd_forms_around_it() {
    let read = |text: &str| MetaData::read(text.as_bytes());
    // An empty line first, a byte order mark, comments, no declaration, single quotes.
    for text in [
        "\n\n<?xml version=\"1.0\" ?>\n<resource-agent name=\"a\"/>",
        "\u{feff}<?xml version='1.0' encoding='UTF-8'?><resource-agent name='a'/>\n\n",
        "<!-- one --><resource-agent name=\"a\"><!-- two --></resource-agent><!-- three -->",
        "<!DOCTYPE resource-agent SYSTEM \"x.dtd\" []><resource-agent name=\"a\" xml:lang=\"en\"/>",
    ] {
        assert_eq!(read(text).expect(text).name, "a", "{text}");
    }
    let cdata = "<resource-agent><longdesc><![CDATA[ 1 < 2 ]]></longdesc></resource-agent>";
    assert_eq!(read(cdata).unwrap().longdesc, "1 < 2");
    // Times that nobody can read are not there; roles have the words of either version.
    let roles = "<resource-agent><actions>\
                 <action name=\"promote\" timeout=\"soon\" depth=\"-1\"/><action name=\"demote\"/>\
                 <action name=\"monitor\" role=\"Master\"/>\
                 <action name=\"monitor\" role=\"Slave\"/>\
                 <action name=\"monitor\" role=\"Promoted\" start-delay=\"10s\"/><action/>\
                 </actions></resource-agent>";
    let meta = read(roles).unwrap();
    assert!(meta.is_promotable());
    assert_eq!((meta.actions[0].timeout, meta.actions[0].depth), (None, None));
    let roles: Vec<_> = meta.actions.iter().filter_map(|it| it.role.as_deref()).collect();
    assert_eq!(roles, ["Promoted", "Unpromoted", "Promoted"]);
    assert_eq!(meta.actions[4].start_delay, Some(Span::from_millis(10_000)));
}

#[test]
fn what_is_no_meta_data_is_refused_in_words() {
    let refused = |bytes: &[u8]| MetaData::read(bytes).unwrap_err().to_string();
    assert_eq!(refused(b""), "its meta-data are not XML");
    assert_eq!(refused(b"usage: web {start|stop}"), "its meta-data are not XML");
    assert_eq!(refused(b"<resource-agent>"), "its meta-data are not XML");
    assert_eq!(refused(b"<html/>"), "what it printed is <html>, not <resource-agent>");
    assert_eq!(
        refused(b"<a>\xe4</a>"),
        "its meta-data are not UTF-8: byte 3 is the first that is wrong"
    );
    let entities = b"<!DOCTYPE a [<!ENTITY x \"ha\">]><resource-agent>&x;</resource-agent>";
    assert_eq!(refused(entities), "its meta-data declare XML entities, which are not read");
    assert_eq!(refused(&vec![b' '; 300 * 1024]), "its meta-data are longer than 256 KiB");
    // Neither deep nor wide ones hold the reader up.
    assert_eq!(refused("<a>".repeat(80_000).as_bytes()), "its meta-data are not XML");
    let wide = format!("<resource-agent>{}</resource-agent>", "<a/>".repeat(60_000));
    assert_eq!(refused(wide.as_bytes()), "its meta-data are not XML");
}

/// What is said of parameters that were written as `name=value`.
fn said(meta: &MetaData, written: &[&str]) -> Vec<String> {
    let pairs = written.iter().map(|it| it.split_once('=').expect("name=value"));
    let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let line = |it: Mistake| {
        let mark = if it.severity == Severity::Error { "error" } else { "warning" };
        format!("{mark}: {}; {}", it.message, it.help)
    };
    check(meta, &parameters).into_iter().map(line).collect()
}

#[test]
fn what_is_said_of_what_was_written() {
    let meta = agent(
        "<parameter name=\"configfile\" required=\"1\"><shortdesc>the file</shortdesc></parameter>\
         <parameter name=\"nic\" required=\"1\"><content default=\"eth0\"/></parameter>\
         <parameter name=\"port\"><content type=\"integer\" default=\"80\"/></parameter>\
         <parameter name=\"loud\"><content type=\"boolean\" default=\"false\"/></parameter>\
         <parameter name=\"wait\"><content type=\"time\"/></parameter>\
         <parameter name=\"mode\"><content type=\"select\"><option value=\"fast\"/>\
         <option value=\"safe\"/></content></parameter>\
         <parameter name=\"hosts\"><content type=\"integer\" default=\"a b\"/></parameter>",
    );
    let fine = ["configfile=/x", "port=-1", "loud=TRUE", "wait=20s", "mode=safe", "trace_ra=1"];
    assert_eq!(said(&meta, &fine), [""; 0]);
    // Its own default is of another type: the type means nothing.
    assert_eq!(said(&meta, &["configfile=/x", "hosts=c"]), [""; 0]);
    let known = "configfile, nic, port, loud, wait, mode, hosts";
    assert_eq!(
        said(&meta, &["ConfigFil=/x", "zzz=1", "CRM_meta_timeout=1"]),
        [
            "error: `CRM_meta_timeout` is set by stead itself; remove it".to_owned(),
            format!(
                "error: the agent has no parameter `ConfigFil`; did you mean `configfile`? Its \
                 parameters are: {known}"
            ),
            format!(
                "error: the agent has no parameter `zzz`; remove it; the agent's parameters are: \
                 {known}"
            ),
            "error: the agent needs the parameter `configfile`; give `configfile` a value: the file"
                .to_owned(),
        ]
    );
    assert_eq!(said(&meta, &["configfile="]).len(), 1);
    assert_eq!(said(&meta, &["configfile=a\0b"]).len(), 1);
    assert_eq!(
        said(&meta, &["configfile=x", "port=80x", "loud=Yes", "wait=soon", "mode=saef"]),
        [
            "warning: `loud` should be yes or no, says the agent, not `Yes`; write `true`: agents \
             take this word for no",
            "warning: `mode` should be one of a list, says the agent, not `saef`; did you mean \
             `safe`? It takes: fast, safe",
            "warning: `port` should be a whole number, says the agent, not `80x`; write a whole \
             number, such as 10",
            "warning: `wait` should be a length of time, says the agent, not `soon`; write a \
             number and a unit, such as `20s` or `2min`",
        ]
    );
}
