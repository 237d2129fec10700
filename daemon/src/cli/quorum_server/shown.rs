//! What the operator of a quorum server reads.

use crate::cli::look::{Look, Tone, harmless, wrap};
use crate::cli::table::{Cell, table};
use crate::quorum_server::DoneAnswer;
use crate::quorum_server::backup::Restored;
use crate::quorum_server::report::{ClusterReport, ListReport, Trust};

/// So many digits of an id are shown in tables: enough to name a cluster.
const DIGITS: usize = 8;

fn state(cluster: &ClusterReport) -> (Tone, &'static str) {
    match cluster.state {
        Trust::Trusted => (Tone::Good, "trusted"),
        Trust::Distrusted => (Tone::Warn, "distrusted"),
        Trust::Revoked => (Tone::Dim, "revoked"),
    }
}

fn beginning(id: &str) -> &str {
    id.get(..DIGITS).unwrap_or(id)
}

/// All of them.
pub(super) fn list(report: &ListReport, look: Look) -> String {
    let mut text = String::new();
    if report.clusters.is_empty() {
        text.push_str("No cluster is enrolled. To enrol one: stead quorum-server enrol\n");
    } else {
        let heads = ["CLUSTER", "NAME", "STATE", "GRANT", "NODES", "CONNECTED", "SEEN"];
        let row = |it: &ClusterReport| {
            let (tone, state) = state(it);
            vec![
                beginning(&it.cluster).into(),
                it.name.as_str().into(),
                Cell::new(tone, state),
                it.last.to_string().into(),
                it.members.len().to_string().into(),
                it.connections.to_string().into(),
                it.seen.as_deref().unwrap_or("never").into(),
            ]
        };
        let rows: Vec<_> = report.clusters.iter().map(row).collect();
        text.push_str(&table(look, &heads, &rows));
    }
    let distrusted = report.clusters.iter().filter(|it| it.state == Trust::Distrusted).count();
    if distrusted > 0 {
        text.push_str(&format!(
            "\n{distrusted} distrusted: nothing is granted yet. Why, and what to look at:\n\
             stead quorum-server show CLUSTER\n"
        ));
    }
    if !report.tokens.is_empty() {
        text.push('\n');
        let row = |it: &crate::quorum_server::report::TokenReport| {
            let name = it.name.as_deref().unwrap_or("");
            vec![it.number.as_str().into(), name.into(), it.expires.as_str().into()]
        };
        let rows: Vec<_> = report.tokens.iter().map(row).collect();
        text.push_str(&table(look, &["OPEN TOKEN", "NAME", "EXPIRES"], &rows));
    }
    text
}

/// One of them, with everything.
pub(super) fn cluster(report: &ClusterReport, look: Look) -> String {
    let (tone, state) = state(report);
    let holder = report.holder.as_ref().map(|nodes| {
        let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
        format!(", given to the half with node {}", nodes.join(", "))
    });
    let last = format!("{}{}", report.last, holder.unwrap_or_default());
    let answers = format!("{} granted, {} refused", report.granted, report.refused);
    let connections = report.connections.to_string();
    let mut lines = vec![
        ("cluster", report.cluster.as_str()),
        ("name", report.name.as_str()),
        ("state", state),
        ("newest grant", last.as_str()),
        ("answers", answers.as_str()),
        ("connections", connections.as_str()),
        ("last heard", report.seen.as_deref().unwrap_or("never")),
        ("enrolled", report.enrolled.as_str()),
    ];
    for (at, member) in report.members.iter().enumerate() {
        lines.push((if at == 0 { "member keys" } else { "" }, member));
    }
    let mut text = String::new();
    for (name, value) in lines {
        let tone = if name == "state" { tone } else { Tone::Plain };
        text.push_str(&format!("{name:<14}{}\n", look.paint(tone, &harmless(value))));
    }
    if let Some(advice) = report.advice() {
        text.push('\n');
        for line in wrap(advice, look.width) {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

/// That something was done.
pub(super) fn done(answer: &DoneAnswer, what: &str) -> String {
    let DoneAnswer { what: which, name, connections } = answer;
    match name {
        None => format!("{which} is revoked: it can't be used any more.\n"),
        Some(name) => format!(
            "{} ({which}) is {what}.\n{connections} connections were ended.\n",
            harmless(name)
        ),
    }
}

/// What came back.
pub(super) fn restored(restored: &Restored) -> String {
    let Restored { taken, clusters } = restored;
    format!(
        "The registers of {clusters} clusters are as they were at {taken},\n\
         and distrusted: what was granted since is not known, so nothing is granted yet.\n\
         Next: systemctl start stead-quorum-server. Each cluster's coordinator then sets its\n\
         register right by itself, while it has quorum; `stead quorum-server list` shows which\n\
         are trusted again. One that stays distrusted has no quorum now: look at `stead status`\n\
         there. Clusters that were enrolled after the backup have to be enrolled again.\n"
    )
}
