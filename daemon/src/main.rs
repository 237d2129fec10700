//! `stead`, the one binary: guard, daemon and command line.
//!
//! Everything is in the library beside it, so that tests reach it: [`stead::cli`] parses the
//! command line and calls what it names. Nothing may run before that: the demo has to enter its
//! namespaces while the process has one thread.

use std::process::ExitCode;

fn main() -> ExitCode {
    stead::cli::main()
}
