//! A real container engine (Debian's dockerd) in namespaces of its own, with an image made here.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bed::PATIENCE;
use super::systemd::{groups, remove};

/// What runs it.
const RUN: &str = include_str!("engine.sh");
/// The image that there is: a shell, and what a shell needs.
pub const IMAGE: &str = "stead-trial:1";

/// A running engine. Dropped, it ends with all its containers.
pub struct Engine {
    outer: Child,
    folder: tempfile::TempDir,
    /// What the container of the trial is called, and its control group.
    pub name: String,
}

impl Engine {
    /// One for a trial of the container of that resource.
    pub fn run(resource: &str) -> Self {
        assert!(Path::new("/usr/sbin/dockerd").exists(), "install what tests/packages.txt names");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::write(path.join("run"), RUN).expect("written");
        let log = File::create(path.join("log")).expect("a file");
        let outer = Command::new("unshare")
            .args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "bash"])
            .arg(path.join("run"))
            .arg(path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("copied"))
            .stderr(log)
            .spawn()
            .expect("started");
        let name = format!("stead.node1.web.{resource}");
        let engine = Self { outer, folder, name };
        let deadline = Instant::now() + PATIENCE;
        while engine.try_ask("GET", "/_ping", "").is_none_or(|(status, _)| status != 200) {
            let log = || fs::read_to_string(engine.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the engine does not run: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        engine.make_image();
        engine
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    fn make_image(&self) {
        let root = self.folder.path().join("image");
        fs::create_dir_all(root.join("bin")).expect("a folder");
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("copied");
        for name in ["sh", "sleep", "cat"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("linked");
        }
        let tar = Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).output();
        let tar = tar.expect("packed").stdout;
        let path = "/images/create?fromSrc=-&repo=stead-trial&tag=1";
        let (status, told) = self.try_send("POST", path, &tar).expect("answered");
        assert_eq!(status, 200, "{told}");
    }

    /// Asks it as an administrator's tool does.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_ask(method, path, body).expect("the engine answers")
    }

    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        self.try_send(method, path, body.as_bytes())
    }

    fn try_send(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
        Self::send(&self.socket(), method, path, body)
    }

    /// Asks whoever listens there; nothing if there is no whole answer.
    pub fn send(socket: &Path, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = UnixStream::connect(socket).ok()?;
        let kind = if body.starts_with(b"{") { "application/json" } else { "application/x-tar" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// The names of all containers that are there, in whatever state.
    pub fn containers(&self) -> Vec<String> {
        let (status, told) = self.ask("GET", "/containers/json?all=true", "");
        assert_eq!(status, 200, "{told}");
        let names = told.split("\"Names\":[\"/").skip(1);
        names.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    }

    /// It and all that it has beside containers.
    pub fn signal(&self, signal: Signal) {
        let outer = self.outer.id();
        let first = children(outer).into_iter().next().expect("it runs");
        let mut all = vec![first];
        all.extend(children(first.cast_unsigned()));
        for pid in all {
            kill(Pid::from_raw(pid), signal).expect("signalled");
        }
    }

    /// The control group below which the container of the trial runs.
    pub fn group(&self) -> PathBuf {
        groups().join(&self.name)
    }

    /// What runs in it, as it is numbered here.
    pub fn processes(&self) -> Vec<i32> {
        let below = fs::read_dir(self.group()).into_iter().flatten().flatten();
        let files = below.map(|entry| entry.path().join("cgroup.procs"));
        let texts = files.filter_map(|file| fs::read_to_string(file).ok());
        texts.flat_map(|text| numbers(&text)).collect()
    }

    /// What the kernel says of the group: whether it is populated and whether it is frozen.
    pub fn is(&self, what: &str) -> bool {
        let events = fs::read_to_string(self.group().join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == format!("{what} 1"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        let _ = fs::write(self.group().join("cgroup.kill"), "1");
        let deadline = Instant::now() + PATIENCE;
        // The kernel lets a group go when its last process is reaped.
        while !remove(&self.group()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn children(of: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let files = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    files.flat_map(|text| numbers(&text)).collect()
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}
