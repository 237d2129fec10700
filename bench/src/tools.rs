//! What every bench has at hand: the programs, the wish to end, patience, and a folder.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stead::demo::fleet::{Family, service_address};
use stead_lab::{Host, Process, Waited, wait_until};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{BenchError, Step};

/// How long anything may take that is only waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Where the responders listen.
pub(crate) const PORT: u16 = 7777;
/// The last octet of the address that all clusters keep.
pub(crate) const SHARED: u8 = 200;
/// The last octet of the client's address (`Fleet` chose it).
const CLIENT: u8 = 250;

/// The address that the nodes of every cluster hand to each other.
#[must_use]
pub fn shared_address() -> IpAddr {
    service_address(Family::V4, SHARED)
}

/// The client's address on the first network.
pub(crate) fn client_address() -> IpAddr {
    service_address(Family::V4, CLIENT)
}

/// The programs, and the wish to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The program `stead`.
    pub stead: PathBuf,
    /// This program: its parts run on the nodes.
    pub own: PathBuf,
    /// Set when the end is asked for.
    pub stop: Arc<AtomicBool>,
}

impl Tools {
    /// Waits until a condition holds. An error of the condition counts as "not yet".
    ///
    /// # Errors
    /// It did not hold in time (with the condition's last error), or the end was asked for.
    pub fn wait_until(
        &self,
        what: &str,
        within: Duration,
        holds: impl FnMut() -> Result<bool, BenchError>,
    ) -> Result<(), BenchError> {
        match wait_until(&self.stop, within, holds) {
            Waited::Held => Ok(()),
            Waited::Stopped => Err(BenchError::Interrupted),
            Waited::Late(last) => {
                let (what, seconds) = (what.to_owned(), within.as_secs());
                Err(BenchError::Late { what, seconds, last: last.map(Box::new) })
            }
        }
    }

    /// Lets time pass, unless the end is asked for.
    ///
    /// # Errors
    /// The end was asked for.
    pub fn pause(&self, time: Duration) -> Result<(), BenchError> {
        let deadline = Instant::now() + time;
        self.wait_until("time passes", time + PATIENCE, || Ok(Instant::now() >= deadline))
    }

    /// Lets a time pass that chance takes from a span, so that failures meet every phase of the
    /// timers.
    ///
    /// # Errors
    /// The end was asked for, or the kernel gives no random numbers.
    pub fn pause_by_chance(&self, at_most: Duration) -> Result<(), BenchError> {
        let drawn = getrandom::u32().map_err(|error| std::io::Error::other(error.to_string()));
        let drawn = drawn.step(|| "cannot draw a random number".to_owned())?;
        self.pause(at_most.mul_f64(f64::from(drawn) / f64::from(u32::MAX)))
    }

    /// This program in one of its parts.
    #[must_use]
    pub fn part(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.own);
        command.arg("part").args(words);
        command
    }

    /// Starts what answers the client on a node: it stands ready from the beginning, at whatever
    /// address the node holds, so that no start of a program is in anybody's figures.
    ///
    /// # Errors
    /// It can't be started.
    pub fn respond(&self, host: &Host) -> Result<Process, BenchError> {
        let command = self.part(&["respond", &PORT.to_string(), host.name()]);
        Ok(host.spawn(command, Path::new("/dev/null"))?)
    }
}

/// The first ctrl-C asks for a clean end, the second one ends at once.
pub(crate) fn watch_signals() -> Result<Arc<AtomicBool>, BenchError> {
    let what = || "cannot watch for ctrl-C".to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().step(what)?;
    let mut signals = Vec::new();
    {
        let _inside = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            signals.push(signal(kind).step(what)?);
        }
    }
    let told = Arc::clone(&stop);
    let body = move || {
        runtime.block_on(async {
            for mut signal in signals {
                let told = Arc::clone(&told);
                tokio::spawn(async move {
                    while signal.recv().await.is_some() {
                        if told.swap(true, Ordering::Relaxed) {
                            // whatever hangs: the kernel ends the beds with this process
                            std::process::exit(130);
                        }
                    }
                });
            }
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(body).step(what)?;
    Ok(stop)
}

/// What a program prints on a host, if it ends well.
pub(crate) fn said(host: &Host, program: &str, words: &[&str]) -> Result<String, BenchError> {
    let command = format!("{program} {}", words.join(" "));
    let what = || format!("cannot run `{command}` on {}", host.name());
    let output = host.run(|| Command::new(program).args(words).output())?.step(what)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let (node, status) = (host.name().to_owned(), output.status.to_string());
    Err(BenchError::Command { command, node, status, said: text(&output.stderr) })
}

/// Writes a file, with the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    let what = || format!("cannot write {}", path.display());
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).step(what)?;
    }
    fs::write(path, text).step(what)
}

/// A folder that vanishes with this value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new folder below the usual place for temporary ones.
    pub(crate) fn create() -> Result<Self, BenchError> {
        let template = std::env::temp_dir().join("stead-bench-XXXXXX");
        let made = nix::unistd::mkdtemp(&template);
        made.map(Self).step(|| format!("cannot make a folder like {}", template.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it, with the folders above it.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, BenchError> {
        let path = self.0.join(name);
        write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}
