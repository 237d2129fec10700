//! The report as a screen.

use std::time::Duration;

use super::super::look::{Look, Tone, harmless, wrap};
use super::super::table::{Cell, table};
use crate::api::report::{
    ClusterReport, Concern, CopyReport, FencingState, Level, NodeReport, NodeState, PointReport,
    QuorumReport, ServiceReport, ServiceState, StatusReport,
};
use crate::executor::ResourceView;
use crate::journal::parse;

/// The width of what stands before a detail.
const DETAIL: usize = 13;

/// The screen.
#[must_use]
pub(crate) fn render(report: &StatusReport, look: Look, verbose: bool) -> String {
    let mut text = String::new();
    if report.protected {
        text.push_str(&look.paint(Tone::Good, "Protected. Nothing to do."));
        text.push('\n');
    }
    for problem in &report.problems {
        concern(look, &mut text, problem, &report.taken);
    }
    text.push('\n');
    heading(look, &mut text, report);
    if !report.nodes.is_empty() {
        text.push('\n');
        text.push_str(&nodes(look, report));
    }
    if !report.services.is_empty() {
        text.push('\n');
        text.push_str(&services(look, &report.services));
        if let Some(resources) = resources(look, &report.services) {
            text.push_str(&format!("\n{resources}"));
        }
        if let Some(copies) = copies(look, &report.services) {
            text.push_str(&format!("\n{copies}"));
        }
        if verbose {
            details(look, &mut text, &report.services);
        } else {
            unnoticed(look, &mut text, &report.services);
        }
        printed(look, &mut text, &report.seen_by, &report.services);
    }
    if !report.points.is_empty() {
        text.push('\n');
        text.push_str(&points(look, &report.points));
    }
    if !report.warnings.is_empty() {
        text.push_str(&format!("\n{}\n", look.paint(Tone::Head, "Worth a look")));
        for warning in &report.warnings {
            concern(look, &mut text, warning, &report.taken);
        }
    }
    text
}

fn concern(look: Look, text: &mut String, concern: &Concern, taken: &str) {
    let (head, tone) = match concern.level {
        Level::Outage => ("Outage: ", Tone::Bad),
        Level::Risk => ("Not protected: ", Tone::Warn),
        Level::Note => ("  ", Tone::Plain),
    };
    let mut what = harmless(&concern.what);
    if let Some(since) = &concern.since {
        what.push_str(&format!(", since {}", ago(since, taken)));
    }
    if concern.level != Level::Note {
        what.push('.');
    }
    let room = look.width.saturating_sub(head.len());
    for (number, line) in wrap(&what, room).iter().enumerate() {
        let head = if number == 0 { head } else { "    " };
        text.push_str(&look.paint(tone, &format!("{head}{line}")));
        text.push('\n');
    }
    let indent = if concern.level == Level::Note { "    " } else { "  " };
    let room = look.width.saturating_sub(indent.len() + 4);
    for (number, line) in wrap(&harmless(&concern.next), room).iter().enumerate() {
        let head = if number == 0 { "Do: " } else { "    " };
        text.push_str(&format!("{indent}{}{line}\n", look.paint(Tone::Dim, head)));
    }
}

/// A time of day, the date where it is another day's, and how long ago that was.
fn ago(since: &str, taken: &str) -> String {
    let (Some(from), Some(to)) = (parse(since), parse(taken)) else { return since.to_owned() };
    let gone = to.duration_since(from).unwrap_or(Duration::ZERO);
    let (day, time) = since.split_once('T').unwrap_or(("", since));
    let time = time.get(..8).unwrap_or(time);
    let day = if taken.starts_with(day) { String::new() } else { format!("{day} ") };
    // Its parts belong together.
    format!("{day}{time} UTC ({})", long(gone)).replace(' ', "\u{a0}")
}

