//! `stead-sim`: runs seeds, tells one again, makes it short, plays scenarios, soaks and reports.
//!
//! Happy path: a command is read (`cli`), the library plays worlds, and the last line says what
//! came of it, as JSON where a program reads it. Failures: exit status 1 if a judge spoke, 2 if the
//! command could not be carried out.
//!
//! For developers; it is not packaged. Absent on purpose: anything that touches a real cluster.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // A panic of the core is a verdict of the seed, with the words of the panic.
    std::panic::set_hook(Box::new(|_| {}));
    match cli::run(&cli::Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("stead-sim: {error}");
            ExitCode::from(2)
        }
    }
}
