//! The files of the seeded bugs: reading them, checking them against the source, applying them.

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::table;
use crate::tree::{File, Finding, Tree};

const FOLDER: &str = "sim/mutants/";
/// Only the decisions are attacked: what performs them is another's to test.
const ATTACKED: &str = "core/src/";
/// How many bugs there are at least.
const LEAST: usize = 20;

/// One seeded bug.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The number that its file's name begins with.
    pub number: u32,
    /// The file.
    pub path: String,
    /// What is wrong.
    pub title: String,
    /// Which rule it breaks.
    pub rule: String,
    /// What should go wrong in a cluster.
    pub why: String,
    edits: Vec<Edit>,
}

#[derive(Debug, PartialEq, Eq)]
struct Edit {
    file: String,
    find: String,
    replace: String,
}

impl Mutant {
    fn parse(file: &File) -> Result<Self> {
        let name = file.path.strip_prefix(FOLDER).unwrap_or(&file.path);
        let number =
            name.split_once('-').map(|(number, _)| number).filter(|it| (2..=3).contains(&it.len()));
        let number = number.and_then(|it| it.parse().ok());
        let number = number.context("its name must begin with two or three digits and a hyphen")?;
        let table: Table = file.text.parse()?;
        let edits = table.get("edit").and_then(Value::as_array).map(Vec::as_slice);
        let edits =
            edits.unwrap_or_default().iter().map(Edit::parse).collect::<Result<Vec<_>>>()?;
        if edits.is_empty() {
            bail!("has no [[edit]]");
        }
        if let Some(key) = table.keys().find(|it| !KEYS.contains(&it.as_str())) {
            bail!("`{key}` is not known");
        }
        let text = |key: &str| sentence(&table, key);
        let (title, rule, why) = (text("title")?, text("rule")?, text("why")?);
        Ok(Self { number, path: file.path.clone(), title, rule, why, edits })
    }

    /// The files as this bug makes them, by path.
    pub fn apply(&self, tree: &Tree) -> Result<Vec<(String, String)>> {
        let mut files: Vec<(String, String)> = Vec::new();
        for edit in &self.edits {
            let at = files.iter().position(|(path, _)| *path == edit.file);
            let text = match at {
                Some(at) => files.swap_remove(at).1,
                None => tree.get(&edit.file).map(|file| file.text.clone()).unwrap_or_default(),
            };
            files.push((edit.file.clone(), edit.apply(&text)?));
        }
        Ok(files)
    }

    /// A bug for tests.
    #[cfg(test)]
    pub fn example(number: u32) -> Self {
        let edit = Edit { file: "core/src/a.rs".into(), find: "<".into(), replace: "<=".into() };
        let (title, rule, why) = (format!("Bug {number}."), "C1".into(), "Harm.".into());
        let path = format!("{FOLDER}{number:02}-x.toml");
        Self { number, path, title, rule, why, edits: vec![edit] }
    }
}

const KEYS: [&str; 4] = ["title", "rule", "why", "edit"];

impl Edit {
    fn parse(value: &Value) -> Result<Self> {
        let text = |key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.map(str::to_owned).with_context(|| format!("an [[edit]] lacks `{key}`"))
        };
        let edit = Self { file: text("file")?, find: text("find")?, replace: text("replace")? };
        if !edit.file.starts_with(ATTACKED) || edit.file.split('/').any(|part| part == "..") {
            bail!("{} is not below {ATTACKED}", edit.file);
        }
        if edit.find.is_empty() || edit.find == edit.replace {
            bail!("an edit of {} finds or changes nothing", edit.file);
        }
        Ok(edit)
    }

    fn apply(&self, text: &str) -> Result<String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            times => bail!(
                "{} holds the text {times} times, not once; fit the bug to the source: {}",
                self.file,
                self.find.trim().lines().next().unwrap_or_default()
            ),
        }
    }
}

/// A text of one line that is not empty and does not break a row of a table.
fn sentence(table: &Table, key: &str) -> Result<String> {
    let text = table.get(key).and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() || text.contains(['\n', '|']) {
        bail!("`{key}` must be one line of text without a bar");
    }
    Ok(text.to_owned())
}

