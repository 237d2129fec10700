//! Hosts and the programs on them.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead_linux::namespace::NetNs;
use stead_linux::netlink::{Netlink, Route};

use crate::error::{LabError, Step};
use crate::launcher::{Launcher, lock};
use crate::link::Link;

/// Until all processes of a killed host are gone. The kernel needs milliseconds.
const KILLED_WITHIN: Duration = Duration::from_secs(20);

struct Inner {
    name: String,
    namespace: Mutex<NetNs>,
    links: Mutex<Vec<Link>>,
    routes: Mutex<Vec<Route>>,
    forwards: bool,
    launcher: Arc<Launcher>,
}

/// A host (or router) of a bed. Cheap to clone.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

impl Host {
    pub(crate) fn create(
        name: &str,
        forwards: bool,
        launcher: Arc<Launcher>,
    ) -> Result<Host, LabError> {
        Ok(Host(Arc::new(Inner {
            name: name.to_owned(),
            namespace: Mutex::new(room(name, forwards)?),
            links: Mutex::default(),
            routes: Mutex::default(),
            forwards,
            launcher,
        })))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its network namespace. Another one after [`crate::Bed::power_on`].
    pub fn namespace(&self) -> NetNs {
        lock(&self.0.namespace).clone()
    }

    /// Its cables, in the order in which they were laid.
    pub fn links(&self) -> Vec<Link> {
        lock(&self.0.links).clone()
    }

    /// The cable at the interface of that name.
    pub fn link(&self, ifname: &str) -> Option<Link> {
        lock(&self.0.links).iter().find(|link| link.ifname() == ifname).cloned()
    }

    pub(crate) fn add_link(&self, link: Link) {
        lock(&self.0.links).push(link);
    }

    /// A netlink socket inside.
    pub fn netlink(&self) -> Result<Netlink, LabError> {
        self.namespace().netlink().step(|| format!("cannot open netlink on {}", self.name()))
    }

    /// Adds a route that also comes back when the host is powered on again.
    pub fn add_route(&self, route: Route) -> Result<(), LabError> {
        let what = || format!("cannot add a route on {}", self.name());
        self.netlink()?.add_route(&route).step(what)?;
        lock(&self.0.routes).push(route);
        Ok(())
    }

    /// Runs a closure in a thread on the host.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        self.namespace().run(act).step(|| format!("cannot run a thread on {}", self.name()))
    }

