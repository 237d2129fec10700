//! Why each dependency is there, and where all of them come from.

use toml::{Table, Value};

use crate::tree::{File, Finding, Tree};

/// The only place that crates come from.
const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Every shared dependency has a line of comment right above it that says what it is for.
pub fn argued(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.get("Cargo.toml") else {
        return vec![Finding::new("Cargo.toml", 0, "is missing")];
    };
    let mut findings = Vec::new();
    let (mut inside, mut above) = (false, "");
    for (at, line) in root.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        } else if inside
            && line.contains('=')
            && !line.starts_with('#')
            && !line.contains("path =")
            && !above.starts_with('#')
        {
            let text = "say in a comment line above it what this dependency is for";
            findings.push(Finding::new(&root.path, at + 1, text));
        }
        above = line;
    }
    findings.extend(undeclared(tree));
    findings
}

/// Crates take their dependencies from the workspace, so that each stands in one place.
fn undeclared(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, table) in manifests(tree) {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(Value::Table(entries)) = table.get(section) else { continue };
            for (name, value) in entries {
                if value.get("workspace").and_then(Value::as_bool) != Some(true) {
                    let text = format!("`{name}` must come from the workspace");
                    findings.push(Finding::new(&file.path, 0, text));
                }
            }
        }
    }
    findings
}

/// A pre-release is pinned to the digit: its next one may change everything.
pub fn pinned(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.get("Cargo.toml") else { return Vec::new() };
    let Ok(table) = root.text.parse::<Table>() else {
        return vec![Finding::new("Cargo.toml", 0, "can't be parsed")];
    };
    let shared = table.get("workspace").and_then(|w| w.get("dependencies"));
    let Some(Value::Table(shared)) = shared else { return Vec::new() };
    let mut findings = Vec::new();
    for (name, value) in shared {
        let version = value.as_str().or_else(|| value.get("version").and_then(Value::as_str));
        if version.is_some_and(|v| v.contains('-') && !v.starts_with('=')) {
            findings.push(Finding::new("Cargo.toml", 0, format!("pin `{name}` with `=`")));
        }
    }
    findings
}

/// The lock file names one source of crates.
pub fn sources(tree: &Tree) -> Vec<Finding> {
    let Some(lock) = tree.get("Cargo.lock") else {
        return vec![Finding::new("Cargo.lock", 0, "is missing: commit it")];
    };
    let lines = lock.text.lines().enumerate();
    lines
        .filter(|(_, line)| line.starts_with("source = ") && !line.contains(SOURCE))
        .map(|(at, _)| Finding::new("Cargo.lock", at + 1, "a crate from another place"))
        .collect()
}

fn manifests(tree: &Tree) -> Vec<(&File, Table)> {
    let files = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    files.filter_map(|file| Some((file, file.text.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_its_reason_is_found() {
        let text = "[workspace.dependencies]\nown = { path = \"own\" }\n# for a\na = \"1\"\nb = \
                    \"1\"\n[profile.dev]\nc = 1\n";
        let found = argued(&Tree::of(&[("Cargo.toml", text)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 5);
    }

    #[test]
    fn a_crate_may_not_choose_a_version_itself() {
        let own = "[dependencies]\na = \"1\"\nb.workspace = true\n";
        let tree = Tree::of(&[("Cargo.toml", ""), ("x/Cargo.toml", own)]);
        assert_eq!(argued(&tree).len(), 1);
    }

    #[test]
    fn a_floating_pre_release_is_found() {
        let text = "[workspace.dependencies]\na = \"0.1.0-alpha.1\"\nb = \"=0.1.0-alpha.1\"\nc = \
                    { version = \"2.0.0-rc.1\" }\n";
        assert_eq!(pinned(&Tree::of(&[("Cargo.toml", text)])).len(), 2);
    }

    #[test]
    fn a_crate_from_elsewhere_is_found() {
        let lock = format!("source = \"{SOURCE}\"\nsource = \"git+https://example.org/x\"\n");
        assert_eq!(sources(&Tree::of(&[("Cargo.lock", &lock)])).len(), 1);
        assert_eq!(sources(&Tree::of(&[])).len(), 1);
    }
}