/// All seeded bugs in the order of their numbers, or what is wrong with them.
pub fn all(tree: &Tree) -> Result<Vec<Mutant>, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut mutants: Vec<Mutant> = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.starts_with(FOLDER)) {
        let mutant = Mutant::parse(file).and_then(|mutant| {
            mutant.apply(tree)?;
            if let Some(other) = mutants.iter().find(|it| it.number == mutant.number) {
                bail!("has the number of {}", other.path);
            }
            Ok(mutant)
        });
        match mutant {
            Ok(mutant) => mutants.push(mutant),
            Err(error) => findings.push(Finding::new(&file.path, 0, format!("{error:#}"))),
        }
    }
    mutants.sort_by_key(|mutant| mutant.number);
    if findings.is_empty() { Ok(mutants) } else { Err(findings) }
}

/// Every seeded bug still fits the source and stands in the book, and there are enough.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mutants = match all(tree) {
        Ok(mutants) => mutants,
        Err(findings) => return findings,
    };
    if mutants.len() < LEAST {
        let text = format!("{} seeded bugs; at least {LEAST}", mutants.len());
        return vec![Finding::new(FOLDER, 0, text)];
    }
    table::check(tree, &mutants)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title = \"a\"\nrule = \"C1\"\nwhy = \"b\"\n\
                        [[edit]]\nfile = \"core/src/a.rs\"\nfind = \"x < y\"\n\
                        replace = \"x > y\"\n";

    fn tree(name: &str, text: &str, source: &str) -> Tree {
        Tree::of(&[(&format!("{FOLDER}{name}"), text), ("core/src/a.rs", source)])
    }

    #[test]
    fn a_bug_is_read_and_applied() {
        let tree = tree("07-x.toml", GOOD, "if x < y {}");
        let mutants = all(&tree).unwrap();
        assert_eq!((mutants[0].number, mutants[0].title.as_str()), (7, "a"));
        let files = mutants[0].apply(&tree).unwrap();
        assert_eq!(files, [("core/src/a.rs".to_owned(), "if x > y {}".to_owned())]);
    }

    #[test]
    fn edits_of_one_file_add_up() {
        let more = "[[edit]]\nfile = \"core/src/a.rs\"\nfind = \"{}\"\nreplace = \"{ z }\"\n";
        let tree = tree("07-x.toml", &format!("{GOOD}{more}"), "if x < y {}");
        let files = all(&tree).unwrap()[0].apply(&tree).unwrap();
        assert_eq!(files, [("core/src/a.rs".to_owned(), "if x > y { z }".to_owned())]);
    }

    #[test]
    fn a_text_that_is_gone_or_there_twice_is_found() {
        for source in ["if x > y {}", "if x < y && x < y {}", ""] {
            assert_eq!(check(&tree("07-x.toml", GOOD, source)).len(), 1, "{source}");
        }
    }

    #[test]
    fn a_file_that_says_too_little_or_reaches_too_far_is_found() {
        let source = "if x < y {}";
        let bad = [
            GOOD.replace("title = \"a\"\n", ""),
            GOOD.replace("\"C1\"", "\"\""),
            GOOD.replace("\"b\"", "\"b | c\""),
            GOOD.replace("why", "because"),
            GOOD.replace("core/src/a.rs", "daemon/src/a.rs"),
            GOOD.replace("core/src/a.rs", "core/src/../a.rs"),
            GOOD.replace("x > y", "x < y"),
            GOOD.replace("[[edit]]", "[[edits]]"),
            GOOD.replace("replace", "with"),
            format!("{GOOD}["),
        ];
        for text in bad {
            assert!(all(&tree("07-x.toml", &text, source)).is_err(), "{text}");
        }
        for name in ["7-x.toml", "x.toml", "xx-x.toml"] {
            assert!(all(&tree(name, GOOD, source)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_number_stands_for_one_bug_and_there_are_enough() {
        let source = ("core/src/a.rs", "if x < y {}");
        let twice = [("sim/mutants/07-x.toml", GOOD), ("sim/mutants/07-y.toml", GOOD), source];
        assert_eq!(check(&Tree::of(&twice)).len(), 1);
        let few = check(&tree("07-x.toml", GOOD, source.1));
        assert!(few[0].text.contains("at least"), "{few:?}");
    }
}
