//! What `crm_mon --output-as=xml` shows, as far as agents look: an element a line, its attributes
//! in Pacemaker's order, for they search with regular expressions.

use std::fmt::Write;

use super::{ResourceAnswer, ToolsAnswer};

/// A text as the value of an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The role of a running resource.
pub(super) fn role(resource: &ResourceAnswer, promoted: bool) -> &'static str {
    match (resource.promotable, promoted) {
        (true, true) => "Promoted",
        (true, false) => "Unpromoted",
        (false, _) => "Started",
    }
}

/// Writes it; with the root of before 2.0 if that was asked for.
pub(super) fn write(all: &ToolsAnswer, old: bool, out: &mut String) {
    let root =
        if old { "crm_mon version=\"2.1.5\"" } else { "pacemaker-result api-version=\"2.26\"" };
    // A text can always be written to.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    line(format_args!("<{root}>"));
    line(format_args!("  <nodes>"));
    for node in &all.nodes {
        let runs = |it: &&ResourceAnswer| it.nodes.contains_key(&node.name);
        line(format_args!(
            "    <node name=\"{}\" id=\"{}\" online=\"{}\" standby=\"{}\" standby_onfail=\"false\" \
             maintenance=\"false\" pending=\"false\" unclean=\"false\" shutdown=\"false\" \
             expected_up=\"true\" is_dc=\"{}\" resources_running=\"{}\" type=\"member\"/>",
            escaped(&node.name),
            node.number,
            node.online,
            node.standby,
            node.coordinates,
            all.resources.iter().filter(runs).count(),
        ));
    }
    line(format_args!("  </nodes>"));
    line(format_args!("  <resources>"));
    for resource in &all.resources {
        for (node, promoted) in &resource.nodes {
            line(format_args!(
                "    <resource id=\"{}\" resource_agent=\"{}\" role=\"{}\" active=\"true\" \
                 orphaned=\"false\" blocked=\"false\" managed=\"true\" failed=\"false\" \
                 failure_ignored=\"false\" nodes_running_on=\"1\">",
                escaped(&resource.instance),
                escaped(&resource.agent),
                role(resource, *promoted),
            ));
            let number = all.nodes.iter().find(|it| it.name == *node).map_or(0, |it| it.number);
            let name = escaped(node);
            line(format_args!("      <node name=\"{name}\" id=\"{number}\" cached=\"true\"/>"));
            line(format_args!("    </resource>"));
        }
    }
    line(format_args!("  </resources>"));
    line(format_args!("</{}>", if old { "crm_mon" } else { "pacemaker-result" }));
}

#[cfg(test)]
mod tests {
    use super::super::NodeAnswer;
    use super::*;

    #[test]
    fn it_is_what_agents_search_for() {
        let node = |name: &str, number, online| NodeAnswer {
            name: name.to_owned(),
            number,
            online,
            ..NodeAnswer::default()
        };
        let all = ToolsAnswer {
            node: "a".to_owned(),
            nodes: vec![node("a", 1, true), node("b", 2, false)],
            resources: vec![ResourceAnswer {
                instance: "db.pg".to_owned(),
                agent: "ocf:heartbeat:pgsql".to_owned(),
                promotable: true,
                nodes: [("a".to_owned(), true)].into(),
            }],
            ..ToolsAnswer::default()
        };
        let mut out = String::new();
        write(&all, false, &mut out);
        let document = roxmltree::Document::parse(&out).expect("it is XML");
        let of = |name: &str| document.descendants().filter(|it| it.has_tag_name(name)).count();
        assert_eq!((of("node"), of("resource")), (3, 1));
        // As redis and pgsql do, with `grep -E`.
        let has = |parts: &[&str]| {
            out.lines().any(|line| {
                let mut rest = line;
                parts.iter().all(|part| match rest.split_once(part) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                })
            })
        };
        assert!(has(&[
            "resource",
            "id=\"db.pg\"",
            " role=\"Promoted\"",
            " active=\"true\"",
            " orphaned=\"false\"",
            " failed=\"false\""
        ]));
        assert!(has(&["<node name=\"a\" ", " online=\"true\""]));
        assert!(has(&["<node name=\"b\" ", " online=\"false\""]));
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
