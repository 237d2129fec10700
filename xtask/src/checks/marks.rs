//! Marks of unfinished work, paths of one machine, and `unsafe`.

use std::path::Path;

use crate::source;
use crate::tree::{File, Finding, Tree};

/// Marks that say "later". Later is an issue, not a line of code.
const LATER: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

/// Beginnings of paths that exist on one machine only.
const PRIVATE: [&str; 4] = ["/home/", "/Users/", "/root/", "/work/"];

/// The file that lists the beginnings above.
const THIS_FILE: &str = "xtask/src/checks/marks.rs";

/// No mark of unfinished work in code or comments, no test that is switched off.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust() || is_script(file)) {
        let text =
            if file.is_rust() { source::code_and_comments(&file.text) } else { file.text.clone() };
        for (at, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if let Some(mark) = words.find(|word| LATER.contains(word)) {
                let text = format!("{mark}: finish it, or describe it in an issue");
                findings.push(Finding::new(&file.path, at + 1, text));
            }
        }
        if file.is_rust() {
            findings.extend(switched_off(file));
        }
    }
    findings
}

fn is_script(file: &File) -> bool {
    file.text.starts_with("#!")
}

/// A test may stand aside only where another one runs it as a process of its own, and says so.
fn switched_off(file: &File) -> Vec<Finding> {
    let code = source::code(&file.text);
    let lines = code.lines().zip(file.text.lines()).enumerate();
    lines
        .filter(|(_, (code, text))| {
            let code: String = code.split_whitespace().collect();
            (code.contains("#[ignore") || code.contains(",ignore)]"))
                && !text.contains("#[ignore = \"a helper process of ")
        })
        .map(|(at, _)| {
            let text = "a test that never runs: repair it, or list it in tests/absent.toml";
            Finding::new(&file.path, at + 1, text)
        })
        .collect()
}

/// `unsafe` stands in the crate `linux` alone, where clippy asks for its reason.
pub fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| file.top() != "linux") {
        let code = source::code(&file.text);
        for (line, _) in source::identifiers(&code).into_iter().filter(|(_, w)| *w == "unsafe") {
            findings.push(Finding::new(&file.path, line, "move the system call to `linux`"));
        }
    }
    findings
}

/// No file names a path of the machine it was written on: neither where this checkout stands nor
/// somebody's home.
pub fn machine_paths(tree: &Tree, root: &Path) -> Vec<Finding> {
    let root = root.to_string_lossy().into_owned();
    let mut refused: Vec<&str> = PRIVATE.to_vec();
    if root.len() > "/tmp".len() {
        refused.push(&root);
    }
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != THIS_FILE) {
        for (at, line) in file.text.lines().enumerate() {
            if let Some(path) = refused.iter().find(|path| starts_a_path(line, path)) {
                let text = format!("names {path}, a path of one machine");
                findings.push(Finding::new(&file.path, at + 1, text));
            }
        }
    }
    findings
}

/// Whether `path` stands in the line as the beginning of a path, not inside a longer one.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}$".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_comments_and_scripts_and_not_in_strings() {
        let mark = LATER[0];
        let rust = format!("// {mark}: this\nlet a = \"{mark}\";\nlet {mark}LIST = 1;\n");
        let script = format!("#!/bin/sh\n# {mark}\n");
        let prose = format!("{mark}\n");
        let tree = Tree::of(&[("a.rs", &rust), ("run", &script), ("b.md", &prose)]);
        let found = unfinished(&tree);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[1].line), (1, 2));
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        let text = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n#[cfg_attr(x, ignore)]\nfn b() {}\n\
                    #[ignore = \"a helper process of the test below\"]\nfn c() {}\n";
        assert_eq!(unfinished(&Tree::of(&[("a.rs", text)])).len(), 2);
    }

    #[test]
    fn unsafe_is_found_outside_linux_only() {
        let tree = Tree::of(&[
            ("linux/src/a.rs", "unsafe { x() }"),
            ("daemon/src/a.rs", "// unsafe\nlet unsafe_count = 1;\nunsafe { x() }"),
        ]);
        let found = unsafe_code(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 3);
    }

    #[test]
    fn paths_of_one_machine_are_found_and_longer_paths_are_not() {
        let home = PRIVATE[0];
        let (bad, good) = (format!("cd {home}x\n"), format!("/srv{home}x and $D{home}x\n"));
        let tree = Tree::of(&[("a.md", &bad), ("b.md", &good), ("c.sh", "x=/opt/tree/y\n")]);
        let found = machine_paths(&tree, Path::new("/opt/tree"));
        let paths: Vec<_> = found.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["a.md", "c.sh"], "{found:?}");
    }
}
