//! Names that the glossary refuses, as words inside identifiers.

use crate::source;
use crate::tree::{Finding, Tree};

/// The refused word, and what to say instead (`docs/glossary.md`).
const REFUSED: [(&str, &str); 9] = [
    ("witness", "tie-breaker or quorum server"),
    ("arbiter", "tie-breaker or quorum server"),
    ("arbitrator", "tie-breaker or quorum server"),
    ("master", "coordinator"),
    ("slave", "node or member"),
    ("dc", "coordinator"),
    ("stonith", "fencing"),
    ("suicide", "self-fencing"),
    ("weight", "score"),
];

/// Identifiers that others chose and that we must spell as they do: the path's beginning, the
/// identifier, and whose it is.
const FOREIGN: &[(&str, &str, &str)] = &[
    ("linux/src/namespace/child.rs", "MS_SLAVE", "mount(2)"),
    ("redirect/src/dns/data.rs", "weight", "a field of hickory-proto's SRV, after RFC 2782"),
];

/// No identifier holds a refused word. Comments and strings may: they sometimes must name things.
pub fn refused(tree: &Tree) -> Vec<Finding> {
    judge(tree, FOREIGN)
}

fn judge(tree: &Tree, foreign: &[(&str, &str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let code = source::code(&file.text);
        for (line, identifier) in source::identifiers(&code) {
            let excepted = foreign
                .iter()
                .any(|(path, name, _)| file.path.starts_with(path) && *name == identifier);
            if excepted {
                continue;
            }
            if let Some((word, instead)) = refused_word(identifier) {
                let text = format!("`{identifier}` says {word}: say {instead}");
                findings.push(Finding::new(&file.path, line, text));
            }
        }
    }
    findings
}

fn refused_word(identifier: &str) -> Option<(&'static str, &'static str)> {
    let words = source::words(identifier);
    REFUSED.into_iter().find(|(refused, _)| {
        words.iter().any(|word| {
            let rest = word.strip_prefix(refused);
            matches!(rest, Some("" | "s" | "es" | "ed"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_words_are_found_in_every_spelling() {
        for name in ["TermWitness", "isDC", "dc", "SLAVE_ID", "set_weights", "StonithTopology"] {
            assert!(refused_word(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_word_inside_a_word_is_another_word() {
        for name in ["dcache", "decode", "mastery", "weighty", "DcbFlags", "coordinator"] {
            assert!(refused_word(name).is_none(), "{name}");
        }
    }

    #[test]
    fn comments_and_strings_are_exempt_and_so_are_named_foreign_identifiers() {
        let text = "// the master\nlet a = \"slave\";\nlet b = libc::IFLA_MASTER;\n";
        let tree = Tree::of(&[("linux/src/link.rs", text)]);
        assert_eq!(judge(&tree, &[]).len(), 1);
        assert_eq!(judge(&tree, &[("linux/", "IFLA_MASTER", "the kernel")]), []);
        assert_eq!(judge(&tree, &[("daemon/", "IFLA_MASTER", "the kernel")]).len(), 1);
    }
}
