//! A node's programs in a folder of their own, and a look at what really runs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::agent::{Confinement, Keeper, Programs};
use stead::executor::State;
use stead::keeper::Form;
use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::config::{Monitor, Program, ServiceAddress, ServiceConfig};
use stead_core::time::Span;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Long enough for a machine that is busy with everything else.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const BOTH: [Confinement; 2] = [Confinement::Group, Confinement::Session];

/// A node's programs in a folder of their own. Whatever the test does, nothing of it stays behind.
pub struct Bed {
    pub dir: tempfile::TempDir,
    confinement: Confinement,
    form: Option<Form>,
    /// The program that is a keeper, and an executor.
    pub program: PathBuf,
    pub programs: Programs,
    pub events: UnboundedReceiver<Event>,
}

impl Bed {
    pub fn new(confinement: Confinement) -> Self {
        Self::with(confinement, None)
    }

    /// With keepers of that form, and no other, once there is a page to keep by.
    pub fn with(confinement: Confinement, form: Option<Form>) -> Self {
        assert!(nix::unistd::getuid().is_root(), "these tests need root");
        let dir = tempfile::tempdir().expect("a folder");
        let program = PathBuf::from(env!("CARGO_BIN_EXE_stead"));
        let (programs, events) = open_with(dir.path(), confinement, form, &program);
        Self { dir, confinement, form, program, programs, events }
    }

    /// The daemon ends without stopping anything, and another begins.
    pub fn restart(&mut self) {
        let (dir, program) = (self.dir.path(), &self.program);
        (self.programs, self.events) = open_with(dir, self.confinement, self.form, program);
        self.programs.find().expect("looked through");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self) -> PathBuf {
        run_dir(self.dir.path())
    }

    /// What the service's program has printed so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.run().join("web.log")).expect("readable")
    }

    /// A service whose program is this script.
    pub fn script(&self, text: &str) -> ServiceConfig {
        let path = self.path("script");
        fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", self.dir.path().display()))
            .expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        let command = vec!["/bin/sh".to_owned(), path.display().to_string()];
        config(Some(Program { command, stop_timeout: Span::from_millis(60_000) }))
    }

    pub fn start(&mut self, epoch: u64, config: &ServiceConfig) {
        self.programs.start(web(), Epoch(epoch), config.into());
    }

    pub fn stop(&mut self, epoch: u64) {
        self.programs.stop(web(), Epoch(epoch));
    }

    pub async fn next(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv()).await.expect("an event in time");
        event.expect("the sender is there")
    }

    /// The next event in short, monitors' successes passed over.
    pub async fn told(&mut self) -> String {
        loop {
            let short = short(&self.next().await);
            if !short.starts_with("works") {
                return short;
            }
        }
    }

    /// The next event but restarts in place, which are told again to a daemon that is new.
    pub async fn news(&mut self) -> String {
        loop {
            let told = self.told().await;
            if !told.starts_with("Restarting {") {
                return told;
            }
        }
    }

    /// Waits until all resources work.
    pub async fn works_again(&mut self) {
        let works = |bed: &Self| {
            let pictures = bed.programs.pictures();
            pictures.get(&web()).is_some_and(|picture| picture.state == State::Works)
        };
        self.wait_for("it is back in place", works).await;
    }

    pub async fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "never came true: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the script wrote something whole there.
    pub async fn read(&mut self, name: &str) -> String {
        let path = self.path(name);
        let whole = move || fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'));
        self.wait_for("the script wrote its file", |_| whole()).await;
        fs::read_to_string(self.path(name)).expect("readable")
    }

    /// Nothing of the service is left but its output.
    pub fn assert_gone(&self) {
        assert_eq!(processes(&self.run()), BTreeSet::new());
        let entries = fs::read_dir(self.run()).expect("there");
        let names: Vec<_> = entries.map(|it| it.expect("readable").file_name()).collect();
        let notes = names.iter().filter(|name| name.to_string_lossy().ends_with(".note"));
        assert_eq!(notes.count(), 0, "{names:?}");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        while !processes(&self.run()).is_empty() {
            for pid in processes(&self.run()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn open(
    dir: &Path,
    confinement: Confinement,
    form: Option<Form>,
) -> (Programs, UnboundedReceiver<Event>) {
    open_with(dir, confinement, form, env!("CARGO_BIN_EXE_stead").as_ref())
}

fn open_with(
    dir: &Path,
    confinement: Confinement,
    form: Option<Form>,
    program: &Path,
) -> (Programs, UnboundedReceiver<Event>) {
    let (sender, events) = unbounded_channel();
    let keeper = Keeper { program: program.to_owned(), form };
    let programs = Programs::confined(run_dir(dir), "node1", confinement, keeper, sender);
    (programs.expect("a folder for programs"), events)
}

pub fn run_dir(dir: &Path) -> PathBuf {
    dir.canonicalize().expect("there").join("run")
}

pub fn web() -> ServiceId {
    "web".into()
}

pub fn config(program: Option<Program>) -> ServiceConfig {
    let address = |ip: &str| ServiceAddress {
        ip: ip.parse().expect("an address"),
        prefix: 24,
        interface: None,
    };
    ServiceConfig {
        addresses: vec![address("10.0.0.100"), address("fd00::100")],
        program,
        ..Default::default()
    }
}

pub fn monitored(mut config: ServiceConfig, script: &str, timeout_ms: u64) -> ServiceConfig {
    config.monitor = Some(Monitor {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        interval: Span::from_millis(20),
        timeout: Span::from_millis(timeout_ms),
    });
    config
}

pub fn short(event: &Event) -> String {
    let with = |what: &str, epoch: &Epoch, why: &str| format!("{what} {epoch}{why}");
    let because = |why: &String| format!(": {why}");
    if let Event::Started { epoch, failed, .. } = event {
        let what = if failed.is_none() { "started" } else { "not started" };
        with(what, epoch, &failed.as_ref().map(because).unwrap_or_default())
    } else if let Event::Monitored { epoch, failed, .. } = event {
        let what = if failed.is_none() { "works" } else { "fails" };
        with(what, epoch, &failed.as_ref().map(because).unwrap_or_default())
    } else if let Event::Ended { epoch, detail, .. } = event {
        with("ended", epoch, &because(detail))
    } else if let Event::Stopped { epoch, .. } = event {
        with("stopped", epoch, "")
    } else if let Event::Found { epoch, .. } = event {
        with("found", epoch, "")
    } else {
        format!("{event:?}")
    }
}

/// All processes that were started for services of that folder, zombies excepted.
pub fn processes(run: &Path) -> BTreeSet<i32> {
    let wanted = format!("STEAD_NOTE={}/", run.display()).into_bytes();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("/proc") {
        let path = entry.expect("readable").path();
        let pid = path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok());
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        if let Some(pid) = pid
            && environment.split(|byte| *byte == 0).any(|it| it.starts_with(&wanted))
        {
            found.insert(pid);
        }
    }
    found
}

pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
