//! Texts that must keep up with the code: the reference of `cluster.toml`, and the list of what the
//! tests can't show.

use toml::{Table, Value};

use crate::tree::{Finding, Tree};

const KEYS: &str = "daemon/src/config/keys.rs";
const ARGUED: &str = "docs/decisions/0039-keys.md";
const REFERENCE: &str = "docs/reference/cluster.toml.md";
const ABSENT: &str = "tests/absent.toml";

/// Every key that the reader of `cluster.toml` knows stands in the reference.
pub fn keys(tree: &Tree) -> Vec<Finding> {
    let (Some(keys), Some(reference)) = (tree.get(KEYS), tree.get(REFERENCE)) else {
        return vec![Finding::new(KEYS, 0, format!("it or {REFERENCE} is missing"))];
    };
    let declared: Vec<_> = keys
        .text
        .lines()
        .enumerate()
        .flat_map(|(at, line)| declared(line).into_iter().map(move |key| (at + 1, key)))
        .collect();
    if declared.is_empty() {
        return vec![Finding::new(KEYS, 0, "no keys were found: has their form changed?")];
    }
    let known = |key: &str| {
        reference.text.contains(&format!("`{key}`")) || reference.text.contains(&format!("[{key}"))
    };
    declared
        .into_iter()
        .filter(|(_, key)| !known(key))
        .map(|(line, key)| Finding::new(KEYS, line, format!("`{key}` is not in {REFERENCE}")))
        .collect()
}

/// Each table of the file has as many keys as its decision record argues for: a new one needs a
/// reason there.
pub fn argued_keys(tree: &Tree) -> Vec<Finding> {
    let (Some(keys), Some(argued)) = (tree.get(KEYS), tree.get(ARGUED)) else {
        return vec![Finding::new(KEYS, 0, format!("it or {ARGUED} is missing"))];
    };
    let (mut table, mut counts) = (String::new(), Vec::new());
    for line in keys.text.lines() {
        if let Some((name, _)) =
            line.strip_prefix("pub(super) const ").and_then(|it| it.split_once(": &[Key]"))
        {
            name.clone_into(&mut table);
            counts.push((table.clone(), 0));
        }
        if let Some((_, count)) = counts.last_mut() {
            *count += declared(line).len();
        }
    }
    let said = |name: &str| {
        let row = argued.text.lines().find(|line| line.starts_with(&format!("| `{name}` |")))?;
        row.split('|').nth(3)?.trim().parse::<usize>().ok()
    };
    let mut findings: Vec<_> = counts
        .iter()
        .filter(|(name, count)| said(name) != Some(*count))
        .map(|(name, count)| {
            let text = match said(name) {
                Some(said) => {
                    format!("{said} keys of `{name}` are argued for, and there are {count}")
                }
                None => format!("the {count} keys of `{name}` are not argued for"),
            };
            Finding::new(ARGUED, 0, text)
        })
        .collect();
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    if !argued.text.contains(&format!("**{all} keys**")) {
        findings.push(Finding::new(ARGUED, 0, format!("it does not say: **{all} keys**")));
    }
    println!("      cluster.toml has {all} keys in {} tables", counts.len());
    findings
}

/// The keys that a line of the table of keys declares: `"name": "example"`.
fn declared(line: &str) -> Vec<&str> {
    let Some((before, rest)) = line.split_once("\": \"") else { return Vec::new() };
    let Some((_, key)) = before.rsplit_once('"') else { return Vec::new() };
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    if is_key && !rest.is_empty() { vec![key] } else { Vec::new() }
}

/// Every entry of the list says what is absent, why, and what is done instead.
pub fn absent(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.get(ABSENT) else {
        return vec![Finding::new(ABSENT, 0, "is missing")];
    };
    let table: Table = match file.text.parse() {
        Ok(table) => table,
        Err(error) => return vec![Finding::new(ABSENT, 0, error.to_string())],
    };
    let entries = table.get("absent").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut findings = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        for key in ["what", "why", "instead"] {
            if entry.get(key).and_then(Value::as_str).is_none_or(str::is_empty) {
                let text = format!("entry {} does not say `{key}`", number + 1);
                findings.push(Finding::new(ABSENT, 0, text));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_reference_lacks_is_found() {
        let keys_file = "keys! {\n    \"ride-out\": \"ride-out = 1\",\n\
                         \x20   \"links\": \"[links]\",\n\
                         \x20   \"new\": \"new = 1\",\n};\n";
        let tree = Tree::of(&[(KEYS, keys_file), (REFERENCE, "## [links.NAME]\n| `ride-out` |\n")]);
        let found = keys(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 4);
    }

    #[test]
    fn keys_that_can_not_be_found_at_all_are_a_finding() {
        let tree = Tree::of(&[(KEYS, "struct Other;"), (REFERENCE, "")]);
        assert_eq!(keys(&tree).len(), 1);
        assert_eq!(keys(&Tree::of(&[])).len(), 1);
    }

    #[test]
    fn a_key_that_nobody_argued_for_is_found() {
        let keys = "pub(super) const FILE: &[Key] = keys! {\n    \"a\": \"[a]\",\n};\n\
                    pub(super) const LINK: &[Key] = keys! { \"port\": \"port = 7744\" };\n";
        let found = |argued: &str| argued_keys(&Tree::of(&[(KEYS, keys), (ARGUED, argued)])).len();
        let good = "**2 keys**\n| `FILE` | a | 1 | b |\n| `LINK` | a | 1 | b |\n";
        assert_eq!(found(good), 0);
        assert_eq!(found(&good.replace("| 1 | b |\n| `L", "| 2 | b |\n| `L")), 1);
        assert_eq!(found("**3 keys**\n| `FILE` | a | 1 | b |\n"), 2);
        assert_eq!(argued_keys(&Tree::of(&[(KEYS, keys)])).len(), 1);
    }

    #[test]
    fn an_entry_without_its_reason_is_found() {
        let good = "[[absent]]\nwhat = \"a\"\nwhy = \"b\"\ninstead = \"c\"\n";
        assert_eq!(absent(&Tree::of(&[(ABSENT, good)])), []);
        let bad = "[[absent]]\nwhat = \"a\"\nwhy = \"\"\n";
        assert_eq!(absent(&Tree::of(&[(ABSENT, bad)])).len(), 2);
        assert_eq!(absent(&Tree::of(&[(ABSENT, "[[absent")])).len(), 1);
    }
}
