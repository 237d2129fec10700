//! One scenario as it ran: who answered when, what was down, what was said. And a table of it.

use serde::{Deserialize, Serialize};

use super::tables::{shown, table};
use super::{Machine, Row, Session, lanes};

/// The bench whose rows hold timelines.
const BENCH: &str = "timelines";
/// The key of a row that holds one.
pub const TIMELINE: &str = "timeline";
/// The key of a row that says what it is of.
const SCENARIO: &str = "scenario";

/// Times are milliseconds since the fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// What happens.
    pub title: String,
    /// When it begins.
    pub from_ms: f64,
    /// When it ends.
    pub to_ms: f64,
    /// Nodes, machines and lines between them, clients.
    pub lanes: Vec<Lane>,
    /// What happened at one moment, in the order of time.
    pub marks: Vec<Mark>,
}

/// One thing over the whole time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// What it belongs to, such as a site. Lanes that follow each other share it.
    pub group: String,
    /// Its name there; empty if it is all there is of the group.
    pub name: String,
    /// What it did.
    pub bars: Vec<Bar>,
}

/// A time in which something stayed as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// Since when.
    pub from_ms: f64,
    /// Until when.
    pub to_ms: f64,
    /// How it was.
    pub shows: Shows,
    /// In a word, shown where there is room.
    pub text: String,
}

/// How something was for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// A node answered for that service, or its client was answered.
    Answers(String),
    /// It worked.
    Up,
    /// It did not.
    Down,
    /// A client got no answer.
    Silence,
}

/// What happened at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub ms: f64,
    /// The numbers of the lanes that it happened to.
    pub lanes: Vec<usize>,
    /// Of what kind it is.
    pub about: About,
    /// What it is.
    pub text: String,
}

/// What a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// What was done to the cluster.
    Fault,
    /// Who may go on.
    Quorum,
    /// Who answers clients.
    Service,
}

/// A row's timeline, and what it is of.
fn of(row: &Row) -> Option<(String, Timeline)> {
    let scenario = row.more.get(SCENARIO)?.as_str()?.to_owned();
    let timeline = Timeline::deserialize(row.more.get(TIMELINE)?).ok()?;
    Some((scenario, timeline))
}

/// A picture of each timeline of a session, with the scenario's name.
#[must_use]
pub fn pictures(session: &Session) -> Vec<(String, String)> {
    let rows = session.rows.iter().filter(|row| row.bench == BENCH);
    let drawn = rows.filter_map(|row| {
        let (scenario, timeline) = of(row)?;
        Some((scenario, lanes::draw(&timeline, &note(row, session.machine.as_ref()))))
    });
    drawn.collect()
}

/// Under which conditions it ran.
fn note(row: &Row, machine: Option<&Machine>) -> String {
    let ran = machine.map_or_else(String::new, |machine| {
        let Machine { began, cores, kernel, versions, .. } = machine;
        let version = |name: &str| versions.get(name).map_or("unknown", String::as_str);
        let (stead, commit) = (version("stead"), version("commit"));
        format!(" stead {stead} ({commit}), {cores} cores, Linux {kernel}, begun {began}.")
    });
    format!("One run of real daemons in network namespaces: {}.{ran}", row.config)
}

/// What came of each scenario.
pub(super) fn tables(rows: &[&Row]) -> String {
    let line = |row: &&Row| {
        let text = |key: &str| row.more.get(key).and_then(|it| it.as_str()).unwrap_or("-");
        let ms = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), shown);
        let outage = |service: &str| {
            ms(row.more.get("outages_ms").and_then(|all| all.get(service)?.as_f64()))
        };
        let granted = row.number("granted").map_or_else(|| "-".to_owned(), |it| it.to_string());
        let good = row.error.clone().unwrap_or_else(|| "-".to_owned());
        let [web, api] = ["web", "api"].map(outage);
        vec![text(SCENARIO).to_owned(), web, api, ms(row.double_ms), granted, good]
    };
    let head =
        ["scenario", "web's client waits ms", "api's", "two answered ms", "grants", "went wrong"];
    table(&head, rows.iter().map(line).collect())
}
