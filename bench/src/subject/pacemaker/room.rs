//! The room of one node: namespaces of its own, and folders of its own where the programs write.
//!
//! `unshare` makes the namespaces and starts this program in them as the first process ([`live`]),
//! which lays the node's folders over the system's. Commands enter by `nsenter`. When the host is
//! killed, the first process goes, and the kernel ends all that was in the room.

use std::convert::Infallible;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::wait::wait;
use nix::unistd::{Group, User, sethostname};
use stead_lab::Host;

use crate::error::{BenchError, Step};
use crate::tools::{PATIENCE, Tools};

/// Laid over the system's folders of the same name. What survives a node's death stands first.
const FOLDERS: [&str; 6] =
    ["etc/corosync", "etc/pacemaker", "var/lib/pacemaker", "var/lib/corosync", "var/log", "run"];
/// Made in them.
const INSIDE: [&str; 12] = [
    "/run/lock",
    "/run/resource-agents",
    "/run/corosync",
    "/run/corosync-qdevice",
    "/run/corosync-qnetd",
    "/var/log/corosync",
    "/run/crm",
    "/var/log/pacemaker",
    "/var/lib/pacemaker/blackbox",
    "/var/lib/pacemaker/cib",
    "/var/lib/pacemaker/cores",
    "/var/lib/pacemaker/pengine",
];
/// Those that belong to Pacemaker's own user.
const OWN: [&str; 7] = [
    "/run/crm",
    "/var/log/pacemaker",
    "/var/lib/pacemaker",
    "/var/lib/pacemaker/blackbox",
    "/var/lib/pacemaker/cib",
    "/var/lib/pacemaker/cores",
    "/var/lib/pacemaker/pengine",
];
/// It is there once the room is furnished.
const READY: &str = "run/ready";
/// How often the first process looks for orphans where it has none.
const REST: Duration = Duration::from_millis(200);

/// An open room.
pub(super) struct Room {
    host: Host,
    root: PathBuf,
    /// The first process, by its number on the bed.
    first: i32,
    commands: AtomicU64,
}

impl Room {
    /// Opens a room on a host. What lies in `root` from an earlier life is its disk.
    pub(super) fn open(tools: &Tools, host: &Host, root: &Path) -> Result<Self, BenchError> {
        let run = root.join("run");
        match fs::remove_dir_all(&run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).step(|| format!("cannot empty {}", run.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]);
        command.arg("--mount-proc").arg(&tools.own);
        command.args(["part", "live", host.name()]).arg(root);
        let log = root.join("room.log");
        let process = host.spawn(command, &log)?;
        let what = format!("the room of {} is furnished", host.name());
        tools.wait_until(&what, PATIENCE, || match process.ended()? {
            None => Ok(root.join(READY).exists()),
            Some(status) => Err(BenchError::Command {
                command: "unshare".to_owned(),
                node: host.name().to_owned(),
                status: status.to_string(),
                said: fs::read_to_string(&log).unwrap_or_default(),
            }),
        })?;
        let first = first_process(host, process.pid())?;
        let (host, root) = (host.clone(), root.to_owned());
        Ok(Self { host, root, first, commands: AtomicU64::new(0) })
    }

    /// The node's name.
    pub(super) fn name(&self) -> &str {
        self.host.name()
    }

