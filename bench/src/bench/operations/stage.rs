//! The cluster that everything is done to, and who watches it from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::demo::fleet::{Family, Fleet, Part, Plan, ServicePlan, WEB_PORT, service_address};

use super::draw::Victim;
use crate::error::{BenchError, Step};
use crate::measure::Watch;
use crate::tools::Tools;

/// The services, with the last octets of their addresses.
pub(super) const SERVICES: [(&str, u8); 3] = [("web", 100), ("api", 101), ("parts", 102)];
/// Where agents are.
const AGENTS: &str = "/usr/lib/ocf/resource.d";
/// The sleeper of the service's first resource, and that of its agent, by what only they are told.
const SLEEPER: &str = "98765";
const SWITCHED: &str = "98766";
/// How large the disk of a node's state is.
const DISK: &str = "size=24m";

/// What stands by the words of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Keeper,
    Executor,
    Web,
    Sleeper,
    Switched,
}

/// The cluster, and its outside.
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    pub(super) watches: Vec<(&'static str, Watch)>,
    disks: Vec<PathBuf>,
    switches: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        // before the folders below are removed with the fleet
        for disk in &self.disks {
            let _ = umount2(disk, MntFlags::MNT_DETACH);
        }
    }
}

/// Mounts of this thread, and of what it starts from now on, are its own; and there is one agent
/// more.
fn mounts_of_our_own(folder: &Path) -> Result<(), BenchError> {
    unshare(CloneFlags::CLONE_NEWNS).step(|| "cannot have mounts of our own".to_owned())?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let none = None::<&str>;
    mount(none, "/", none, private, none).step(|| "cannot have mounts of our own".to_owned())?;
    let [upper, work] = ["upper", "work"].map(|name| folder.join(name));
    let agent = upper.join("trial").join("switch");
    let what = || format!("cannot make the agent {}", agent.display());
    fs::create_dir_all(upper.join("trial")).step(what)?;
    fs::create_dir(&work).step(what)?;
    fs::write(&agent, include_str!("agent.sh")).step(what)?;
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).step(what)?;
    let (upper, work) = (upper.display(), work.display());
    let data = format!("lowerdir={AGENTS},upperdir={upper},workdir={work}");
    let mounted = mount(Some("overlay"), AGENTS, Some("overlay"), MsFlags::empty(), Some(&*data));
    mounted.step(|| format!("cannot put an agent into {AGENTS} (package resource-agents)"))
}

/// Three nodes: two services of one program each, and one of two programs and an agent.
fn plan(tools: &Tools, switches: &Path) -> Plan {
    let web = |(name, octet): (&str, u8), node: &str| {
        let service = ServicePlan::web(name, &tools.stead, Family::V4, octet).prefer(&[node]);
        ServicePlan { interval: Some("500ms".to_owned()), ..service }
    };
    let [first, second, third] = SERVICES;
    let mut parts = web(third, "node3");
    let (program, monitor) = (parts.program.clone(), parts.monitor.clone());
    (parts.program, parts.monitor) = (Vec::new(), Vec::new());
    let data = format!("exec sleep {SLEEPER}");
    parts.resources = format!(
        "[[services.parts.resources]]\nname = \"data\"\n\
         program = [\"/bin/sh\", \"-c\", {data:?}]\n\
         [[services.parts.resources]]\nname = \"agent\"\nocf = \"trial:switch\"\n\
         safety = \"lease\"\nparameters = {{ folder = {switches:?} }}\nneeds = [\"data\"]\n\
         monitor-interval = \"500ms\"\n\
         [[services.parts.resources]]\nname = \"front\"\nprogram = {program:?}\n\
         monitor = {monitor:?}\nneeds = [\"agent\"]\n",
    );
    let plan = Plan::of("operations", &tools.stead, 3);
    plan.service(web(first, "node1")).service(web(second, "node2")).service(parts)
}

impl Stage {
    /// Brings everything up. To be called on a thread that ends with it.
    pub(super) fn build(tools: &Tools, folder: &Path) -> Result<Self, BenchError> {
        mounts_of_our_own(folder)?;
        let switches = folder.join("switches");
        fs::create_dir(&switches).step(|| format!("cannot make {}", switches.display()))?;
        let fleet = Fleet::build(plan(tools, &switches), tools.stop.clone())?;
        let mut stage = Self { fleet, watches: Vec::new(), disks: Vec::new(), switches };
        for node in stage.fleet.nodes() {
            let state = node.paths().state;
            let (kind, none) = (Some("tmpfs"), MsFlags::empty());
            let mounted = mount(kind, &state, kind, none, Some(DISK));
            mounted.step(|| format!("cannot mount a disk at {}", state.display()))?;
            stage.disks.push(state);
        }
        stage.fleet.found()?;
        stage.fleet.join_all()?;
        stage.fleet.wait_whole(crate::tools::PATIENCE)?;
        stage.fleet.serve()?;
        stage.fleet.wait_whole(crate::tools::PATIENCE)?;
        for (name, octet) in SERVICES {
            let service = SocketAddr::new(service_address(Family::V4, octet), WEB_PORT);
            let (client, watcher) = (stage.fleet.client(), stage.fleet.watcher());
            let watch = Watch::beside(client, watcher, &stage.fleet.macs(), service)?;
            watch.wait_steady(tools)?;
            stage.watches.push((name, watch));
        }
        Ok(stage)
    }

    pub(super) fn name(&self, node: usize) -> Result<String, BenchError> {
        let nodes = self.fleet.nodes();
        let found = nodes.get(node).map(|node| node.name().to_owned());
        found.ok_or_else(|| BenchError::Nothing(format!("there is no node {node}")))
    }

