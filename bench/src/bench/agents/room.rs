//! Where a trial can do no harm: the machine's files under a layer in memory, an empty network.
//!
//! It is entered by a process that has mounts of its own (`unshare --mount`), and ends with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root, sethostname};

use super::list::Entry;
use crate::error::{BenchError, Step};

/// What the host is called: some agents look their node up by it.
pub(super) const HOST: &str = "node1";
/// Where our program is, inside.
const PROGRAM: &str = "/run/stead-bench/stead";
/// How much may be written, packages included.
const SIZE: &str = "size=6g";
/// No package may start anything; and Debian's PostgreSQL makes no cluster by itself.
const FIRST: [(&str, &str, u32); 2] = [
    ("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755),
    ("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n", 0o644),
];

fn attach(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<(), BenchError> {
    let mounted = mount(source, target, kind, flags, data);
    mounted.step(|| format!("cannot mount something at {}", target.display()))
}

fn make(path: &Path) -> Result<(), BenchError> {
    fs::create_dir_all(path).step(|| format!("cannot make {}", path.display()))
}

/// Puts this process into the room; returns where our program is in it.
pub(super) fn enter(folder: &Path, stead: &Path) -> Result<PathBuf, BenchError> {
    let none = MsFlags::empty();
    attach(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    let [layers, root] = ["layers", "root"].map(|name| folder.join(name));
    for path in [&layers, &root] {
        make(path)?;
    }
    attach(Some("tmpfs"), &layers, Some("tmpfs"), none, Some(SIZE))?;
    let [upper, work] = ["upper", "work"].map(|name| layers.join(name));
    for path in [&upper, &work] {
        make(path)?;
    }
    let names = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let data = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
    attach(Some("overlay"), &root, Some("overlay"), none, Some(&data))?;
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    let shared = MsFlags::MS_BIND | MsFlags::MS_REC;
    for path in ["/dev", "/sys"] {
        attach(Some(path), &inside(path), None, shared, None)?;
    }
    attach(Some("proc"), &inside("/proc"), Some("proc"), none, None)?;
    for path in ["/run", "/tmp", "/dev/shm"] {
        attach(Some("tmpfs"), &inside(path), Some("tmpfs"), none, Some("mode=1777"))?;
    }
    let program = inside(PROGRAM);
    if let Some(folder) = program.parent() {
        make(folder)?;
    }
    fs::copy(stead, &program).step(|| format!("cannot copy {}", stead.display()))?;
    let old = inside("/mnt");
    pivot_root(&root, &old).step(|| "cannot enter the room".to_owned())?;
    chdir("/").step(|| "cannot enter the room".to_owned())?;
    let left = umount2("/mnt", MntFlags::MNT_DETACH);
    left.step(|| "cannot leave the machine's files".to_owned())?;
    sethostname(HOST).step(|| "cannot name the host".to_owned())?;
    // what it was a link to is outside
    let _ = fs::remove_file("/etc/resolv.conf");
    write(Path::new("/etc/resolv.conf"), &names, 0o644)?;
    Ok(PROGRAM.into())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), BenchError> {
    if let Some(folder) = path.parent() {
        make(folder)?;
    }
    let what = || format!("cannot write {}", path.display());
    fs::write(path, text).step(what)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).step(what)
}

/// Installs the agent's packages, and says of what version they are.
pub(super) fn install(packages: &[String]) -> Result<Vec<String>, BenchError> {
    for (path, text, mode) in FIRST {
        write(Path::new(path), text, mode)?;
    }
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    // Without it no package waits for the index of all manual pages.
    let _ = fs::remove_file("/var/lib/man-db/auto-update");
    let mut words = vec!["install", "-q", "-y", "--no-install-recommends"];
    words.extend(packages.iter().map(String::as_str));
    let installed = command("apt-get", &words);
    if installed.is_err() {
        // its lists may be old
        command("apt-get", &["update", "-q"])?;
        command("apt-get", &words)?;
    }
    let version = |package: &String| {
        let version = command("dpkg-query", &["-W", "-f", "${Package} ${Version}", package])?;
        Ok(version.trim().to_owned())
    };
    packages.iter().map(version).collect()
}

/// Runs a command to its end; what it printed.
pub(super) fn command(program: &str, words: &[&str]) -> Result<String, BenchError> {
    let mut command = Command::new(program);
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
    let output = command.output().step(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(BenchError::Command {
        command: format!("{program} {}", words.join(" ")),
        node: HOST.to_owned(),
        status: output.status.to_string(),
        said: last.to_owned(),
    })
}

/// A network that leads nowhere: `lo`, and `front` with 10.99.0.1 and a neighbour 10.99.0.2.
pub(super) fn network() -> Result<(), BenchError> {
    unshare(CloneFlags::CLONE_NEWNET).step(|| "cannot have a network of our own".to_owned())?;
    let lines = [
        "link set lo up",
        "netns add beyond",
        "link add front type veth peer name wall",
        "link set wall netns beyond",
        "link add spare type veth peer name other",
        "address add 10.99.0.1/24 dev front",
        "-n beyond address add 10.99.0.2/24 dev wall",
        "link set front up",
        "-n beyond link set wall up",
        "link set spare up",
        "link set other up",
        "route add default via 10.99.0.2",
    ];
    for line in lines {
        command("ip", &line.split(' ').collect::<Vec<_>>())?;
    }
    // the one of this network: agents look into /sys/class/net
    let sys = Path::new("/sys");
    attach(Some("sysfs"), sys, Some("sysfs"), MsFlags::empty(), None)?;
    let groups = Path::new("/sys/fs/cgroup");
    attach(Some("cgroup2"), groups, Some("cgroup2"), MsFlags::empty(), None)
}

/// Files, and commands, that the agent needs.
pub(super) fn prepare(entry: &Entry) -> Result<(), BenchError> {
    write(Path::new("/etc/hosts"), "127.0.0.1 localhost\n10.99.0.1 node1\n", 0o644)?;
    for (path, text) in &entry.files {
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        write(path, text, mode)?;
    }
    for line in &entry.prepare {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        if let Some((program, words)) = words.split_first() {
            command(program, words)?;
        }
    }
    for line in &entry.beside {
        if let Some((program, words)) = line.split_first() {
            let started = Command::new(program).args(words).spawn();
            started.step(|| format!("cannot start {program}"))?;
        }
    }
    Ok(())
}