    /// Its folders.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn enter(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first.to_string());
        command.args(["--mount", "--uts", "--ipc", "--pid", "--"]).args(words);
        command
    }

    /// Starts a program that stays.
    pub(super) fn start(&self, words: &[&str]) -> Result<(), BenchError> {
        let program = words.first().copied().unwrap_or_default();
        self.host.spawn(self.enter(words), &self.root.join(format!("{program}.log")))?;
        Ok(())
    }

    /// Runs a command to its end; what it printed.
    pub(super) fn run(&self, words: &[&str]) -> Result<String, BenchError> {
        let typed = words.join(" ");
        let what = || format!("cannot run `{typed}` on {}", self.name());
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(format!("command-{number}"));
        let output = File::create(&path).step(what)?;
        let mut command = self.enter(words);
        command.stdin(Stdio::null()).stderr(output.try_clone().step(what)?).stdout(output);
        let process = self.host.spawn_as_is(command).step(what)?;
        let ended = process.wait(PATIENCE)?;
        if ended.is_none() {
            process.kill()?;
        }
        let said = fs::read(&path).step(what)?;
        fs::remove_file(&path).step(what)?;
        let said = String::from_utf8_lossy(&said).into_owned();
        match ended {
            Some(status) if status.success() => Ok(said),
            Some(_) | None => Err(BenchError::Command {
                command: typed,
                node: self.name().to_owned(),
                status: ended.map_or("no end".to_owned(), |status| status.to_string()),
                said: said.trim().to_owned(),
            }),
        }
    }
}

/// The child of `unshare`, by its number on the bed: the one that `nsenter` will see there.
fn first_process(host: &Host, unshare: i32) -> Result<i32, BenchError> {
    let what = || format!("cannot find the first process of {}", host.name());
    for pid in host.processes()? {
        // others may end at any moment
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        if field(&status, "PPid:").next() == Some(unshare) {
            // from our numbers inwards: ..., the bed's, the room's
            let numbers: Vec<i32> = field(&status, "NSpid:").collect();
            let bed = numbers.len().checked_sub(2).and_then(|at| numbers.get(at)).copied();
            return bed.ok_or_else(|| std::io::Error::other("it has no number there")).step(what);
        }
    }
    Err(std::io::Error::other("unshare has no child")).step(what)
}

fn field<'a>(status: &'a str, key: &'a str) -> impl Iterator<Item = i32> + 'a {
    let line = status.lines().find_map(move |line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().filter_map(|word| word.parse().ok())
}

/// Life of a room's first process: furnishes it, and then buries orphans until it is killed.
///
/// # Errors
/// The room can't be furnished.
pub fn live(name: &str, root: &Path) -> Result<Infallible, BenchError> {
    furnish(name, root)?;
    File::create(root.join(READY)).step(|| format!("cannot tell that {name} is ready"))?;
    loop {
        if wait().is_err() {
            std::thread::sleep(REST);
        }
    }
}

fn furnish(name: &str, root: &Path) -> Result<(), BenchError> {
    let nothing = None::<&str>;
    sethostname(name).step(|| format!("cannot be called {name}"))?;
    for folder in FOLDERS {
        let (ours, theirs) = (root.join(folder), Path::new("/").join(folder));
        let what = || format!("cannot lay {} over {}", ours.display(), theirs.display());
        fs::create_dir_all(&ours).step(what)?;
        fs::create_dir_all(&theirs).step(what)?;
        mount(Some(&ours), &theirs, nothing, MsFlags::MS_BIND, nothing).step(what)?;
    }
    let shared = "/dev/shm";
    let what = || format!("cannot mount {shared}");
    mount(Some("tmpfs"), shared, Some("tmpfs"), MsFlags::empty(), nothing).step(what)?;
    for folder in INSIDE {
        fs::create_dir_all(folder).step(|| format!("cannot make {folder}"))?;
    }
    let user = User::from_name("hacluster").step(|| "cannot look for a user".to_owned())?;
    let group = Group::from_name("haclient").step(|| "cannot look for a group".to_owned())?;
    let user = user.map(|user| user.uid.as_raw());
    let group = group.map(|group| group.gid.as_raw());
    for folder in OWN {
        let what = || format!("cannot give {folder} to hacluster");
        chown(folder, user, group).step(what)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o770)).step(what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_process_are_read_from_its_status() {
        let status = "Name:\tx\nPid:\t90\nPPid:\t80\nNSpid:\t90\t12\t1\n";
        assert_eq!(field(status, "PPid:").collect::<Vec<_>>(), [80]);
        assert_eq!(field(status, "NSpid:").collect::<Vec<_>>(), [90, 12, 1]);
        assert_eq!(field(status, "None:").next(), None);
    }
}
