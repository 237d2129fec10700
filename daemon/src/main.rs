//! `stead`, the one binary: guard, daemon and command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    stead::cli::main()
}
