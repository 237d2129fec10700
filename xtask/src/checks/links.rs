//! References between the texts of the tree: a link to a file must lead to one.

use std::collections::BTreeSet;

use crate::tree::{Finding, Tree};

/// Every relative link in a Markdown file leads to a file or a folder of the tree.
pub fn resolve(tree: &Tree) -> Vec<Finding> {
    let mut known = BTreeSet::new();
    for file in &tree.files {
        let mut path = file.path.as_str();
        known.insert(path);
        while let Some((folder, _)) = path.rsplit_once('/') {
            known.insert(folder);
            path = folder;
        }
    }
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut fenced = false;
        for (at, line) in file.text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            if fenced {
                continue;
            }
            for target in targets(line) {
                if !known.contains(join(folder, target).as_str()) {
                    let text = format!("the link to `{target}` leads nowhere");
                    findings.push(Finding::new(&file.path, at + 1, text));
                }
            }
        }
    }
    findings
}

/// The files that the links of a line point to; anchors and addresses elsewhere left out.
fn targets(line: &str) -> Vec<&str> {
    let starts = line.match_indices("](").map(|(at, mark)| at + mark.len());
    starts
        .filter_map(|start| line[start..].split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty())
        .collect()
}

fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_where_they_stand() {
        let book = "[a](b.md) [c](../README.md#top) [d](https://example.org/x.md) [e](#here)\n\
                    [f](missing.md) and [g](decisions/)\n```\n[h](not-a-link.md)\n```\n";
        let tree = Tree::of(&[
            ("README.md", "[docs](docs)"),
            ("docs/README.md", book),
            ("docs/b.md", ""),
            ("docs/decisions/0001-x.md", "[up](../b.md) [out](../../gone.md)"),
        ]);
        let found: Vec<_> = resolve(&tree).into_iter().map(|f| (f.path, f.line)).collect();
        let expected =
            [("docs/README.md".to_owned(), 2), ("docs/decisions/0001-x.md".to_owned(), 1)];
        assert_eq!(found, expected);
    }
}
