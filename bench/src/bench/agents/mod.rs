//! `agents`: what stead makes of each resource agent that is installed.
//!
//! What it is for: a table of facts. For every agent: whether its meta-data can be read, whether
//! parameters that make sense pass stead's check and the agent's own `validate-all`, and, where its
//! program is in Debian and small, whether a round of it passes under stead's own executor: start,
//! monitor, a kill of all its processes, back in place, stop.
//!
//! Happy path: [`list`] reads which packages, files and parameters an agent needs. [`room`] is a
//! place where a trial can do no harm: all that it writes goes into memory and ends with it.
//! [`round`] is played there by a process of its own (`part agent`), whose words become a row.
//! [`page`] makes the table.
//!
//! Failures: an agent whose trial fails is a row with its reason. An installed agent that the list
//! does not have is a row that says so.
//!
//! Deliberately absent: promotion and several copies; a round says nothing of them.

mod list;
mod page;
mod room;
mod round;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use stead::ocf;

use crate::error::{BenchError, Step};
use crate::report::{Results, Row};
use crate::tools::Tools;

pub use list::{Entry, List};
pub(crate) use page::{page, tables};
pub use round::play;

/// The bench's name.
pub const NAME: &str = "agents";
/// How long one trial may take, the installation of its packages included.
const WITHIN: Duration = Duration::from_secs(420);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Tries every installed agent whose name has one of these words; every one if there is no word.
///
/// # Errors
/// The list can't be read, agents can't be listed, the end was asked for, or results can't be
/// written.
pub fn run(
    tools: &Tools,
    list: &Path,
    only: &[String],
    results: &mut Results,
) -> Result<(), BenchError> {
    let entries = List::read(list)?;
    let installed =
        ocf::installed(Path::new(ocf::ROOT)).step(|| "cannot list agents".to_owned())?;
    if installed.is_empty() {
        let text = "no agents are installed; nothing was tried (apt-get install resource-agents)";
        return Err(BenchError::Nothing(text.to_owned()));
    }
    let folder = tempfile::tempdir().step(|| "cannot make a folder".to_owned())?;
    for agent in installed {
        let name = format!("{}:{}", agent.provider, agent.kind);
        if !only.is_empty() && !only.iter().any(|word| name.contains(word)) {
            continue;
        }
        let row = Row { bench: NAME.to_owned(), subject: name.clone(), run: 1, ..Row::default() };
        let row = if entries.of(&name).is_none() {
            let text = format!("it is not in {}", list.display());
            Row { error: Some(text), ..row }
        } else {
            match trial(tools, list, &name, folder.path()) {
                Ok(more) => Row { more, ..row },
                Err(error) if error.is_interruption() => return Err(error),
                Err(error) => Row { error: Some(error.told()), ..row },
            }
        };
        results.add(row)?;
    }
    Ok(())
}

/// One agent, tried by a process in namespaces of its own.
fn trial(
    tools: &Tools,
    list: &Path,
    name: &str,
    folder: &Path,
) -> Result<Map<String, Value>, BenchError> {
    let (answer, said) = (folder.join("answer"), folder.join("said"));
    let make =
        |path: &PathBuf| File::create(path).step(|| format!("cannot make {}", path.display()));
    let what = || "cannot run unshare (package util-linux)".to_owned();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]);
    // The first process of a room takes the status of what nobody waits for, as a shell does.
    command.args(["bash", "-c", "\"$@\"; exit $?", "room"]);
    command.arg(&tools.own).args(["part", "agent"]);
    command.args([list, Path::new(name), &tools.stead, folder]);
    command.stdin(Stdio::null()).stdout(make(&answer)?).stderr(make(&said)?);
    let mut child = command.spawn().step(what)?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().step(what)? {
            break status;
        }
        let paused = if began.elapsed() > WITHIN {
            let what = format!("the end of the trial of {name}");
            Err(BenchError::Late { what, seconds: WITHIN.as_secs(), last: None })
        } else {
            tools.pause(LOOK)
        };
        if let Err(error) = paused {
            child.kill().step(what)?;
            child.wait().step(what)?;
            return Err(error);
        }
    };
    let text = std::fs::read_to_string(&answer).step(|| "cannot read the answer".to_owned())?;
    match serde_json::from_str(text.trim()) {
        Ok(Value::Object(more)) if status.success() => Ok(more),
        _ => {
            let said = std::fs::read(&said).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            Err(BenchError::Nothing(last.unwrap_or("its trial said nothing").to_owned()))
        }
    }
}
