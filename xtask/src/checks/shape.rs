//! Lengths of files and lines, and the page that opens a folder.

use std::collections::BTreeMap;

use crate::tree::{Finding, Tree};

/// The longest file, in lines.
const FILE_LINES: usize = 500;
/// The longest line, in characters.
const LINE_CHARS: usize = 100;
/// The shortest page that can say what a folder is for, in lines with text.
const PAGE_LINES: usize = 4;

/// Files that are allowed to be longer, with their length. The list may only shrink: a file that
/// got shorter must be recorded as such, and one that is short enough must leave.
const LONG_FILES: &[(&str, usize)] = &[];

/// No Rust file is longer than [`FILE_LINES`].
pub fn file_length(tree: &Tree) -> Vec<Finding> {
    judge_lengths(tree, LONG_FILES)
}

fn judge_lengths(tree: &Tree, exceptions: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        let excepted = exceptions.iter().find(|(path, _)| *path == file.path).map(|(_, n)| *n);
        let text = match excepted {
            None if lines > FILE_LINES => format!("{lines} lines; at most {FILE_LINES}: split it"),
            Some(_) if lines <= FILE_LINES => "is short enough: remove its exception".to_owned(),
            Some(n) if lines > n => format!("grew from {n} to {lines} lines: split it instead"),
            Some(n) if lines < n => format!("shrank from {n}: record {lines} in its exception"),
            None | Some(_) => continue,
        };
        findings.push(Finding::new(&file.path, 0, text));
    }
    let gone = exceptions.iter().filter(|(path, _)| tree.get(path).is_none());
    findings.extend(gone.map(|(path, _)| Finding::new(path, 0, "is gone: remove its exception")));
    findings
}

/// No line of Rust is longer than [`LINE_CHARS`].
pub fn line_length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (at, line) in file.text.lines().enumerate() {
            let chars = line.chars().count();
            if chars > LINE_CHARS {
                let text = format!("{chars} characters; at most {LINE_CHARS}");
                findings.push(Finding::new(&file.path, at + 1, text));
            }
        }
    }
    findings
}

/// Every folder of source opens with a `lib.rs`, `main.rs` or `mod.rs` that begins with its page.
/// Folders of tests open as they like.
pub fn pages(tree: &Tree) -> Vec<Finding> {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in tree.rust() {
        let Some((folder, name)) = file.path.rsplit_once('/') else { continue };
        let is_source = folder.ends_with("/src") || folder.contains("/src/");
        if is_source && !folder.ends_with("/tests") {
            folders.entry(folder).or_default().push(name);
        }
    }
    let mut findings = Vec::new();
    for (folder, names) in folders {
        let wanted: &[&str] =
            if folder.ends_with("/src") { &["lib.rs", "main.rs"] } else { &["mod.rs"] };
        let openers: Vec<_> = wanted.iter().filter(|name| names.contains(name)).collect();
        if openers.is_empty() && !folder.ends_with("/src/bin") {
            findings.push(Finding::new(folder, 0, "has no file that opens it with a page"));
        }
        for opener in openers {
            findings.extend(page(tree, &format!("{folder}/{opener}")));
        }
    }
    findings
}

fn page(tree: &Tree, path: &str) -> Option<Finding> {
    let file = tree.get(path)?;
    let lines = file.text.lines().take_while(|line| line.starts_with("//!"));
    let with_text = lines.filter(|line| line.trim().len() > "//!".len()).count();
    (with_text < PAGE_LINES).then(|| {
        let text = format!(
            "must begin with a page of at least {PAGE_LINES} lines (what it is for, happy path, \
             failures, what is deliberately absent); has {with_text}"
        );
        Finding::new(path, 1, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_an_exception_may_only_shrink() {
        let (long, short) = ("x\n".repeat(501), "x\n".repeat(500));
        let tree = Tree::of(&[("a/src/long.rs", &long), ("a/src/short.rs", &short)]);
        assert_eq!(judge_lengths(&tree, &[]).len(), 1);
        assert_eq!(judge_lengths(&tree, &[("a/src/long.rs", 501)]), []);
        for wrong in [("a/src/long.rs", 500), ("a/src/long.rs", 502), ("a/src/gone.rs", 600)] {
            assert!(!judge_lengths(&tree, &[wrong]).is_empty(), "{wrong:?}");
        }
        let left_over = [("a/src/long.rs", 501), ("a/src/short.rs", 500)];
        assert_eq!(judge_lengths(&tree, &left_over).len(), 1);
    }

    #[test]
    fn line_length_counts_characters_and_not_bytes() {
        let (fits, over) = ("ä".repeat(100), "a".repeat(101));
        let tree = Tree::of(&[("a.rs", &fits), ("b.rs", &over), ("c.md", &over)]);
        assert_eq!(line_length(&tree).len(), 1);
    }

    #[test]
    fn a_folder_without_its_page_is_found() {
        let page = "//! One.\n//!\n//! Two.\n//! Three.\n//! Four.\n";
        let good = [("a/src/lib.rs", page), ("a/src/b/mod.rs", page), ("a/src/b/c.rs", "")];
        assert_eq!(pages(&Tree::of(&good)), []);
        let no_opener = [("a/src/lib.rs", page), ("a/src/b/c.rs", "")];
        assert_eq!(pages(&Tree::of(&no_opener)).len(), 1);
        let thin = [("a/src/lib.rs", "//! One.\n//!\n//!\n//!\n//! Two.\nfn f() {}\n")];
        assert_eq!(pages(&Tree::of(&thin)).len(), 1);
        assert_eq!(pages(&Tree::of(&[("a/tests/it/x.rs", "")])), []);
    }
}
