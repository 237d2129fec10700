//! One agent, tried in its room. Its process is the first one there, and prints what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};
use stead::agent::{Confinement, Keeper, Programs, Wish};
use stead::config::Severity;
use stead::executor::State;
use stead::keeper::page::LeasePage;
use stead::ocf::{self, AgentName, Call, EXIT_REASON, ExitCode};
use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::config::{
    Agent, ResourceConfig, ResourceTimes, Safety, ServiceConfig, Stuck,
};
use stead_core::time::Span;
use stead_linux::clock::boottime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::list::{Entry, List};
use super::room;
use crate::error::{BenchError, Step};
use crate::measure::rounded;

/// The service, and the resource in it.
const SERVICE: &str = "trial";
const RESOURCE: &str = "agent";
/// The time between two runs of the agent's monitor.
const INTERVAL: Span = Span::from_millis(500);
/// How long the agent's thing is watched once it has started, and once it is back.
const WATCHED: Duration = Duration::from_secs(3);
/// How long each action may take.
const ACTION: Span = Span::from_millis(60_000);
/// How long is waited for what stead says.
const PATIENCE: Duration = Duration::from_secs(100);
/// How long programs may run: longer than any trial.
const LEASE: Span = Span::from_millis(3_600_000);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);
/// Where its meta-data have to come from in time.
const DESCRIBED: Duration = Duration::from_secs(30);
/// No error in the table is longer, in letters.
const LONGEST: usize = 160;

/// Tries one agent of a list, and prints what came of it as JSON. Needs mounts, processes and a
/// host name of its own.
///
/// # Errors
/// The room can't be made, or the agent's packages and files can't be had.
pub fn play(list: &Path, name: &str, stead: &Path, folder: &Path) -> Result<(), BenchError> {
    let list = List::read(list)?;
    let unknown = || BenchError::Nothing(format!("{name} is not in the list"));
    let entry = list.of(name).ok_or_else(unknown)?;
    let agent: AgentName = format!("ocf:{name}")
        .parse()
        .map_err(std::io::Error::other)
        .step(|| format!("{name} is no name of an agent"))?;
    let stead = room::enter(folder, stead)?;
    let versions = room::install(&entry.packages)?;
    room::network()?;
    room::prepare(entry)?;
    let mut found = Map::new();
    found.insert("packages".to_owned(), json!(versions));
    match ocf::describe(Path::new(ocf::ROOT), &agent, DESCRIBED) {
        Ok(meta) => {
            found.insert("meta".to_owned(), json!("read"));
            let mistakes = ocf::check(&meta, &entry.parameters);
            let errors = mistakes.iter().filter(|it| it.severity == Severity::Error);
            let errors: Vec<&str> = errors.map(|it| it.message.as_str()).collect();
            found.insert("check".to_owned(), json!(errors));
            let has = meta.action("validate-all").is_some();
            let said = if has { Some(validate(&agent, entry)?) } else { None };
            found.insert("validate".to_owned(), json!(said));
        }
        Err(error) => {
            found.insert("meta".to_owned(), json!(error.to_string()));
        }
    }
    match &entry.none {
        Some(reason) => {
            found.insert("none".to_owned(), json!(reason));
        }
        None => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime.step(|| "cannot start a runtime".to_owned())?;
            found.insert("round".to_owned(), runtime.block_on(round(&agent, entry, stead)));
        }
    }
    println!("{}", Value::Object(found));
    Ok(())
}

/// What the agent itself says of the parameters: nothing if it takes them.
fn validate(agent: &AgentName, entry: &Entry) -> Result<String, BenchError> {
    let mut call = Call::new(agent, RESOURCE, "validate-all", &entry.parameters);
    call.node = Some(room::HOST);
    let root = Path::new(ocf::ROOT);
    let what = || format!("cannot run {agent}");
    fs::create_dir_all("/run/resource-agents").step(what)?;
    let said = PathBuf::from("/run/said");
    let file = fs::File::create(&said).step(what)?;
    let mut command = Command::new(agent.path(root));
    command.arg("validate-all").env_clear().envs(ocf::environment(root, &call));
    command.stdin(Stdio::null()).stdout(file.try_clone().step(what)?).stderr(file);
    let mut child = command.spawn().step(what)?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().step(what)? {
            break status;
        }
        if began.elapsed() > DESCRIBED {
            child.kill().step(what)?;
            return Ok(format!("no answer within {} s", DESCRIBED.as_secs()));
        }
        std::thread::sleep(LOOK);
    };
    let Some(code) = status.code() else { return Ok(format!("it was killed: {status}")) };
    let code = ExitCode::from(code);
    if code == ExitCode::Success {
        return Ok(String::new());
    }
    let text = fs::read(&said).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    let reason = lines.iter().rev().find_map(|line| line.split_once(EXIT_REASON));
    let error = || lines.iter().rev().find_map(|line| Some(line.split_once("ERROR:")?.1.trim()));
    let said = reason.map(|(_, reason)| reason.trim()).or_else(error).or(lines.last().copied());
    Ok(said.map_or_else(|| code.to_string(), |said| short(&format!("{code}: {said}"))))
}

