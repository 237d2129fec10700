//! Who may depend on whom, and what the core may not touch.

use toml::{Table, Value};

use crate::source;
use crate::tree::{File, Finding, Tree};

/// The crate's folder, its package, and the folders it may depend on. A crate that is not listed is
/// a finding: a new one is argued for here first.
const ALLOWED: [(&str, &str, &[&str]); 13] = [
    ("core", "stead-core", &[]),
    ("linux", "stead-linux", &["fuzz"]),
    ("log", "stead-log", &["core", "fuzz"]),
    ("lab", "stead-lab", &["linux"]),
    ("edge", "stead-edge", &["core"]),
    // its tests stand on the lab
    ("redirect", "stead-redirect", &["core", "linux", "edge", "lab", "fuzz"]),
    ("sim", "stead-sim", &["core", "log"]),
    ("model", "stead-model", &["core"]),
    (
        "daemon",
        "stead",
        &["core", "log", "linux", "lab", "edge", "redirect", "sim", "fuzz", "histogram"],
    ),
    ("bench", "stead-bench", &["core", "daemon", "lab", "linux", "log"]),
    // for their tests: links nothing, and in an ordinary build depends on nothing
    ("fuzz", "stead-fuzz", &[]),
    // in the place of a crate that openraft asks for
    ("histogram", "base2histogram", &[]),
    ("xtask", "xtask", &[]),
];

/// What the core may link. All of it is built without `std`.
const CORE_LINKS: [&str; 2] = ["serde", "libm"];

/// Names that only `std` has; a mention in the core means that purity was lost.
const STD_ONLY: [&str; 5] = ["std", "HashMap", "HashSet", "SystemTime", "println"];

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Every edge between our crates is an allowed one.
pub fn edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, manifest) in manifests(tree, &mut findings) {
        let folder = file.top();
        let Some((_, package, may)) = ALLOWED.iter().find(|(name, ..)| *name == folder) else {
            findings.push(Finding::new(&file.path, 0, "not in the list of crates and their edges"));
            continue;
        };
        let name = manifest.get("package").and_then(|p| p.get("name")).and_then(Value::as_str);
        if name != Some(package) {
            findings.push(Finding::new(&file.path, 0, format!("the package must be `{package}`")));
        }
        for (section, name, _) in dependencies(&manifest) {
            let Some((to, ..)) = ALLOWED.iter().find(|(_, package, _)| *package == name) else {
                continue;
            };
            if !may.contains(to) {
                let text = format!("`{folder}` may not depend on `{to}` ({section})");
                findings.push(Finding::new(&file.path, line_of(&file.text, &name), text));
            }
        }
    }
    findings
}

/// openraft is named by the crate `log` alone, in manifests and in source.
pub fn consensus(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, manifest) in manifests(tree, &mut findings) {
        for (_, name, _) in dependencies(&manifest) {
            if name.starts_with("openraft") && file.top() != "log" {
                let line = line_of(&file.text, &name);
                findings.push(Finding::new(&file.path, line, "only `log` may use openraft"));
            }
        }
    }
    for file in tree.rust().filter(|file| file.top() != "log") {
        let code = source::code(&file.text);
        for (line, word) in source::identifiers(&code) {
            if word.starts_with("openraft") {
                findings.push(Finding::new(&file.path, line, "only `log` may name openraft"));
            }
        }
    }
    findings
}

/// The core is `no_std`, links only what is too, and names nothing that needs an operating system.
pub fn core_is_pure(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    match tree.get("core/src/lib.rs") {
        None => findings.push(Finding::new("core/src/lib.rs", 0, "is missing")),
        Some(file) if !source::code(&file.text).contains("#![no_std]") => {
            findings.push(Finding::new(&file.path, 1, "must say #![no_std]"));
        }
        Some(_) => {}
    }
    for (file, manifest) in manifests(tree, &mut findings) {
        if file.top() != "core" {
            continue;
        }
        for (section, name, _) in dependencies(&manifest) {
            if section != "dev-dependencies" && !CORE_LINKS.contains(&name.as_str()) {
                let text = format!("the core may not link `{name}`");
                findings.push(Finding::new(&file.path, line_of(&file.text, &name), text));
            }
        }
    }
    findings.extend(core_links_without_std(tree));
    for file in tree.rust().filter(|file| file.path.starts_with("core/src/")) {
        findings.extend(std_names(file));
    }
    findings
}

/// What the core links is declared with `default-features = false`.
fn core_links_without_std(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.get("Cargo.toml") else {
        return vec![Finding::new("Cargo.toml", 0, "is missing")];
    };
    let Ok(manifest) = root.text.parse::<Table>() else { return Vec::new() };
    let shared = manifest.get("workspace").and_then(|w| w.get("dependencies"));
    let with_std = CORE_LINKS.iter().filter(|name| {
        shared.and_then(|s| s.get(**name)).is_some_and(|dependency| {
            dependency.get("default-features").and_then(Value::as_bool) != Some(false)
                && **name != "libm"
        })
    });
    with_std
        .map(|name| {
            let text = format!("`{name}` is linked by the core: default-features = false");
            Finding::new("Cargo.toml", line_of(&root.text, name), text)
        })
        .collect()
}

/// Names of `std` in the part of a file that is shipped; tests stand at its end.
fn std_names(file: &File) -> Vec<Finding> {
    let code = source::code(&file.text);
    let tests = code.find("#[cfg(test)]").unwrap_or(code.len());
    let is_test_file = file.path.ends_with("/tests.rs");
    if is_test_file {
        return Vec::new();
    }
    source::identifiers(&code[..tests])
        .into_iter()
        .filter(|(_, word)| STD_ONLY.contains(word))
        .map(|(line, word)| {
            Finding::new(&file.path, line, format!("the core may not use `{word}`"))
        })
        .collect()
}

