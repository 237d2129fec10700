//! `stead-sim`: runs seeds, tells one again, makes it short, plays scenarios. For developers; not
//! packaged.

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
