//! What the TOML parser has to say, in the words of the other problems.
//!
//! The parser goes on after a mistake and then complains about what follows from it. Of each line
//! only the first complaint is kept, and below a table that stands twice none about its keys.

use std::ops::Range;

use toml::de::Error;

use super::problem::{Findings, LISTED};
use super::section::shown;

/// What the parser calls a key or table that stands twice.
const DUPLICATE: &str = "duplicate key";

/// Notes the parser's errors. The answer tells whether the rest of the file could be read all the
/// same: so it is if keys or tables only stand twice.
pub(super) fn note(errors: &[Error], findings: &mut Findings) -> bool {
    let text = findings.text().to_owned();
    let mut places: Vec<(Range<usize>, &Error)> = errors
        .iter()
        .map(|error| (error.span().unwrap_or(text.len()..text.len()), error))
        .collect();
    places.sort_by_key(|(at, _)| at.start);
    let readable = errors.iter().all(|error| error.message() == DUPLICATE);
    let mut noted_line = None;
    let mut doubled_table = false;
    for (at, error) in places {
        if noted_line.as_ref().is_some_and(|noted: &Range<usize>| at.start <= noted.end) {
            continue;
        }
        let line = line_of(&text, at.start);
        let content = text.get(line.clone()).unwrap_or("");
        let duplicate = error.message() == DUPLICATE;
        let header = content.trim_start().starts_with('[');
        // Below a doubled table each of its keys stands twice as well.
        let new_table = noted_line.as_ref().is_some_and(|noted| {
            let between = text.get(noted.end..line.start).unwrap_or("");
            between.lines().any(|line| line.trim_start().starts_with('['))
        });
        doubled_table &= !new_table && !header;
        if duplicate && doubled_table {
            continue;
        }
        doubled_table |= duplicate && header;
        if duplicate {
            note_duplicate(&text, &at, &line, findings);
        } else {
            findings.error(&at, format!("not TOML: {}", complaint(error)), hint(content));
        }
        noted_line = Some(line);
    }
    readable
}

fn note_duplicate(text: &str, at: &Range<usize>, line: &Range<usize>, findings: &mut Findings) {
    let content = text.get(line.clone()).unwrap_or("").trim();
    let name = shown(text.get(at.clone()).unwrap_or(""));
    let (message, help) = if content.starts_with('[') {
        (
            format!("the table {} stands twice", shown(content)),
            "give one of the two another name, or put their keys into one table",
        )
    } else {
        (format!("the key `{name}` stands twice in its table"), "keep one of the two lines")
    };
    // Looking back takes as long as the file is, and what isn't listed needs no second place.
    let first = if findings.errors() < LISTED { earlier(text, at, line) } else { None };
    let problem = findings.error(at, message, help);
    if let Some(first) = first {
        problem.compare("again here", &first, "first here");
    }
}

/// Where the key or the table stood before, found by the look of its line.
fn earlier(text: &str, at: &Range<usize>, line: &Range<usize>) -> Option<Range<usize>> {
    let content = text.get(line.clone())?.trim();
    let key = text.get(at.clone()).filter(|key| !key.is_empty())?;
    let header = content.starts_with('[');
    let mut end = line.start;
    while end > 0 {
        let before = line_of(text, end - 1);
        let content_before = text.get(before.clone())?.trim_start();
        let indent = before.len() - content_before.len();
        let start = before.start + indent;
        if header && content_before.trim_end() == content {
            let offset = content.rfind(key).unwrap_or(0);
            return Some(start + offset..start + offset + key.len());
        }
        let rest = content_before.strip_prefix(key).map(str::trim_start);
        if !header && rest.is_some_and(|rest| rest.starts_with('=')) {
            return Some(start..start + key.len());
        }
        if !header && content_before.starts_with('[') {
            return None;
        }
        end = before.start;
    }
    None
}

/// The line of an offset, without its end.
fn line_of(text: &str, offset: usize) -> Range<usize> {
    let offset = text.floor_char_boundary(offset);
    let (before, after) = text.split_at(offset);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let end = after.find('\n').map_or(text.len(), |end| offset + end);
    start..end
}

/// The parser's words, without the names that its grammar has for what it expected.
fn complaint(error: &Error) -> String {
    match error.message().split_once(", expected ") {
        Some((what, expected)) if !expected.contains('`') => shown(what),
        Some(_) | None => shown(error.message()),
    }
}

/// A guess at what makes the line unreadable.
fn hint(line: &str) -> String {
    let line = line.trim();
    let value = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    let Some((key, value)) = value else {
        return if line.starts_with('[') {
            "a table begins with a line like  [nodes.node1]".to_owned()
        } else if line.contains(':') {
            "between a key and its value stands a = , as in  site = \"east\"".to_owned()
        } else {
            "a line sets a key, like  site = \"east\" , or begins a table, like  [nodes.node1]"
                .to_owned()
        };
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:/-_ ".contains(c);
    if !value.is_empty() && value.chars().all(plain) && value.len() < 100 {
        return format!("a text stands in quotes:  {} = \"{value}\"", shown(key));
    }
    if value.is_empty() {
        return "the value is missing after the =".to_owned();
    }
    if value.chars().filter(|c| *c == '"').count() % 2 == 1 {
        return "a quote is opened and not closed, or closed and not opened".to_owned();
    }
    for (open, close) in [('[', ']'), ('{', '}')] {
        let count = |wanted: char| value.chars().filter(|c| *c == wanted).count();
        if count(open) != count(close) {
            return format!("`{open}` and `{close}` don't match in this line");
        }
    }
    "see the reference of cluster.toml for the form of every value".to_owned()
}