fn long(gone: Duration) -> String {
    match gone.as_secs() {
        0..120 => format!("{} s", gone.as_secs()),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn heading(look: Look, text: &mut String, report: &StatusReport) {
    let ClusterReport { name, revision, epoch, coordinator, term, .. } = &report.cluster;
    let coordinator = match coordinator {
        Some(node) => format!("{node} coordinates (term {term})"),
        None => format!("nobody coordinates (term {term})"),
    };
    let name = if name.is_empty() { "(not known yet)" } else { name };
    let cluster = format!("{name}, revision {revision}, view {epoch}; {coordinator}");
    let QuorumReport { verdict, voters, present, needed, spare, .. } = &report.quorum;
    let may = match spare {
        0 => "none of them may fail".to_owned(),
        spare => format!("{spare} of them may fail"),
    };
    let quorum =
        format!("{verdict}: {present} of {voters} voters are here, {needed} are needed; {may}");
    let time = report.taken.replace('T', " ");
    let seen = format!("{} at {} UTC", report.seen_by, time.get(..19).unwrap_or(&time));
    for (head, line) in [("Cluster", cluster), ("Quorum", quorum), ("Seen by", seen)] {
        let head = look.paint(Tone::Dim, &format!("{head:<8}"));
        text.push_str(&format!("{head}{}\n", harmless(&line)));
    }
}

fn nodes(look: Look, report: &StatusReport) -> String {
    let mut links: Vec<&str> =
        report.nodes.iter().flat_map(|it| it.links.iter().map(|it| it.name.as_str())).collect();
    links.sort_unstable();
    links.dedup();
    let titles: Vec<String> = links.iter().map(|link| link.to_uppercase()).collect();
    let mut heads = vec!["NODE", "SITE", "STATE"];
    heads.extend(titles.iter().map(String::as_str));
    heads.extend(["DAEMON", "GUARD", "VERSION", "GATE", "KEEPER"]);
    let fencing = report.nodes.iter().any(|node| node.fencing.is_some());
    heads.extend(fencing.then_some("FENCING"));
    let watchdogs = report.nodes.iter().any(|node| node.watchdog.is_some());
    heads.extend(watchdogs.then_some("WATCHDOG"));
    heads.push("REAL TIME");
    let row = |node: &NodeReport| {
        let mut row = vec![
            node.name.as_str().into(),
            node.site.as_deref().unwrap_or_default().into(),
            state(node),
        ];
        let own = node.name == report.seen_by;
        row.extend(links.iter().map(|link| heard(node, link, own)));
        row.push(works(node.daemon));
        row.push(works(node.guard));
        row.push(node.version.as_deref().unwrap_or_default().into());
        row.push(node.gate.as_deref().unwrap_or_default().into());
        row.push(match (&node.keeper, &node.keeper_reason) {
            (Some(keeper), Some(_)) => Cell::new(Tone::Warn, keeper.clone()),
            (Some(keeper), None) => keeper.as_str().into(),
            (None, _) => "".into(),
        });
        row.extend(fencing.then(|| switched(node, &report.taken)));
        row.extend(watchdogs.then(|| watchdog(node)));
        row.push(match (node.realtime, &node.realtime_reason) {
            (Some(true), _) => Cell::new(Tone::Good, "yes"),
            (Some(false), Some(reason)) => Cell::new(Tone::Warn, format!("no: {reason}")),
            (Some(false), None) => Cell::new(Tone::Warn, "no"),
            (None, _) => "".into(),
        });
        row
    };
    let rows: Vec<Vec<Cell>> = report.nodes.iter().map(row).collect();
    table(look, &heads, &rows)
}

/// Whether a node can be switched off, and how long ago that was seen.
fn switched(node: &NodeReport, taken: &str) -> Cell {
    let Some(it) = &node.fencing else { return "none".into() };
    let gone = it.proven.as_deref().and_then(parse).zip(parse(taken)).map(|(from, to)| {
        format!("{} ago", long(to.duration_since(from).unwrap_or(Duration::ZERO)))
    });
    match it.state {
        FencingState::Proven => {
            Cell::new(Tone::Good, format!("proven {}", gone.unwrap_or_default()))
        }
        FencingState::Unproven => Cell::new(
            Tone::Warn,
            gone.map_or("never tried".to_owned(), |gone| format!("old: {gone}")),
        ),
        FencingState::Failed => Cell::new(Tone::Warn, "fails"),
        FencingState::Doubted => Cell::new(Tone::Warn, "not believed"),
        FencingState::UnderWay => Cell::new(Tone::Warn, "under way"),
        FencingState::Off => Cell::new(Tone::Dim, "is off"),
        FencingState::CutOff => Cell::new(Tone::Warn, "cut off: boot it"),
    }
}

/// To what a node's watchdog counts, and whether anybody relies on that.
fn watchdog(node: &NodeReport) -> Cell {
    let Some(it) = &node.watchdog else { return "".into() };
    // Without its path, which `--json` has.
    let device = it.device.as_deref().and_then(|device| device.split(" (").next());
    match it.timeout_s {
        Some(seconds) if it.relied_on => {
            Cell::new(Tone::Good, format!("{seconds} s, {}", device.unwrap_or("unnamed")))
        }
        Some(seconds) => Cell::new(Tone::Warn, format!("{seconds} s, not relied on")),
        None if node.state == NodeState::InView => Cell::new(Tone::Warn, "no"),
        None => Cell::new(Tone::Dim, "?"),
    }
}

/// Which node sees which reference point.
fn points(look: Look, points: &[PointReport]) -> String {
    let nodes: Vec<String> = points
        .first()
        .map(|point| point.nodes.iter().map(|it| it.node.to_uppercase()).collect())
        .unwrap_or_default();
    let mut heads = vec!["POINT", "NETWORK"];
    heads.extend(nodes.iter().map(String::as_str));
    let row = |point: &PointReport| {
        let mut row = vec![point.point.as_str().into(), point.network.as_str().into()];
        row.extend(point.nodes.iter().map(|seen| {
            let tone = match seen.sees.as_str() {
                "answers" => Tone::Good,
                "again" => Tone::Warn,
                "unknown" => Tone::Dim,
                _ => Tone::Bad,
            };
            Cell::new(tone, if seen.sees == "unknown" { "?" } else { seen.sees.as_str() })
        }));
        row
    };
    table(look, &heads, &points.iter().map(row).collect::<Vec<_>>())
}

fn state(node: &NodeReport) -> Cell {
    let mut text = node.state.to_string();
    if node.satellite {
        text.push_str(", satellite");
    }
    if node.standby {
        text.push_str(", standby");
    }
    if node.stopped {
        text.push_str(", stopped");
    }
    if node.quarantine.is_some() {
        text.push_str(", quarantine");
    }
    let tone = match node.state {
        NodeState::InView if node.standby || node.stopped || node.quarantine.is_some() => {
            Tone::Warn
        }
        NodeState::InView => Tone::Good,
        NodeState::Suspect | NodeState::Coming | NodeState::NotJoined => Tone::Warn,
        NodeState::Down => Tone::Bad,
    };
    Cell::new(tone, text)
}

fn heard(node: &NodeReport, link: &str, own: bool) -> Cell {
    let Some(link) = node.links.iter().find(|it| it.name == link) else { return "".into() };
    match (link.up, link.heard_ms) {
        (None, _) => Cell::new(Tone::Dim, "?"),
        (Some(true), Some(ms)) if !own => Cell::new(Tone::Good, format!("up {ms:.0} ms")),
        (Some(true), _) => Cell::new(Tone::Good, "up"),
        (Some(false), Some(ms)) => {
            let gone = Duration::from_secs_f64(ms.max(0.0) / 1_000.0);
            Cell::new(Tone::Bad, format!("silent {}", long(gone)))
        }
        (Some(false), None) => Cell::new(Tone::Bad, "silent"),
    }
}

fn works(works: Option<bool>) -> Cell {
    match works {
        Some(true) => Cell::new(Tone::Good, "ok"),
        Some(false) => Cell::new(Tone::Bad, "away"),
        None => Cell::new(Tone::Dim, "?"),
    }
}

fn services(look: Look, services: &[ServiceReport]) -> String {
    let row = |service: &ServiceReport| {
        let tone = match service.state {
            _ if service.maintenance.is_some() => Tone::Warn,
            ServiceState::Stopped if service.stopped => Tone::Warn,
            ServiceState::Runs | ServiceState::Held => Tone::Good,
            ServiceState::Starting | ServiceState::Stopping | ServiceState::Unknown => Tone::Warn,
            ServiceState::Conflict | ServiceState::Stopped | ServiceState::Lost => Tone::Bad,
        };
        let program = match (service.program, service.monitor) {
            (false, false) => "",
            (true, false) => "runs, not monitored",
            (_, true) => match service.verified {
                Some(true) => "monitor is good",
                Some(false) => "monitor not yet good",
                None => "monitored there",
            },
        };
        vec![
            service.name.as_str().into(),
            Cell::new(tone, state_of(service)),
            service.node.as_deref().unwrap_or("-").into(),
            service.epoch.to_string().into(),
            if service.state.serves() {
                answers(program, service.answer_ms).into()
            } else {
                "".into()
            },
            service.addresses.join(" ").into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = services.iter().map(row).collect();
    table(look, &["SERVICE", "STATE", "NODE", "EPOCH", "PROGRAM", "ADDRESSES"], &rows)
}

/// How long its monitor's newest answer took, behind what is said of that.
fn answers(program: &str, took: Option<f64>) -> String {
    took.map_or_else(|| program.to_owned(), |took| format!("{program}, {took:.0} ms"))
}

fn state_of(service: &ServiceReport) -> String {
    match (service.stopped, &service.maintenance) {
        (_, Some(_)) => format!("{}, maintenance", service.state),
        (true, None) if service.state == ServiceState::Stopped => "stopped by operator".to_owned(),
        (_, None) => service.state.to_string(),
    }
}

/// What services consist of that are more than one program and run here.
fn resources(look: Look, services: &[ServiceReport]) -> Option<String> {
    let row = |service: &ServiceReport, part: &ResourceView| {
        let tone = match part.stage.as_str() {
            "works" if !part.unwell => Tone::Good,
            "stuck" => Tone::Bad,
            _ => Tone::Warn,
        };
        let failed = match &part.reason {
            Some(reason) if part.unwell => format!("left as it is: {reason}"),
            Some(reason) if part.failures > 0 => format!("{} times: {reason}", part.failures),
            Some(reason) if ["killing", "stuck"].contains(&&*part.stage) => reason.clone(),
            Some(_) | None => String::new(),
        };
        vec![
            service.name.as_str().into(),
            part.name.as_str().into(),
            Cell::new(tone, stage(part)),
            part.agent.as_str().into(),
            failed.into(),
        ]
    };
    let rows = services.iter().flat_map(|it| it.resources.iter().map(move |part| row(it, part)));
    let rows: Vec<Vec<Cell>> = rows.collect();
    let heads = ["SERVICE", "RESOURCE", "STATE", "AGENT", "FAILED"];
    (!rows.is_empty()).then(|| table(look, &heads, &rows))
}

fn stage(part: &ResourceView) -> String {
    let stage = if part.unwell { "failing" } else { &part.stage };
    if part.promoted { format!("{stage}, promoted") } else { stage.to_owned() }
}

/// Where copies of services run.
fn copies(look: Look, services: &[ServiceReport]) -> Option<String> {
    let row = |service: &ServiceReport, copy: &CopyReport| {
        let tone = match copy.state.as_str() {
            "promoted" | "runs" => Tone::Good,
            "starting" => Tone::Warn,
            _ => Tone::Bad,
        };
        vec![
            service.name.as_str().into(),
            copy.node.as_str().into(),
            Cell::new(tone, copy.state.clone()),
            copy.score.map_or_else(|| "-".to_owned(), |score| score.to_string()).into(),
            copy.reason.as_deref().unwrap_or_default().into(),
        ]
    };
    let rows = services.iter().flat_map(|it| it.copies.iter().map(move |copy| row(it, copy)));
    let rows: Vec<Vec<Cell>> = rows.collect();
    (!rows.is_empty())
        .then(|| table(look, &["SERVICE", "COPY ON", "STATE", "SCORE", "REASON"], &rows))
}

/// What programs that failed here printed last.
fn printed(look: Look, text: &mut String, here: &str, services: &[ServiceReport]) {
    for service in services.iter().filter(|it| !it.output.is_empty()) {
        let head = format!("{} failed on {here}; the last that it printed:", service.name);
        text.push_str(&format!("{}\n", harmless(&head)));
        for line in &service.output {
            let line: String = harmless(line).chars().take(look.width.saturating_sub(2)).collect();
            text.push_str(&look.paint(Tone::Dim, &format!("  {line}")));
            text.push('\n');
        }
    }
}

/// All that is known of each service and stands in no column.
fn details(look: Look, text: &mut String, services: &[ServiceReport]) {
    for service in services {
        text.push_str(&format!("\n{}\n", look.paint(Tone::Head, &harmless(&service.name))));
        let counts = service.counts_as.as_ref().map(|it| format!(", counts as {it}"));
        let importance = format!("{}{}", service.importance, counts.unwrap_or_default());
        let mut lines = vec![("importance", importance)];
        lines.extend(service.visit.iter().map(|it| ("for a while", it.clone())));
        lines.extend(service.lowered.iter().map(|it| ("names", it.clone())));
        if !service.needs.is_empty() {
            lines.push(("needs", service.needs.join(", ")));
        }
        if let Some(took) = service.answer_ms {
            lines.push(("answers in", format!("{took:.1} ms")));
        }
        lines.extend(service.noticed.iter().map(|it| ("noticed", it.clone())));
        lines.extend(service.unnoticed.iter().map(|it| ("not noticed", it.clone())));
        for (head, line) in lines {
            let room = look.width.saturating_sub(DETAIL + 2);
            for (number, line) in wrap(&harmless(&line), room).iter().enumerate() {
                let head = if number == 0 { head } else { "" };
                let head = look.paint(Tone::Dim, &format!("  {head:<DETAIL$}"));
                text.push_str(&format!("{head}{line}\n"));
            }
        }
    }
}

/// Which failures nobody would notice, together for services with the same gap.
fn unnoticed(look: Look, text: &mut String, services: &[ServiceReport]) {
    let mut gaps: Vec<(&str, Vec<&str>)> = Vec::new();
    for service in services {
        for gap in &service.unnoticed {
            match gaps.iter_mut().find(|(known, _)| known == gap) {
                Some((_, names)) => names.push(&service.name),
                None => gaps.push((gap, vec![&service.name])),
            }
        }
    }
    for (gap, names) in gaps {
        let line = format!("Not noticed of {}: {gap}", names.join(", "));
        for (number, line) in
            wrap(&harmless(&line), look.width.saturating_sub(2)).iter().enumerate()
        {
            let indent = if number == 0 { "" } else { "  " };
            text.push_str(&look.paint(Tone::Dim, &format!("{indent}{line}")));
            text.push('\n');
        }
    }
}