    /// What runs on a node of what belongs to services, by its command line.
    pub(super) fn processes(&self, node: &str) -> Result<BTreeMap<Kind, Vec<i32>>, BenchError> {
        let mut found: BTreeMap<Kind, Vec<i32>> = BTreeMap::new();
        for pid in self.fleet.node(node)?.host().processes()? {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let words: Vec<&str> = line.split('\0').collect();
            let has = |word: &str| words.contains(&word);
            let kind = if has("keeper") || line.starts_with("stead-keeper") {
                Kind::Keeper
            } else if has("executor") {
                Kind::Executor
            } else if has("demo-web") {
                Kind::Web
            } else if has(SLEEPER) {
                Kind::Sleeper
            } else if has(SWITCHED) {
                Kind::Switched
            } else {
                continue;
            };
            found.entry(kind).or_default().push(pid);
        }
        Ok(found)
    }

    /// Whether there is such a one on that node.
    pub(super) fn has(&self, node: &str, victim: Victim) -> Result<bool, BenchError> {
        let all = self.processes(node)?;
        let kinds = kinds(victim);
        Ok(kinds.is_empty() || kinds.iter().any(|kind| all.contains_key(kind)))
    }

    /// Sends a signal to one of those; says whether there was one.
    pub(super) fn signal(
        &self,
        node: &str,
        victim: Victim,
        signal: Signal,
        pick: u64,
    ) -> Result<Option<i32>, BenchError> {
        let part = match victim {
            Victim::Guard => Some(Part::Guard),
            Victim::Daemon => Some(Part::Daemon),
            Victim::Executor | Victim::Keeper | Victim::Program | Victim::Agent => None,
        };
        if let Some(part) = part {
            let process = self.fleet.process(node, part)?;
            let sent = process.signal(signal)?;
            return Ok(sent.then(|| process.pid()));
        }
        let kinds = kinds(victim);
        let all = self.processes(node)?;
        let pids: Vec<i32> = kinds.iter().filter_map(|it| all.get(it)).flatten().copied().collect();
        let count = u64::try_from(pids.len()).unwrap_or(1).max(1);
        let at = usize::try_from(pick % count).unwrap_or(0);
        let Some(&pid) = pids.get(at) else { return Ok(None) };
        // it may have ended just now
        Ok(kill(Pid::from_raw(pid), signal).ok().map(|()| pid))
    }

    /// Sets a switch of the agent, or takes it away.
    pub(super) fn switch(
        &self,
        node: &str,
        action: &str,
        word: Option<&str>,
    ) -> Result<(), BenchError> {
        let path = self.switches.join(format!("{node}.{action}"));
        let what = || format!("cannot set {}", path.display());
        match word {
            Some(word) => fs::write(&path, word).step(what),
            None if path.exists() => fs::remove_file(&path).step(what),
            None => Ok(()),
        }
    }

    fn filler(&self, node: &str) -> Result<PathBuf, BenchError> {
        Ok(self.fleet.node(node)?.paths().state.join("filler"))
    }

    /// Leaves no room on the disk of a node's state.
    pub(super) fn fill(&self, node: &str) -> Result<(), BenchError> {
        let path = self.filler(node)?;
        let what = || format!("cannot make {}", path.display());
        let mut file = fs::File::options().create(true).append(true).open(&path).step(what)?;
        let mut piece = vec![0x55; 1 << 20];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
        Ok(())
    }

    pub(super) fn empty(&self, node: &str) -> Result<(), BenchError> {
        let path = self.filler(node)?;
        if path.exists() {
            fs::remove_file(&path).step(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// What is not as it should be with the processes of a whole cluster; nothing if all is well.
    pub(super) fn miscounted(&self) -> Result<String, BenchError> {
        let status = self.fleet.node("node1")?.status()?;
        let holder = |service: &str| stead_holder(&status, service);
        let holders: Vec<_> = SERVICES.iter().map(|(name, _)| holder(name)).collect();
        for node in self.fleet.nodes() {
            let held = |at: usize| {
                usize::from(holders.get(at).is_some_and(|it| it.as_deref() == Some(node.name())))
            };
            let (programs, parts) = (held(0) + held(1), held(2));
            let expected = [
                (Kind::Executor, parts),
                (Kind::Web, programs + parts),
                (Kind::Sleeper, parts),
                (Kind::Switched, parts),
                // two processes around each
                (Kind::Keeper, 2 * (programs + parts)),
            ];
            let there = self.processes(node.name())?;
            for (kind, count) in expected {
                let pids = there.get(&kind).map_or(&[][..], Vec::as_slice);
                if pids.len() != count {
                    let name = node.name();
                    return Ok(format!("{name}: {kind:?} should be {count}: {pids:?}"));
                }
            }
        }
        Ok(String::new())
    }
}

/// By which processes of a service it is; by none if it is one of the node itself.
fn kinds(victim: Victim) -> &'static [Kind] {
    match victim {
        Victim::Executor => &[Kind::Executor],
        Victim::Keeper => &[Kind::Keeper],
        Victim::Agent => &[Kind::Switched],
        Victim::Program => &[Kind::Web, Kind::Sleeper],
        Victim::Guard | Victim::Daemon => &[],
    }
}

/// Who holds a service, by the word of a status.
fn stead_holder(status: &serde_json::Value, service: &str) -> Option<String> {
    let services = status["services"].as_array()?;
    let found = services.iter().find(|it| it["name"].as_str() == Some(service))?;
    found["node"].as_str().map(str::to_owned)
}
