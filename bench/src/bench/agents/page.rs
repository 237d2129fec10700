//! The table of agents, for people.

use serde_json::Value;

use crate::report::{Machine, Row, table};

/// The table alone.
#[must_use]
pub(crate) fn tables(rows: &[&Row]) -> String {
    let line = |row: &&Row| {
        let name = format!("`{}`", row.subject);
        if let Some(error) = &row.error {
            return vec![
                name,
                "-".to_owned(),
                "-".to_owned(),
                format!("not tried: {}", cell(error)),
            ];
        }
        vec![name, meta(row), validation(row), round(row)]
    };
    let head = ["agent", "meta-data", "validation", "start, monitor, kill, stop"];
    let sum = |what: &str, holds: &dyn Fn(&Row) -> bool| {
        let count = rows.iter().filter(|row| holds(row)).count();
        format!("{what} {count}")
    };
    let is = |row: &Row, key: &str| row.more.get(key).is_some_and(Value::is_object);
    let counts = [
        sum("meta-data read:", &|row| text(row, "meta") == Some("read")),
        sum("parameters pass stead's check:", &|row| row.error.is_none() && errors(row).is_empty()),
        sum("and the agent's own:", &|row| text(row, "validate") == Some("")),
        sum("rounds played:", &|row| is(row, "round")),
        sum("passed:", &|row| is(row, "round") && round(row).starts_with("passes")),
    ];
    let lines = rows.iter().map(line).collect();
    format!("{} agents; {}.\n\n{}", rows.len(), counts.join(", "), table(&head, lines))
}

/// The page of the book.
#[must_use]
pub(crate) fn page(machine: Option<&Machine>, rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().collect();
    let conditions = machine.map(Machine::told).unwrap_or_default();
    format!("{HEAD}\n{conditions}\n\n{}", tables(&rows))
}

const HEAD: &str = "\
# Every agent, tried

What stead makes of each agent of Debian's resource-agents, and of those of
pacemaker-resource-agents that can be tried without Pacemaker. Made by `bench/run agents` out of
bench/agents.toml, which has the packages, files and parameters of each.

- **Meta-data**: whether stead can read what the agent says of itself.
- **Validation**: whether the parameters of the list pass stead's own check, and then the agent's
  `validate-all`. What an agent misses there is its program, where Debian has none or it is big.
- **Start, monitor, kill, stop**: a round under `stead executor`, as a node runs it, with its
  keeper. Started; watched for three seconds with a monitor every half second; all its processes
  killed at once (SIGKILL) where it has any, until stead has noticed and it works again; watched;
  stopped, and nothing left. Each with its time in milliseconds, which says something about this
  machine and the agent rather than about stead.
- Where there is no round, the reason stands there.

Each trial has the machine's files under a layer in memory, into which its packages were installed,
and an empty network. One copy, on one node: promotion and copies are not in this table.
";

fn text<'a>(row: &'a Row, key: &str) -> Option<&'a str> {
    row.more.get(key)?.as_str()
}

fn errors(row: &Row) -> Vec<&str> {
    let errors = row.more.get("check").and_then(Value::as_array);
    errors.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Nothing in a cell may end it.
fn cell(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ").replace(['<', '>', '`'], "'")
}

fn meta(row: &Row) -> String {
    text(row, "meta").map_or_else(|| "-".to_owned(), cell)
}

fn validation(row: &Row) -> String {
    let errors = errors(row);
    if !errors.is_empty() {
        return format!("stead: {}", cell(&errors.join("; ")));
    }
    match text(row, "validate") {
        Some("") => "passes both".to_owned(),
        Some(said) => format!("passes stead's; its own: {}", cell(said)),
        None => "passes stead's; it has none of its own".to_owned(),
    }
}

fn round(row: &Row) -> String {
    if let Some(reason) = text(row, "none") {
        return cell(reason);
    }
    let Some(round) = row.more.get("round") else { return "-".to_owned() };
    let number = |key: &str| round.get(key).and_then(Value::as_f64);
    if let Some(failed) = round.get("failed").and_then(Value::as_str) {
        return format!("**fails**: {}", cell(failed));
    }
    let mut parts = Vec::new();
    for (what, key) in [("start", "start_ms"), ("back", "back_ms"), ("stop", "stop_ms")] {
        match number(key) {
            Some(ms) => parts.push(format!("{what} {ms:.0}")),
            None => parts.push("nothing to kill".to_owned()),
        }
    }
    format!("passes: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(name: &str) -> Row {
        let row = Row { bench: super::super::NAME.to_owned(), ..Row::default() };
        Row { subject: name.to_owned(), ..row }.with("meta", "read").with("check", json!([]))
    }

    #[test]
    fn what_failed_and_what_was_not_tried_stands_there_with_its_reason() {
        let passed = json!({ "start_ms": 10.2, "monitor": true, "back_ms": 700.0, "stop_ms": 5.0 });
        let failed = json!({ "start_ms": 10.2, "failed": "stop: a | b" });
        let rows = [
            row("a:passes").with("validate", "").with("round", passed),
            row("a:fails").with("validate", Value::Null).with("round", failed),
            row("a:none").with("validate", "not installed: x").with("none", "needs a cloud"),
            Row { error: Some("no package".to_owned()), ..row("a:broken") },
        ];
        let text = page(None, &rows);
        let lines = [
            "| `a:passes` | read | passes both | passes: start 10, back 700, stop 5 |",
            "| `a:fails` | read | passes stead's; it has none of its own | **fails**: stop: a / b",
            "| `a:none` | read | passes stead's; its own: not installed: x | needs a cloud |",
            "| `a:broken` | - | - | not tried: no package |",
            "4 agents; meta-data read: 4, parameters pass stead's check: 3, and the agent's own: \
             1, rounds played: 2, passed: 1.",
        ];
        for line in lines {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
