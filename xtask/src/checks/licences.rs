//! `deny.toml` against the crates that cargo resolved: licences, and two versions of one crate.
//!
//! `cargo deny` reads the same file and judges more (advisories among it) where it is installed;
//! this check needs nothing that a machine with cargo lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use toml::Table;

use crate::tree::{Finding, Tree};

const POLICY: &str = "deny.toml";

/// What `deny.toml` permits.
#[derive(Debug, Default)]
struct Policy {
    licences: BTreeSet<String>,
    /// Crates that may be there twice, as `name@version` of the one that should go.
    doubles: BTreeSet<String>,
    target: String,
}

/// A crate of the resolved graph.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
}

/// Licences and versions of all crates that are built for Linux.
pub fn check(tree: &Tree, root: &Path) -> Result<Vec<Finding>> {
    let Some(file) = tree.get(POLICY) else {
        return Ok(vec![Finding::new(POLICY, 0, "is missing")]);
    };
    let policy = policy(&file.text)?;
    let packages = resolved(root, &policy.target)?;
    Ok(judge(&policy, &packages))
}

fn policy(text: &str) -> Result<Policy> {
    let table: Table = text.parse().context("deny.toml can't be parsed")?;
    let strings = |section: &str, key: &str, inner: Option<&str>| -> Vec<String> {
        let list = table.get(section).and_then(|s| s.get(key)).and_then(toml::Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|item| match inner {
                Some(inner) => item.get(inner).and_then(toml::Value::as_str),
                None => item.as_str(),
            })
            .map(str::to_owned)
            .collect()
    };
    let Some(target) = strings("graph", "targets", None).into_iter().next() else {
        bail!("deny.toml names no target in [graph]");
    };
    Ok(Policy {
        licences: strings("licenses", "allow", None).into_iter().collect(),
        doubles: strings("bans", "skip", Some("crate")).into_iter().collect(),
        target,
    })
}

/// What cargo builds for the target, tests and build scripts included, each crate once.
fn resolved(root: &Path, target: &str) -> Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args(["tree", "--workspace", "--locked", "--prefix=none", "--format={p}|{l}"])
        .args(["--edges=normal,build,dev", "--target", target])
        .current_dir(root)
        .output()
        .context("cargo tree could not be started")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: BTreeSet<&str> =
        text.lines().map(|line| line.trim_end_matches("(*)").trim()).collect();
    let packages: Vec<Package> = lines.into_iter().filter_map(parse).collect();
    if packages.is_empty() {
        bail!("cargo tree printed no crates");
    }
    Ok(packages)
}

/// One crate as `cargo tree` prints it: `name v1.2.3 (what else)|licence`.
fn parse(line: &str) -> Option<Package> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split_whitespace();
    Some(Package {
        name: words.next()?.to_owned(),
        version: words.next()?.strip_prefix('v')?.to_owned(),
        licence: (!licence.is_empty()).then(|| licence.to_owned()),
    })
}

fn judge(policy: &Policy, packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let who = format!("{}@{}", package.name, package.version);
        match &package.licence {
            None => findings.push(Finding::new(POLICY, 0, format!("{who} names no licence"))),
            Some(licence) if !permitted(licence, &policy.licences) => {
                findings.push(Finding::new(POLICY, 0, format!("{who} is under {licence}")));
            }
            Some(_) => {}
        }
        if !policy.doubles.contains(&who) {
            versions.entry(&package.name).or_default().insert(&package.version);
        }
    }
    for (name, versions) in versions.into_iter().filter(|(_, versions)| versions.len() > 1) {
        let all: Vec<_> = versions.into_iter().collect();
        let text = format!("{name} is there in {} versions: {}", all.len(), all.join(", "));
        findings.push(Finding::new(POLICY, 0, text));
    }
    let present: BTreeSet<String> =
        packages.iter().map(|p| format!("{}@{}", p.name, p.version)).collect();
    let stale = policy.doubles.iter().filter(|who| !present.contains(*who));
    findings.extend(
        stale.map(|who| {
            Finding::new(POLICY, 0, format!("{who} is gone: remove it from [bans] skip"))
        }),
    );
    findings
}

/// Whether an SPDX expression can be met with the permitted licences. `/` is an old spelling of OR;
/// `WITH` and what follows belong to the licence's name.
fn permitted(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = either(&words, &mut at, allowed);
    met && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= both(words, at, allowed);
    }
    met
}

fn both(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = either(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1).copied().unwrap_or_default());
        *at += 2;
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> BTreeSet<String> {
        ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"].map(str::to_owned).into()
    }

    #[test]
    fn expressions_are_met_as_spdx_says() {
        for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-2.0", "(MIT OR X) AND ISC"] {
            assert!(permitted(good, &allowed()), "{good}");
        }
        assert!(permitted("Apache-2.0 WITH LLVM-exception OR X", &allowed()));
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "MIT WITH X", "(MIT", "", "MIT ISC"] {
            assert!(!permitted(bad, &allowed()), "{bad}");
        }
    }

    fn package(name: &str, version: &str, licence: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.map(str::to_owned),
        }
    }

    #[test]
    fn crates_are_read_from_cargos_tree() {
        let line = parse("derive_more-impl v2.0.1 (proc-macro)|MIT").expect("a crate");
        assert_eq!((line.name.as_str(), line.version.as_str()), ("derive_more-impl", "2.0.1"));
        assert_eq!(parse("a v1.0.0|").expect("a crate").licence, None);
        assert!(parse("[dev-dependencies]").is_none() && parse("").is_none());
    }

    #[test]
    fn a_second_version_is_found_unless_it_is_excused_by_name_and_version() {
        let packages = [package("a", "1.0.0", Some("MIT")), package("a", "2.0.0", Some("MIT"))];
        let mut policy = Policy { licences: allowed(), ..Policy::default() };
        assert_eq!(judge(&policy, &packages).len(), 1);
        policy.doubles.insert("a@1.0.0".to_owned());
        assert_eq!(judge(&policy, &packages), []);
        policy.doubles.insert("b@1.0.0".to_owned());
        assert_eq!(judge(&policy, &packages).len(), 1);
    }

    #[test]
    fn a_licence_that_is_missing_or_not_listed_is_found() {
        let policy = Policy { licences: allowed(), ..Policy::default() };
        let packages = [package("a", "1.0.0", None), package("b", "1.0.0", Some("GPL-3.0"))];
        assert_eq!(judge(&policy, &packages).len(), 2);
    }

    #[test]
    fn the_policy_is_read_in_the_spelling_of_cargo_deny() {
        let text = "[graph]\ntargets = [\"x86_64-unknown-linux-gnu\"]\n[licenses]\nallow = \
                    [\"MIT\"]\n[bans]\nskip = [{ crate = \"a@1.0.0\", reason = \"r\" }]\n";
        let policy = policy(text).expect("the text is valid");
        assert!(policy.licences.contains("MIT") && policy.doubles.contains("a@1.0.0"));
        assert!(super::policy("[licenses]\nallow = []").is_err());
    }
}
