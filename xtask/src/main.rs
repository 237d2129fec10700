//! The house rules of stead as a program, and the few jobs that a shell line can't do well.
//!
//! - `cargo xtask ci` reads the tree and names every place that breaks a rule of `STYLE.md`. It
//!   writes nothing and asks no network.
//! - `cargo xtask fix` lets rustfmt write. It checks nothing.
//! - `cargo xtask deb` packs the release binary into a Debian package under `target/debian`.
//! - `cargo xtask mutants` puts seeded bugs into the core, one at a time, and shows which judge of
//!   the simulator sees them.
//! - `cargo xtask sum FILE...` adds up the results of test runs and prints them as one line.
//!
//! Happy path: one line per check, exit code 0. Failure: one line per finding, `path:line: check:
//! what and what to do`, exit code 1. A check is a function from the tree's text to findings and is
//! tested like any other code.
//!
//! Deliberately absent: clippy and rustfmt's own rules (they have programs), and anything that
//! repairs and judges in one run.

mod checks;
mod deb;
mod mutants;
mod source;
mod sum;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const USAGE: &str =
    "usage: cargo xtask ci | fix | deb [--binary FILE] | mutants [--only NN] | sum FILE...";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[String]) -> Result<ExitCode> {
    let root = workspace_root();
    let rest = args.get(1..).unwrap_or_default();
    match args.first().map(String::as_str) {
        Some("ci") if rest.is_empty() => checks::run_all(&root),
        Some("fix") if rest.is_empty() => fix(&root),
        Some("deb") => deb::run(&root, rest),
        Some("mutants") => mutants::run(&root, rest),
        Some("sum") => sum::run(rest),
        _ => bail!("{USAGE}"),
    }
}

/// The folder above this crate. It is asked at run time where cargo says so, since a checkout may
/// have moved after the build.
fn workspace_root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or_else(|| own.clone(), Path::to_path_buf)
}

fn fix(root: &Path) -> Result<ExitCode> {
    let status = Command::new("cargo")
        .args(["fmt", "--all"])
        .current_dir(root)
        .status()
        .context("cargo fmt could not be started; nothing was changed")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
