//! `stead lint`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::{Context, print, print_json};
use super::exit::{Exit, drawn};
use crate::config::{Ask, FileError, Problem, Rejected, read_file_asking};

/// Say what is wrong with a file. Needs no cluster and no daemon, and changes nothing.
///
/// Agents that are installed on this machine are asked whether they take what is written for them,
/// systemd's files whether the units are there, and fence devices whether they have the outlets
/// that are named. Nothing is switched; a device that does not answer is a warning.
#[derive(Debug, Args)]
#[command(after_help = "Exit status 1: the file can't be used. Warnings alone are no failure.\n\n\
                        Example:\n  stead lint cluster.toml")]
pub(super) struct Lint {
    /// The file; if not given, cluster.toml of the folder --etc
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Found<'a> {
    usable: bool,
    problems: &'a [Problem],
}

impl Lint {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let file = self.file.unwrap_or_else(|| context.paths.configuration());
        match read_file_asking(&file, Ask::Devices) {
            Ok((_, checked)) if self.json => {
                print_json(&Found { usable: true, problems: &checked.warnings })?;
            }
            Ok((_, checked)) => {
                for warning in &checked.warnings {
                    eprint!("{}", drawn(warning, context));
                }
                let what = match checked.warnings.len() {
                    0 => "nothing is wrong with it".to_owned(),
                    1 => "it can be used; there is one warning".to_owned(),
                    count => format!("it can be used; there are {count} warnings"),
                };
                print(&format!("{}: {what}.\n", file.display()))?;
            }
            Err(FileError::Rejected(rejected)) if self.json => {
                print_json(&Found { usable: false, problems: Rejected::problems(&rejected) })?;
                return Ok(Exit::Failed);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Exit::Done)
    }
}
