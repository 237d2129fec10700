//! The table of the seeded bugs in the book.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::data::Mutant;
use super::work::Verdict;
use crate::tree::{Finding, Tree};

const PAGE: &str = "docs/reference/seeded-bugs.md";
const BEGIN: &str = "<!-- written by cargo xtask mutants --table -->";
const END: &str = "<!-- end of what is written -->";
const HEAD: &str = "| no. | what is wrong | rule | caught by | first failing seed |\n\
                    |---|---|---|---|---|\n";
const UNTRIED: &str = "not tried yet | ";

/// The rows of what was tried.
pub fn rows(results: &[(&Mutant, Verdict)]) -> String {
    results.iter().map(|(mutant, verdict)| row(mutant, &cells(verdict))).collect()
}

/// A bug's row up to its result: it shows whether the table speaks of the bug as it is now.
fn subject(mutant: &Mutant) -> String {
    let Mutant { number, title, rule, .. } = mutant;
    format!("| {number:02} | {title} | {rule} | ")
}

fn row(mutant: &Mutant, cells: &str) -> String {
    format!("{}{cells} |\n", subject(mutant))
}

fn cells(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Caught { judge, seed, .. } => format!("{} | {seed}", judge.replace('|', "/")),
        Verdict::Told(scenario) => format!("no seed; scenario `{scenario}` | "),
        Verdict::Missed => "**nobody** | ".to_owned(),
        Verdict::TooLong => "**nobody: the run was too long** | ".to_owned(),
        Verdict::Broken(_) => "**nobody: the run broke** | ".to_owned(),
    }
}

/// Writes the results into the page. Bugs that were not tried now keep the row that they had.
pub fn write(
    root: &Path,
    all: &[Mutant],
    results: &[(&Mutant, Verdict)],
    seeds: u64,
) -> Result<()> {
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("{PAGE} can't be read"))?;
    let page = update(&page, all, results, seeds)?;
    fs::write(&path, page).with_context(|| format!("{PAGE} can't be written"))?;
    Ok(())
}

fn update(
    page: &str,
    all: &[Mutant],
    results: &[(&Mutant, Verdict)],
    seeds: u64,
) -> Result<String> {
    let marks = || format!("{PAGE} lacks the marks around its table; nothing was written");
    let (before, rest) = page.split_once(BEGIN).with_context(marks)?;
    let (old, after) = rest.split_once(END).with_context(marks)?;
    let mut table = format!("{BEGIN}\n\nWithin {seeds} seeds each:\n\n{HEAD}");
    for mutant in all {
        let new = results.iter().find(|(tried, _)| tried.number == mutant.number);
        let subject = subject(mutant);
        let kept = old.lines().find_map(|line| line.strip_prefix(subject.as_str()));
        let kept = kept.and_then(|rest| rest.strip_suffix(" |"));
        let cells = match (new, kept) {
            (Some((_, verdict)), _) => cells(verdict),
            (None, Some(kept)) => kept.to_owned(),
            (None, None) => UNTRIED.to_owned(),
        };
        table += &row(mutant, &cells);
    }
    Ok(format!("{before}{table}\n{END}{after}"))
}

/// Every seeded bug has its row, and every row its bug.
pub fn check(tree: &Tree, mutants: &[Mutant]) -> Vec<Finding> {
    let Some(page) = tree.get(PAGE) else {
        return vec![Finding::new(PAGE, 0, "is missing")];
    };
    let mut findings = Vec::new();
    let rows = page.text.lines().filter(|line| is_row(line)).count();
    for mutant in mutants {
        if !page.text.lines().any(|line| line.starts_with(&subject(mutant))) {
            let text = format!("lacks the row of {}: cargo xtask mutants --table", mutant.path);
            findings.push(Finding::new(PAGE, 0, text));
        }
    }
    if findings.is_empty() && rows != mutants.len() {
        let text = format!("has {rows} rows for {} seeded bugs", mutants.len());
        findings.push(Finding::new(PAGE, 0, text));
    }
    findings
}

fn is_row(line: &str) -> bool {
    line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(judge: &str, seed: u64) -> Verdict {
        Verdict::Caught { judge: judge.into(), seed, what: "two holders".into() }
    }

    fn page() -> String {
        format!("# Seeded bugs\n\n{BEGIN}\n{END}\n\nAfter.\n")
    }

    #[test]
    fn results_replace_rows_and_what_was_not_tried_is_kept() {
        let all = [Mutant::example(1), Mutant::example(2), Mutant::example(3)];
        let first = [(&all[0], caught("I3", 4)), (&all[1], Verdict::Missed)];
        let once = update(&page(), &all, &first, 10).unwrap();
        assert!(once.starts_with("# Seeded bugs\n") && once.ends_with("\nAfter.\n"), "{once}");
        assert!(once.contains("| 01 | Bug 1. | C1 | I3 | 4 |\n"), "{once}");
        assert!(once.contains("| 02 | Bug 2. | C1 | **nobody** |  |\n"), "{once}");
        assert!(once.contains("| 03 | Bug 3. | C1 | not tried yet |  |\n"), "{once}");
        let second = [(&all[1], caught("I1", 9))];
        let twice = update(&once, &all, &second, 10).unwrap();
        assert!(twice.contains("| 01 | Bug 1. | C1 | I3 | 4 |\n"), "{twice}");
        assert!(twice.contains("| 02 | Bug 2. | C1 | I1 | 9 |\n"), "{twice}");
        assert_eq!(update(&twice, &all, &second, 10).unwrap(), twice);
    }

    #[test]
    fn a_page_without_marks_is_not_written_over() {
        assert!(update("# Seeded bugs\n", &[], &[], 10).is_err());
        assert!(update(&format!("{BEGIN}\n"), &[], &[], 10).is_err());
    }

    #[test]
    fn a_bug_without_its_row_and_a_row_without_its_bug_are_found() {
        let all = [Mutant::example(1), Mutant::example(2)];
        let text = update(&page(), &all, &[], 10).unwrap();
        let tree = Tree::of(&[(PAGE, &text)]);
        assert_eq!(check(&tree, &all), []);
        assert_eq!(check(&tree, &all[..1]).len(), 1);
        assert_eq!(check(&tree, &[Mutant::example(1), Mutant::example(3)]).len(), 1);
        assert_eq!(check(&Tree::of(&[]), &all).len(), 1);
    }
}