/// Every crate takes the workspace's lints; `linux` has its own, since it may say `unsafe`.
pub fn lints(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, manifest) in manifests(tree, &mut findings) {
        let inherits = manifest
            .get("lints")
            .and_then(|l| l.get("workspace"))
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let reasoned = manifest
            .get("lints")
            .and_then(|l| l.get("clippy"))
            .and_then(|c| c.get("undocumented_unsafe_blocks"))
            .and_then(Value::as_str)
            == Some("deny");
        let own = file.top() == "linux" && reasoned;
        if !inherits && !own {
            findings.push(Finding::new(&file.path, 0, "must say [lints] workspace = true"));
        }
    }
    findings
}

/// The crates' manifests, parsed; one that can't be parsed is a finding.
fn manifests<'a>(tree: &'a Tree, findings: &mut Vec<Finding>) -> Vec<(&'a File, Table)> {
    let mut found = Vec::new();
    for file in &tree.files {
        if !file.path.ends_with("/Cargo.toml") {
            continue;
        }
        match file.text.parse::<Table>() {
            Ok(table) => found.push((file, table)),
            Err(error) => findings.push(Finding::new(&file.path, 0, error.message())),
        }
    }
    found
}

/// Section, name and declaration of every dependency, those for single targets included.
fn dependencies(manifest: &Table) -> Vec<(&'static str, String, Value)> {
    let mut tables = vec![manifest.clone()];
    if let Some(Value::Table(targets)) = manifest.get("target") {
        tables.extend(targets.values().filter_map(Value::as_table).cloned());
    }
    let mut found = Vec::new();
    for table in tables {
        for section in SECTIONS {
            let Some(Value::Table(entries)) = table.get(section) else { continue };
            for (key, value) in entries {
                let renamed = value.get("package").and_then(Value::as_str);
                found.push((section, renamed.unwrap_or(key).to_owned(), value.clone()));
            }
        }
    }
    found
}

fn line_of(text: &str, name: &str) -> usize {
    text.lines().position(|line| line.starts_with(name)).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(package: &str, dependencies: &str) -> String {
        format!("[package]\nname = \"{package}\"\n[dependencies]\n{dependencies}\n")
    }

    #[test]
    fn an_edge_against_the_direction_is_found_with_its_line() {
        let core = manifest("stead-core", "serde.workspace = true\nstead-log.workspace = true");
        let found = edges(&Tree::of(&[("core/Cargo.toml", &core)]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].text.contains("`log`")), (5, true));
    }

    #[test]
    fn dev_and_target_dependencies_are_edges_too_and_renaming_hides_none() {
        let text = "[package]\nname = \"stead-linux\"\n[dev-dependencies]\nx = { package = \
                    \"stead\" }\n[target.'cfg(unix)'.dependencies]\nstead-lab = \"1\"\n";
        assert_eq!(edges(&Tree::of(&[("linux/Cargo.toml", text)])).len(), 2);
    }

    #[test]
    fn nothing_may_depend_on_the_daemon_and_new_crates_need_a_place() {
        let lab = manifest("stead-lab", "stead.workspace = true\nstead-linux.workspace = true");
        assert_eq!(edges(&Tree::of(&[("lab/Cargo.toml", &lab)])).len(), 1);
        let new = manifest("stead-new", "");
        assert_eq!(edges(&Tree::of(&[("new/Cargo.toml", &new)])).len(), 1);
        let good = manifest("stead", "stead-core.workspace = true\nstead-lab.workspace = true");
        assert_eq!(edges(&Tree::of(&[("daemon/Cargo.toml", &good)])), []);
    }

    #[test]
    fn a_manifest_that_is_not_toml_is_a_finding() {
        assert_eq!(edges(&Tree::of(&[("core/Cargo.toml", "[package")])).len(), 1);
    }

    #[test]
    fn consensus_is_found_in_code_and_not_in_words_about_it() {
        let tree = Tree::of(&[
            ("log/src/lib.rs", "use openraft::Raft;"),
            ("daemon/src/a.rs", "// openraft\nlet x = \"openraft\";\nuse openraft_rt::Rt;"),
        ]);
        let found = consensus(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("daemon/src/a.rs", 3));
    }

    #[test]
    fn the_core_may_use_std_in_tests_only() {
        let root =
            "[workspace.dependencies]\nserde = { version = \"1\", default-features = false }";
        let lib = "#![no_std]\nuse core::fmt;\n#[cfg(test)]\nextern crate std;\n";
        let good = [("Cargo.toml", root), ("core/src/lib.rs", lib)];
        assert_eq!(core_is_pure(&Tree::of(&good)), []);
        let bad = [good[0], good[1], ("core/src/a.rs", "use std::time::Duration;\n")];
        assert_eq!(core_is_pure(&Tree::of(&bad)).len(), 1);
        assert_eq!(core_is_pure(&Tree::of(&[good[0], ("core/src/lib.rs", "")])).len(), 1);
        let std_serde = [("Cargo.toml", "[workspace.dependencies]\nserde = \"1\""), good[1]];
        assert_eq!(core_is_pure(&Tree::of(&std_serde)).len(), 1);
    }

    #[test]
    fn only_linux_may_have_lints_of_its_own() {
        let own = "[lints.clippy]\nundocumented_unsafe_blocks = \"deny\"\n";
        assert_eq!(lints(&Tree::of(&[("linux/Cargo.toml", own)])), []);
        assert_eq!(lints(&Tree::of(&[("lab/Cargo.toml", own)])).len(), 1);
        assert_eq!(lints(&Tree::of(&[("lab/Cargo.toml", "[lints]\nworkspace = true")])), []);
    }
}
