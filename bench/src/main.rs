//! `stead-bench`: what `bench/run` starts, and the parts that it plays on the nodes of a bed.
//!
//! Everything is in the library beside it, so that tests reach it. A copy of this program that is
//! called `stead` is stead: the same library, so that a trial in the test suite needs no binary of
//! another crate. `bench/run` measures the real one.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use stead_bench::options::Cli;

fn main() -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    if own.file_name().is_some_and(|name| name == "stead") {
        return Ok(stead::cli::main());
    }
    match Cli::parse().run() {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("bench/run: {}", error.told());
            Ok(ExitCode::FAILURE)
        }
    }
}