    /// Starts a program on the host, in a session of its own, without input; what it prints goes
    /// to the end of the file `output`.
    pub fn spawn(&self, mut command: Command, output: &Path) -> Result<Process, LabError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let open = || {
            let file = File::options().create(true).append(true).open(output)?;
            Ok::<_, std::io::Error>((file.try_clone()?, file))
        };
        let (out, err) = open().step(|| format!("cannot open {}", output.display()))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        self.spawn_as_is(command).step(|| format!("cannot start {program} on {}", self.name()))
    }

    /// Starts a program on the host with the standard streams that the command names.
    pub fn spawn_as_is(&self, command: Command) -> std::io::Result<Process> {
        let child = self.0.launcher.start(command, self.namespace())?;
        let pid = i32::try_from(lock(&child).id()).map_err(std::io::Error::other)?;
        Ok(Process { host: self.name().to_owned(), pid, child })
    }

    /// All processes on the host, those that its programs started included.
    pub fn processes(&self) -> Result<Vec<i32>, LabError> {
        let what = || format!("cannot list the processes of {}", self.name());
        let mut all = self.namespace().processes().step(what)?;
        // our own threads visit hosts; we ourselves stay
        all.retain(|&pid| pid != std::process::id().cast_signed());
        Ok(all)
    }

    fn signal_all(&self, signal: Signal) -> Result<usize, LabError> {
        let all = self.processes()?;
        for &pid in &all {
            match kill(Pid::from_raw(pid), signal) {
                // it ended by itself
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    return Err(errno)
                        .step(|| format!("cannot send {signal} to {pid} on {}", self.name()));
                }
            }
        }
        Ok(all.len())
    }

    /// Kills every process on the host, again and again until none is left.
    pub fn kill_all(&self) -> Result<(), LabError> {
        let deadline = Instant::now() + KILLED_WITHIN;
        while self.signal_all(Signal::SIGKILL)? > 0 {
            if Instant::now() > deadline {
                let what = format!("the end of all processes on {}", self.name());
                return Err(LabError::Late { what, seconds: KILLED_WITHIN.as_secs() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops every process on the host (SIGSTOP): they are there and do nothing. The kernel goes on
    /// answering for the host's addresses.
    pub fn freeze(&self) -> Result<(), LabError> {
        self.signal_all(Signal::SIGSTOP).map(drop)
    }

    /// Lets every process on the host go on (SIGCONT).
    pub fn thaw(&self) -> Result<(), LabError> {
        self.signal_all(Signal::SIGCONT).map(drop)
    }

    /// A fresh room with the same cables, addresses and routes: what a host is after a power cycle.
    pub(crate) fn reborn(&self) -> Result<(), LabError> {
        let fresh = room(self.name(), self.0.forwards)?;
        for link in self.links() {
            link.reconnect(&fresh)?;
        }
        *lock(&self.0.namespace) = fresh;
        let mut netlink = self.netlink()?;
        for route in lock(&self.0.routes).iter() {
            netlink.add_route(route).step(|| format!("cannot add a route on {}", self.name()))?;
        }
        Ok(())
    }
}

/// An empty host: addresses are usable at once, nobody asks for routers.
fn room(name: &str, forwards: bool) -> Result<NetNs, LabError> {
    let what = || format!("cannot make host {name}");
    let namespace = NetNs::create().step(what)?;
    let mut settings = Vec::new();
    for scope in ["all", "default"] {
        settings.push((format!("net/ipv6/conf/{scope}/accept_dad"), "0"));
        settings.push((format!("net/ipv6/conf/{scope}/router_solicitations"), "0"));
        if forwards {
            settings.push((format!("net/ipv6/conf/{scope}/forwarding"), "1"));
        }
    }
    if forwards {
        settings.push(("net/ipv4/ip_forward".to_owned(), "1"));
    }
    for (setting, value) in settings {
        namespace.write_sysctl(&setting, value).step(what)?;
    }
    Ok(namespace)
}

/// A program started on a host. It is not ended by dropping this handle, but with its bed.
///
/// As long as its end was not collected here, the kernel gives its number to no other process, so
/// that no signal can hit a stranger.
#[derive(Clone)]
pub struct Process {
    host: String,
    pid: i32,
    child: Arc<Mutex<Child>>,
}

impl Process {
    /// Its number in our process namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The host on which it was started.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&self) -> Result<Option<ExitStatus>, LabError> {
        lock(&self.child).try_wait().step(|| format!("cannot look after process {}", self.pid))
    }

    /// Waits for its end; `None` if it still runs after that time.
    pub fn wait(&self, within: Duration) -> Result<Option<ExitStatus>, LabError> {
        let deadline = Instant::now() + within;
        loop {
            let ended = self.ended()?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends it a signal. `false`: it had ended before.
    pub fn signal(&self, signal: Signal) -> Result<bool, LabError> {
        let mut child = lock(&self.child);
        let what = || format!("cannot send {signal} to process {}", self.pid);
        if child.try_wait().step(what)?.is_some() {
            return Ok(false);
        }
        kill(Pid::from_raw(self.pid), signal).step(what)?;
        Ok(true)
    }

    /// Kills it (SIGKILL) and collects its end.
    pub fn kill(&self) -> Result<(), LabError> {
        self.signal(Signal::SIGKILL)?;
        lock(&self.child).wait().map(drop).step(|| format!("cannot collect process {}", self.pid))
    }

    /// Stops it (SIGSTOP).
    pub fn freeze(&self) -> Result<(), LabError> {
        self.signal(Signal::SIGSTOP).map(drop)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<(), LabError> {
        self.signal(Signal::SIGCONT).map(drop)
    }
}
