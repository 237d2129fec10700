//! A real systemd in namespaces of its own, and executors that live among its mounts: to them it is
//! the machine's.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bed::PATIENCE;

/// What boots it.
const BOOT: &str = include_str!("systemd.sh");

/// A booted systemd. Dropped, it ends with all its units.
pub struct Systemd {
    outer: Child,
    first: i32,
    /// The control group that it takes for the root.
    tree: PathBuf,
    shared: PathBuf,
    _root: tempfile::TempDir,
}

impl Systemd {
    /// Boots one that has these units, each by its name and text. `shared` is seen inside as well.
    pub fn boot(shared: &Path, units: &[(&str, &str)]) -> Self {
        let groups = groups();
        let root = tempfile::tempdir().expect("a folder");
        let name = root.path().file_name().expect("named").to_string_lossy().into_owned();
        let tree = groups.join(format!("stead-trial{name}"));
        fs::create_dir(&tree).expect("a control group");
        for (name, text) in units {
            fs::write(shared.join(name), text).expect("written");
        }
        fs::write(shared.join("boot"), BOOT).expect("written");
        let enter = "echo $$ >\"$0/cgroup.procs\" && exec unshare --pid --mount --uts --ipc --net \
                     --fork --kill-child --propagation private bash \"$@\"";
        let log = File::create(shared.join("systemd.log")).expect("a file");
        let outer = Command::new("sh")
            .args(["-c", enter])
            .arg(&tree)
            .arg(shared.join("boot"))
            .arg(root.path())
            .arg(shared)
            .arg(env!("CARGO_BIN_EXE_stead"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("copied"))
            .stderr(log)
            .spawn()
            .expect("started");
        let shared = shared.to_owned();
        let mut systemd = Self { outer, first: 0, tree, shared, _root: root };
        systemd.wait_until_it_runs();
        systemd
    }

    fn wait_until_it_runs(&mut self) {
        let outer = self.outer.id();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
            let first = children.ok().and_then(|it| it.split(' ').next()?.parse().ok());
            self.first = first.unwrap_or(0);
            if self.first != 0 && self.systemctl(&["is-system-running"]) == "running" {
                return;
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.shared.join("systemd.log"));
                panic!("systemd does not run: {}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it as an administrator does.
    pub fn systemctl(&self, words: &[&str]) -> String {
        let first = self.first.to_string();
        let inside = ["-t", &first, "-a", "-r", "-w", "timeout", "60", "systemctl", "--no-pager"];
        let output = Command::new("nsenter").args(inside).args(words).output().expect("asked");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// One property of a unit.
    pub fn shown(&self, unit: &str, property: &str) -> String {
        self.systemctl(&["show", unit, "--property", property, "--value"])
    }

    /// The processes of a unit, as they are numbered here.
    pub fn processes(&self, unit: &str) -> Vec<i32> {
        let group = self.shown(unit, "ControlGroup");
        let path = groups().join(group.trim_start_matches('/')).join("cgroup.procs");
        let text = if group.is_empty() { None } else { fs::read_to_string(path).ok() };
        let numbers = text.unwrap_or_default();
        numbers.lines().map(|line| line.parse().expect("a number")).collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.first), signal).expect("signalled");
    }

    /// The path of the control group that it takes for the root.
    pub fn root(&self) -> String {
        self.tree.strip_prefix(groups()).expect("below").display().to_string()
    }

    /// A file inside, as it is seen from here.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first))
    }

    /// A program that is what `stead` is, with this systemd as the machine's.
    pub fn stead(&self) -> PathBuf {
        let (stead, groups) = (env!("CARGO_BIN_EXE_stead"), groups());
        // The process namespace is not changed, so /proc has to be the one of here; and control
        // groups are to be seen where the daemon, which is the test, sees them.
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = keeper ]; then\n\
             exec nsenter --mount=/proc/{}/ns/mnt unshare --mount --propagation slave sh -c '\n\
             mount -t proc proc /proc && umount -l /sys/fs/cgroup &&\n\
             mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir -p {groups} &&\n\
             mount -t cgroup2 cgroup2 {groups} && exec \"$0\" \"$@\"' {stead} \"$@\"\nfi\n\
             exec {stead} \"$@\"\n",
            self.first,
            groups = groups.display(),
        );
        let path = self.shared.join("stead");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        let _ = fs::write(self.tree.join("cgroup.kill"), "1");
        let deadline = Instant::now() + PATIENCE;
        // The kernel lets a group go when its last process is reaped.
        while !remove(&self.tree) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Removes a control group with those below it; says whether it is gone.
pub fn remove(group: &Path) -> bool {
    let below = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in below.filter(|path| path.is_dir()) {
        remove(&folder);
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

/// Where version 2 of control groups is mounted.
pub fn groups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").expect("readable");
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let line = lines.find(|line| line.get(2) == Some(&"cgroup2"));
    PathBuf::from(line.expect("this machine has no version 2 control groups")[1])
}