fn short(text: &str) -> String {
    let harmless = text.chars().filter(|it| !it.is_control());
    harmless.take(LONGEST).collect()
}

/// What runs the agent: all that a daemon has, without the daemon.
struct Bed {
    programs: Programs,
    events: UnboundedReceiver<Event>,
    service: ServiceId,
}

/// Start, monitor, a kill, back again, stop; each step with its time, up to the one that failed.
async fn round(agent: &AgentName, entry: &Entry, stead: PathBuf) -> Value {
    let mut found = Map::new();
    if let Err((step, why)) = steps(agent, entry, stead, &mut found).await {
        found.insert("failed".to_owned(), json!(format!("{step}: {}", short(&why))));
    }
    Value::Object(found)
}

type Failure = (&'static str, String);

async fn steps(
    agent: &AgentName,
    entry: &Entry,
    stead: PathBuf,
    found: &mut Map<String, Value>,
) -> Result<(), Failure> {
    let folder = PathBuf::from("/run/stead/programs");
    let (sender, events) = unbounded_channel();
    let keeper = Keeper { program: stead, form: None };
    let group = Confinement::Group;
    let programs = Programs::confined(folder.clone(), room::HOST, group, keeper, sender);
    let mut programs = programs.map_err(|it| ("bed", it.to_string()))?;
    // As if a guard's lease were never in danger; held until the end.
    let page = LeasePage::create().map_err(|it| ("bed", it.to_string()))?;
    page.set(boottime_after(LEASE), Epoch(0));
    let shown = page.as_fd().try_clone_to_owned().map_err(|it| ("bed", it.to_string()))?;
    programs.keep_by(Some(Arc::new(shown)));
    let mut bed = Bed { programs, events, service: SERVICE.into() };

    let began = Instant::now();
    bed.programs.start(bed.service.clone(), Epoch(1), wish(agent, entry));
    let failed = bed.started().await;
    if let Some(reason) = failed {
        let _ = bed.stopped().await;
        return Err(("start", reason));
    }
    found.insert("start_ms".to_owned(), json!(milliseconds(began)));
    bed.works_for(WATCHED).await.map_err(|it| ("monitor", it))?;
    found.insert("monitor".to_owned(), json!(true));

    let victims = if entry.no_kill { BTreeSet::new() } else { running() };
    if !victims.is_empty() {
        let began = Instant::now();
        for &pid in &victims {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        bed.is_back(&victims).await.map_err(|it| ("killed", it))?;
        found.insert("back_ms".to_owned(), json!(milliseconds(began)));
        bed.works_for(WATCHED).await.map_err(|it| ("killed", it))?;
    }

    let before = fs::read_to_string(folder.join("trial.log")).unwrap_or_default().len();
    let began = Instant::now();
    bed.stopped().await.map_err(|it| ("stop", it))?;
    found.insert("stop_ms".to_owned(), json!(milliseconds(began)));
    let log = fs::read_to_string(folder.join("trial.log")).unwrap_or_default();
    let said = log.get(before..).unwrap_or_default();
    if let Some(line) = said.lines().find(|line| line.contains("stop: ")) {
        return Err(("stop", line.to_owned()));
    }
    if running().is_empty() { Ok(()) } else { Err(("stop", "processes are left".to_owned())) }
}

fn boottime_after(time: Span) -> stead_core::time::Instant {
    stead_core::time::Instant(boottime()) + time
}

fn milliseconds(began: Instant) -> f64 {
    rounded(began.elapsed().as_secs_f64() * 1_000.0)
}

fn wish(agent: &AgentName, entry: &Entry) -> Wish {
    let config = ServiceConfig::default();
    let resource = ResourceConfig {
        name: RESOURCE.to_owned(),
        agent: Agent::Ocf {
            provider: agent.provider.clone(),
            kind: agent.kind.clone(),
            parameters: entry.parameters.clone(),
        },
        needs: BTreeSet::new(),
        times: ResourceTimes {
            start: Some(ACTION),
            stop: Some(ACTION),
            monitor: Some(ACTION),
            interval: Some(INTERVAL),
        },
        restarts: 2,
        forget_after: Span::from_millis(600_000),
        safety: Safety::Fence,
        stuck: Stuck::Wait,
    };
    Wish { resources: vec![resource], ..Wish::from(&config) }
}

impl Bed {
    async fn next(&mut self) -> Result<Event, String> {
        match timeout(PATIENCE, self.events.recv()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err("nobody looks after it any more".to_owned()),
            Err(_) => Err(format!("nothing was heard for {} s", PATIENCE.as_secs())),
        }
    }

    /// Why it did not start, if it did not.
    async fn started(&mut self) -> Option<String> {
        loop {
            match self.next().await {
                Ok(Event::Started { failed, .. }) => return failed,
                Ok(Event::Ended { detail, .. }) => return Some(detail),
                Ok(_) => {}
                Err(reason) => return Some(reason),
            }
        }
    }

    /// Its state, how often it failed, and why at last.
    fn view(&self) -> Option<(State, u64, String)> {
        let pictures = self.programs.pictures();
        let picture = pictures.get(&self.service)?;
        let part = picture.resources.first()?;
        let reason = part.reason.clone().unwrap_or_default();
        Some((picture.state.clone(), part.all_failures, reason))
    }

    /// It works all that time, with its monitor asking again and again.
    async fn works_for(&self, time: Duration) -> Result<(), String> {
        let first = self.view().map(|(_, failures, _)| failures);
        let until = Instant::now() + time;
        while Instant::now() < until {
            match self.view() {
                Some((State::Works, failures, _)) if Some(failures) == first => {}
                Some((state, _, reason)) => return Err(format!("{state:?}: {reason}")),
                None => return Err("nothing is known of it".to_owned()),
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// The failure was seen, and it works again, by other processes.
    async fn is_back(&self, victims: &BTreeSet<i32>) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let mut last = "it was not noticed".to_owned();
        while Instant::now() < until {
            if let Some((state, failures, reason)) = self.view() {
                let now = running();
                let anew = !now.is_empty() && now.is_disjoint(victims);
                if let State::Failed { reason, .. } = state {
                    return Err(reason);
                }
                if failures > 0 {
                    last = reason;
                    if state == State::Works && anew {
                        return Ok(());
                    }
                }
            }
            sleep(LOOK).await;
        }
        Err(last)
    }

    async fn stopped(&mut self) -> Result<(), String> {
        self.programs.stop(self.service.clone(), Epoch(1));
        loop {
            if let Event::Stopped { .. } = self.next().await? {
                return Ok(());
            }
        }
    }
}

/// What the agent left running: all in the keeper's process namespace but the keeper and the
/// executor, and what the agent runs just now, which is below the executor.
fn running() -> BTreeSet<i32> {
    let ours = fs::read_link("/proc/self/ns/pid").ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let mut inside = BTreeMap::new();
    for pid in pids {
        let folder = Path::new("/proc").join(pid.to_string());
        let Ok(room) = fs::read_link(folder.join("ns/pid")) else { continue };
        if Some(room) != ours {
            inside.insert(pid, (parent(&folder), kept_apart(&folder)));
        }
    }
    let is_one = |pid: &i32| {
        let mut at = *pid;
        // As far as there are parents; none is its own.
        while let Some((parent, apart)) = inside.get(&at) {
            match apart {
                Apart::Executor => return false,
                Apart::Keeper => return at != *pid,
                Apart::No => at = *parent,
            }
        }
        true
    };
    inside.keys().copied().filter(is_one).collect()
}

/// What a process is, of those that are not the agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Apart {
    Executor,
    /// Or a process that has ended, whose status nobody has taken yet.
    Keeper,
    No,
}

fn kept_apart(folder: &Path) -> Apart {
    let line = fs::read(folder.join("cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let has = |word: &[u8]| words.contains(&word);
    if line.is_empty() || line.starts_with(b"stead-keeper") || has(b"keeper") {
        Apart::Keeper
    } else if has(b"executor") {
        Apart::Executor
    } else {
        Apart::No
    }
}

fn parent(folder: &Path) -> i32 {
    let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map(|(_, after)| after);
    after.and_then(|it| it.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
