//! The rules of `STYLE.md` that a program can judge.
//!
//! Each module is one rule or a few that look at the same text: [`layers`] (who may depend on whom,
//! and what the core may not touch), [`shape`] (lengths and opening pages), [`words`] (names that
//! the glossary refuses), [`marks`] (unfinished work, machine paths, `unsafe`), [`dependencies`]
//! (each argued for, all from one place), [`licences`] (`deny.toml` against what cargo resolved),
//! [`links`] (the book's references to files), [`book`] (texts that must keep up with the code) and
//! [`crate::mutants`] (seeded bugs that must keep up with the core).
//!
//! Happy path: every check runs, also after one has findings, and says how long its list is.
//! Failure: what can't be read or parsed is a finding or an error, never a check that passes.
//!
//! Deliberately absent: function length, wildcard arms and unwritten code, which clippy denies, and
//! advisories on dependencies, which need a database from the network.

mod book;
mod dependencies;
mod layers;
mod licences;
mod links;
mod marks;
mod shape;
mod words;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::tree::{Finding, Tree};

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: [(&str, Check); 18] = [
    ("layers", layers::edges),
    ("openraft stays in log", layers::consensus),
    ("core is pure", layers::core_is_pure),
    ("lints are inherited", layers::lints),
    ("file length", shape::file_length),
    ("line length", shape::line_length),
    ("pages", shape::pages),
    ("words", words::refused),
    ("unfinished work", marks::unfinished),
    ("unsafe stays in linux", marks::unsafe_code),
    ("dependencies are argued", dependencies::argued),
    ("pre-releases are pinned", dependencies::pinned),
    ("one source of crates", dependencies::sources),
    ("links", links::resolve),
    ("keys of cluster.toml", book::keys),
    ("keys are argued", book::argued_keys),
    ("what tests can't show", book::absent),
    ("seeded bugs fit", crate::mutants::check),
];

/// Runs every check and prints what it found.
pub fn run_all(root: &Path) -> Result<ExitCode> {
    let tree = Tree::read(root)?;
    let mut failed = 0;
    for (name, check) in CHECKS {
        failed += usize::from(!report(name, &check(&tree)));
    }
    failed += usize::from(!report("machine paths", &marks::machine_paths(&tree, root)));
    failed += usize::from(!report("licences and versions", &licences::check(&tree, root)?));
    println!("{} passed, {failed} failed", CHECKS.len() + 2 - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(name: &str, findings: &[Finding]) -> bool {
    for finding in findings {
        println!("{finding}  [{name}]");
    }
    if findings.is_empty() {
        println!("ok    {name}");
    } else {
        println!("FAIL  {name}: {} findings", findings.len());
    }
    findings.is_empty()
}
