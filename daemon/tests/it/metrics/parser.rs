//! A strict reader of Prometheus' text format, version 0.0.4, written from its description and not
//! from the writer under test. What the description leaves open is refused here: a family has its
//! help, its type and at least one sample, in one place, and no sample comes twice.

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// What was read.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
}

#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<(Labels, f64)>,
}

impl Exposition {
    /// The value of the sample with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let labels: Labels = labels.iter().map(own).collect();
        let samples = &self.families.get(name)?.samples;
        samples.iter().find(|(known, _)| *known == labels).map(|(_, value)| *value)
    }

    /// Every family's name, type and labels.
    pub fn names(&self) -> BTreeSet<(String, String, Vec<String>)> {
        let row = |(name, family): (&String, &Family)| {
            let labels = family.samples.iter().flat_map(|(labels, _)| labels.keys().cloned());
            let labels: BTreeSet<String> = labels.collect();
            (name.clone(), family.kind.clone(), labels.into_iter().collect())
        };
        self.families.iter().map(row).collect()
    }
}

/// Reads a whole text.
pub fn parse(text: &str) -> Result<Exposition, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut all = Exposition::default();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let wrong = |what: &str| Err(format!("line {}: {what}: {line}", at + 1));
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|it| it.split_once(' '))
        else {
            return wrong("a family begins with its help");
        };
        if !is_name(name) || help.is_empty() || unescape(help, "\\n").is_none() {
            return wrong("no name or no help");
        }
        let typed = lines.next().map(|(_, line)| line).unwrap_or_default();
        let kind = typed.strip_prefix("# TYPE ").and_then(|it| it.strip_prefix(name));
        let kind = kind.map(str::trim_start).filter(|it| ["counter", "gauge"].contains(it));
        let Some(kind) = kind else { return wrong("its type does not follow") };
        let mut family = Family { kind: kind.to_owned(), samples: Vec::new() };
        while let Some((at, line)) = lines.next_if(|(_, line)| !line.starts_with('#')) {
            let (labels, value) =
                sample(name, line).map_err(|it| format!("line {}: {it}", at + 1))?;
            if family.samples.iter().any(|(known, _)| *known == labels) {
                return Err(format!("line {}: twice: {line}", at + 1));
            }
            if kind == "counter" && (value < 0.0 || value.is_nan()) {
                return Err(format!("line {}: no count: {line}", at + 1));
            }
            family.samples.push((labels, value));
        }
        if family.samples.is_empty() {
            return wrong("a family without samples");
        }
        if all.families.insert(name.to_owned(), family).is_some() {
            return wrong("a family in two places");
        }
    }
    Ok(all)
}

/// Reads `NAME VALUE` or `NAME{LABEL="TEXT",...} VALUE`.
fn sample(name: &str, line: &str) -> Result<(Labels, f64), String> {
    let wrong = |what: &str| Err(format!("{what}: {line}"));
    let Some(mut rest) = line.strip_prefix(name) else { return wrong("another family's sample") };
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let Some((label, after)) = rest.split_once("=\"") else { return wrong("no label") };
            let Some(end) = closing(after) else { return wrong("an open text") };
            let (text, after) = after.split_at(end);
            let Some(value) = unescape(text, "\\\"n") else { return wrong("a bad escape") };
            let first = labels.insert(label.to_owned(), value).is_none();
            if !is_name(label) || label.contains(':') || label.starts_with("__") || !first {
                return wrong("a bad label");
            }
            if let Some(end) = after.strip_prefix("\"}") {
                rest = end;
                break;
            }
            let Some(next) = after.strip_prefix("\",") else { return wrong("no comma") };
            rest = next;
        }
    }
    let Some(value) = rest.strip_prefix(' ') else { return wrong("no blank before the value") };
    match value {
        "NaN" => Ok((labels, f64::NAN)),
        "+Inf" => Ok((labels, f64::INFINITY)),
        "-Inf" => Ok((labels, f64::NEG_INFINITY)),
        number if number.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)) => {
            number.parse().map(|value| (labels, value)).map_err(|_| format!("no number: {line}"))
        }
        _ => wrong("no number"),
    }
}

fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.chars().all(word) && text.starts_with(|c: char| !c.is_ascii_digit())
}

/// Where the quotation mark is that is not escaped.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// The text without its escapes, of which only these may occur.
fn unescape(text: &str, known: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = if c == '\\' {
            let next = chars.next().filter(|next| known.contains(*next))?;
            if next == 'n' { '\n' } else { next }
        } else {
            c
        };
        out.push(plain);
    }
    Some(out)
}
