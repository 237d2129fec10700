//! Texts that must keep up with the code: the reference of `cluster.toml`, and the list of what the
//! tests can't show.

use toml::{Table, Value};

use crate::tree::{Finding, Tree};

const KEYS: &str = "daemon/src/config/keys.rs";
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
    fn an_entry_without_its_reason_is_found() {
        let good = "[[absent]]\nwhat = \"a\"\nwhy = \"b\"\ninstead = \"c\"\n";
        assert_eq!(absent(&Tree::of(&[(ABSENT, good)])), []);
        let bad = "[[absent]]\nwhat = \"a\"\nwhy = \"\"\n";
        assert_eq!(absent(&Tree::of(&[(ABSENT, bad)])).len(), 2);
        assert_eq!(absent(&Tree::of(&[(ABSENT, "[[absent")])).len(), 1);
    }
}
