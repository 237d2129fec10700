//! What stands in for Pacemaker's tools, for the agents that call them.
//!
//! # What it is for
//! Agents of copies say how fit each is (`crm_attribute --promotion`, `crm_master`), remember
//! things of nodes and of the cluster (`crm_attribute`, `attrd_updater`) and ask who else is there
//! (`crm_node`, `crm_mon`). They do so by calling Pacemaker's commands. This is the part of these
//! that Debian's agents call, as one more face of the stead binary: links with the tools' names lie
//! in a folder of their own, which is HA_SBIN_DIR and the first of the agents' PATH. Nothing of it
//! is in anybody else's PATH, and a Pacemaker on the same machine is never asked.
//!
//! # Happy path
//! The daemon makes the links ([`install`]). An agent calls one; [`run_if_asked`] sees the name
//! that the process was started by, reads the options as Pacemaker does ([`options`]), and asks the
//! daemon over its socket, whose place stands in the environment ([`API`]). What is read comes from
//! the daemon's own picture; what is written is committed before the tool ends.
//!
//! # Failures
//! A daemon that is away is waited for a little ([`PATIENCE`]): it may be being upgraded. Then, and
//! for everything that is not understood, the tool ends with a message and with the status that
//! Pacemaker's would have ([`Exit`]). An option that is not known is an error: to overlook it could
//! mean to do something else.
//!
//! # Deliberately absent
//! What no agent of Debian's calls, and what would decide: bans, failure counts, fencing.

mod answer;
mod attribute;
mod look;
mod options;
mod xml;

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use answer::answer;
pub use answer::{NodeAnswer, ResourceAnswer, ToolsAnswer};

use crate::api::client::{CallError, Client};
use crate::api::message::Request;

/// Where the daemon is reached, in the environment of agents.
pub const API: &str = "STEAD_API";
/// The name of the folder, beside that of programs.
const FOLDER: &str = "tools";
/// The socket, beside that folder.
const SOCKET: &str = "stead.sock";
/// All of them.
const NAMES: [&str; 8] = [
    "attrd_updater",
    "cibadmin",
    "crm_attribute",
    "crm_master",
    "crm_mon",
    "crm_node",
    "crm_resource",
    "pacemakerd",
];
/// How long a daemon that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// How a tool ends: what Pacemaker's end with (`crm_exit_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Ok = 0,
    Error = 1,
    Unimplemented = 3,
    Usage = 64,
    Disconnected = 102,
    NoSuch = 105,
}

/// Why a tool did not do what it was asked for.
#[derive(Debug)]
struct Failed {
    exit: Exit,
    message: String,
}

impl Failed {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The folder of the tools, given that of programs.
pub(crate) fn folder(programs: &Path) -> PathBuf {
    programs.with_file_name(FOLDER)
}

/// The socket that they use, given the folder of programs.
pub(crate) fn api(programs: &Path) -> PathBuf {
    programs.with_file_name(SOCKET)
}

/// Makes the links, to the program that this process runs.
///
/// # Errors
/// The system's. Agents that call a tool fail then, and say so.
pub fn install(programs: &Path) -> io::Result<()> {
    let (folder, program) = (folder(programs), std::env::current_exe()?);
    std::fs::create_dir_all(&folder)?;
    for name in NAMES {
        let (link, new) = (folder.join(name), folder.join(format!(".{name}.new")));
        if std::fs::read_link(&link).is_ok_and(|target| target == program) {
            continue;
        }
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        symlink(&program, &new)?;
        std::fs::rename(&new, &link)?;
    }
    Ok(())
}

/// Runs the tool that this process was started as, if it was one; else nothing happens.
pub fn run_if_asked() {
    let mut args = std::env::args_os();
    let first = args.next().unwrap_or_default();
    let name = Path::new(&first).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some(name) = NAMES.into_iter().find(|it| *it == name) else { return };
    let args: Vec<String> = args.map(|it| it.to_string_lossy().into_owned()).collect();
    let mut out = String::new();
    let ended = run(name, &args, &mut out);
    // Whoever reads may have enough, as `grep -q` does.
    let _ = io::stdout().write_all(out.as_bytes());
    let exit = match ended {
        Ok(()) => Exit::Ok,
        Err(failed) => {
            if !failed.message.is_empty() {
                eprintln!("{name}: {failed}");
            }
            failed.exit
        }
    };
    std::process::exit(exit as i32);
}

fn run(name: &str, args: &[String], out: &mut String) -> Result<(), Failed> {
    let daemon = Daemon {
        socket: std::env::var_os(API)
            .map_or_else(|| Path::new("/run/stead").join(SOCKET), PathBuf::from),
        instance: std::env::var("OCF_RESOURCE_INSTANCE").ok(),
        node: std::env::var("OCF_RESKEY_CRM_meta_on_node").ok(),
    };
    match name {
        "attrd_updater" => attribute::attrd_updater(&daemon, args, out),
        "crm_attribute" => attribute::crm_attribute(&daemon, args, out),
        "crm_master" => attribute::score_tool(&daemon, args, out),
        "crm_mon" => look::crm_mon(&daemon, args, out),
        "crm_node" => look::crm_node(&daemon, args, out),
        "pacemakerd" => look::pacemakerd(args, out),
        "crm_resource" => look::crm_resource(&daemon, args, out),
        _ => look::cibadmin(&daemon, args, out),
    }
}

fn say(out: &mut String, line: std::fmt::Arguments<'_>) {
    // A text can always be written to.
    let _ = writeln!(out, "{line}");
}

/// The daemon, as tools see it.
struct Daemon {
    socket: PathBuf,
    /// The resource whose agent called.
    instance: Option<String>,
    /// The node's name, if it was called by an agent.
    node: Option<String>,
}

impl Daemon {
    /// Asks it, and waits for it a little if it is away.
    fn ask<T: serde::de::DeserializeOwned>(&self, request: &Request) -> Result<T, Failed> {
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = Client::connect(&self.socket).and_then(|mut client| client.ask(request));
            match asked {
                Ok(answer) => return Ok(answer),
                // To set an attribute twice does what setting it once does.
                Err(CallError::NotRunning { .. } | CallError::Broken { .. })
                    if Instant::now() < until =>
                {
                    std::thread::sleep(AGAIN);
                }
                Err(error) => {
                    let exit = match &error {
                        CallError::Failed(_) => Exit::Error,
                        CallError::NotRunning { .. }
                        | CallError::Denied { .. }
                        | CallError::Socket { .. }
                        | CallError::Broken { .. }
                        | CallError::Answer { .. } => Exit::Disconnected,
                    };
                    return Err(Failed::new(exit, stead_edge::chain(&error)));
                }
            }
        }
    }

    fn look(&self) -> Result<ToolsAnswer, Failed> {
        self.ask(&Request::Tools)
    }
}
