//! A resource that an OCF agent looks after.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stead_core::resource::{Answer, Operation};
use stead_core::state::config::{ResourceConfig, ResourceTimes};
use stead_core::time::Span;
use stead_edge::chain;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::members;
use super::operator::{Ended, command, signal_name};
use super::others::{Happened, Known};
use super::run::MONITOR_INTERVAL;
use super::say;
use super::surroundings::Surroundings;
use super::wanted::Wanted;
use crate::agent::output;
use crate::config::Severity;
use crate::ocf::{self, AgentName, Call, DescribeError, EXIT_REASON, ExitCode, MetaData};
use crate::tools;

/// How long an action may take for which neither the file nor the agent names a time.
pub const TIMEOUT: Span = Span::from_millis(20_000);
/// How long an agent may take to say what it is.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(10);
/// How many lines of an agent are searched for its reason.
const SEARCHED: usize = 20;
/// The folder, beside that of programs, of what agents remember until the machine restarts.
/// Whatever user an agent becomes may write there, as in Debian's /run/resource-agents.
const TEMPORARY: &str = "agents";

/// What stands for the node's name in the value of a parameter.
const NODE: &str = "{node}";

/// One resource and its agent.
#[derive(Debug)]
pub(super) struct OcfAgent {
    agent: AgentName,
    parameters: BTreeMap<String, String>,
    instance: String,
    node: String,
    times: ResourceTimes,
    temporary: PathBuf,
    /// What stands in for Pacemaker's tools, where the daemon has put that.
    tools: Option<PathBuf>,
    /// Where these find the daemon.
    api: PathBuf,
    /// The other copies, if the service has any.
    pub(super) known: Option<Known>,
    surroundings: Surroundings,
    described: OnceCell<MetaData>,
    /// How long its output was when it was called last.
    printed: AtomicU64,
}

impl OcfAgent {
    pub(super) fn new(
        provider: &str,
        kind: &str,
        parameters: &BTreeMap<String, String>,
        wanted: &Wanted,
        resource: &ResourceConfig,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            agent: AgentName { provider: provider.to_owned(), kind: kind.to_owned() },
            parameters: parameters
                .iter()
                .map(|(name, value)| of_node(name, value, wanted))
                .collect(),
            instance: wanted.instance(&resource.name),
            node: wanted.node.clone(),
            times: resource.times,
            temporary: wanted.folder.with_file_name(TEMPORARY),
            tools: Some(tools::folder(&wanted.folder)).filter(|folder| folder.is_dir()),
            api: tools::api(&wanted.folder),
            known: None,
            surroundings,
            described: OnceCell::new(),
            printed: AtomicU64::new(0),
        }
    }

    pub(super) async fn perform(&self, operation: Operation) -> Answer {
        match operation {
            Operation::Probe => self.probe().await,
            Operation::Start => match self.act("start", None).await {
                Ok(ExitCode::Success) => Answer::Works,
                Ok(code) => self.refused("start", code),
                Err(reason) => Answer::Failed(format!("start: {reason}")),
            },
            Operation::Monitor => {
                self.monitor(self.times.interval.or(Some(MONITOR_INTERVAL))).await
            }
            Operation::Stop => match self.act("stop", None).await {
                // To stop what does not run is no failure (OCF 1.0), whatever an agent calls it.
                Ok(ExitCode::Success | ExitCode::NotRunning) => Answer::Stopped,
                Ok(code) => self.refused("stop", code),
                Err(reason) => Answer::Failed(format!("stop: {reason}")),
            },
            Operation::Kill => self.kill().await,
            Operation::Promote => self.change_role("promote").await,
            Operation::Demote => self.change_role("demote").await,
            Operation::Notify => self.notify().await,
        }
    }

    /// Whether it is there. Also finds out whether the agent takes what was written for it.
    async fn probe(&self) -> Answer {
        let meta = match self.described().await {
            Ok(meta) => meta,
            Err(reason) => return Answer::Hopeless(reason),
        };
        let mistakes = meta.map(|meta| ocf::check(meta, &self.parameters)).unwrap_or_default();
        if let Some(mistake) = mistakes.iter().find(|it| it.severity == Severity::Error) {
            return Answer::Hopeless(format!("{}; {}", mistake.message, mistake.help));
        }
        self.monitor(None).await
    }

    async fn monitor(&self, interval: Option<Span>) -> Answer {
        match self.act("monitor", interval).await {
            Ok(ExitCode::Success | ExitCode::Degraded) => Answer::Works,
            Ok(ExitCode::RunningPromoted | ExitCode::DegradedPromoted) => Answer::Promoted,
            Ok(ExitCode::NotRunning) => Answer::Stopped,
            Ok(code) => self.refused("monitor", code),
            Err(reason) => Answer::Failed(format!("monitor: {reason}")),
        }
    }

    /// Kills what its agent started, and believes that it is gone only if the agent says so.
    async fn kill(&self) -> Answer {
        if let Err(reason) = members::kill(&self.surroundings).await {
            return Answer::Failed(format!("killed, and {reason}"));
        }
        match self.monitor(None).await {
            Answer::Stopped => Answer::Stopped,
            // What it left behind (files, addresses) its agent may clear away now.
            Answer::Works | Answer::Promoted | Answer::Failed(_) | Answer::Hopeless(_) => {
                match self.act("stop", None).await {
                    Ok(ExitCode::Success | ExitCode::NotRunning) => Answer::Stopped,
                    Ok(code) => self.refused("stop, after a kill", code),
                    Err(reason) => Answer::Failed(format!("stop, after a kill: {reason}")),
                }
            }
        }
    }

    async fn change_role(&self, action: &str) -> Answer {
        match self.act(action, None).await {
            // What is demoted by being stopped may say so.
            Ok(ExitCode::Success | ExitCode::RunningPromoted) => Answer::Works,
            Ok(ExitCode::NotRunning) if action == "demote" => Answer::Stopped,
            Ok(code) => self.refused(action, code),
            Err(reason) => Answer::Failed(format!("{action}: {reason}")),
        }
    }

    /// Tells the agent all that became of the other copies, one thing at a time.
    async fn notify(&self) -> Answer {
        let next = || self.known.as_ref()?.next(&self.surroundings.resource);
        while let Some(happened) = next() {
            let told = self.call("notify", None, Some(&happened)).await;
            let failed = match told {
                Ok(ExitCode::Success) => None,
                Ok(code) => Some(code.to_string()),
                Err(reason) => Some(reason),
            };
            if let Some(failed) = failed {
                say(format_args!("{}: notify: {failed}", self.surroundings.resource));
            }
        }
        Answer::Works
    }

    /// What the agent says of itself; nothing if it did not say so this time, which a busy machine
    /// may be to blame for.
    ///
    /// # Errors
    /// There is no such agent here.
    async fn described(&self) -> Result<Option<&MetaData>, String> {
        let describe = || async {
            let agent = self.agent.clone();
            let asked = move || ocf::describe(Path::new(ocf::ROOT), &agent, DESCRIBED_WITHIN);
            match spawn_blocking(asked).await {
                Ok(Ok(meta)) => Ok(meta),
                Ok(Err(error @ DescribeError::Missing { .. })) => Err(Some(chain(&error))),
                Ok(Err(error)) => {
                    say(format_args!("{}: {}", self.surroundings.resource, chain(&error)));
                    Err(None)
                }
                Err(_) => Err(None),
            }
        };
        match self.described.get_or_try_init(describe).await {
            Ok(meta) => Ok(Some(meta)),
            Err(None) => Ok(None),
            Err(Some(missing)) => Err(missing),
        }
    }

    /// How long an action may take: what the file says, or the agent, or a time that suits most.
    fn within(&self, action: &str) -> Span {
        let said = match action {
            "start" | "promote" => self.times.start,
            "stop" | "demote" => self.times.stop,
            "notify" => None,
            _ => self.times.monitor,
        };
        let advised = self.described.get().and_then(|meta| meta.action(action)?.timeout);
        said.or(advised).unwrap_or(TIMEOUT)
    }

    /// Calls the agent.
    async fn act(&self, action: &str, interval: Option<Span>) -> Result<ExitCode, String> {
        self.call(action, interval, None).await
    }

    async fn call(
        &self,
        action: &str,
        interval: Option<Span>,
        happened: Option<&Happened>,
    ) -> Result<ExitCode, String> {
        let within = self.within(action);
        let mut call = Call::new(&self.agent, &self.instance, action, &self.parameters);
        call.timeout = within;
        call.interval = interval;
        call.node = Some(&self.node);
        call.temporary = Some(&self.temporary);
        call.tools = self.tools.as_deref();
        let meta = self.known.as_ref().map(|known| known.meta(happened));
        call.meta = meta.as_ref();
        let root = Path::new(ocf::ROOT);
        let mut told = ocf::environment(root, &call);
        told.push((tools::API.into(), self.api.clone().into()));
        let path = &self.surroundings.output;
        temporary(&self.temporary)
            .map_err(|error| format!("can't make {}: {error}", self.temporary.display()))?;
        // What it leaves running goes on printing there.
        let (output, length) = output::go_on(path)
            .map_err(|error| format!("can't write to {}: {error}", path.display()))?;
        self.printed.store(length, Ordering::Relaxed);
        let spec = self.surroundings.spec(&self.agent.path(root), &[action], told, output);
        match command(spec, within).await {
            Ended::Status(status) => Ok(ExitCode::from(status)),
            Ended::Signal(number) => {
                Err(format!("the agent was killed by {}", signal_name(number)))
            }
            Ended::Not(reason) => Err(match self.said() {
                Some(line) => format!("{reason}, it said: {line}"),
                None => reason,
            }),
        }
    }

    /// An action that did not do what it should. Some codes mean that no second try can.
    fn refused(&self, action: &str, code: ExitCode) -> Answer {
        let reason = match self.said() {
            Some(line) => format!("{action}: {code}, it said: {line}"),
            None => format!("{action}: {code}"),
        };
        match code {
            ExitCode::Arguments
            | ExitCode::Unimplemented
            | ExitCode::Permission
            | ExitCode::NotInstalled
            | ExitCode::NotConfigured => Answer::Hopeless(reason),
            ExitCode::Success
            | ExitCode::Generic
            | ExitCode::NotRunning
            | ExitCode::RunningPromoted
            | ExitCode::FailedPromoted
            | ExitCode::Degraded
            | ExitCode::DegradedPromoted
            | ExitCode::Other(_) => Answer::Failed(reason),
        }
    }

    /// The reason that the agent gave, or else its last line.
    fn said(&self) -> Option<String> {
        let from = self.printed.load(Ordering::Relaxed);
        let lines = output::lines_since(&self.surroundings.output, from, SEARCHED);
        let reason = lines.iter().rev().find_map(|line| {
            line.split_once(EXIT_REASON).map(|(_, reason)| reason.trim().to_owned())
        });
        reason.or_else(|| lines.last().cloned())
    }
}

/// A parameter as it is on this node: `{node}` stands for its name.
fn of_node(name: &str, value: &str, wanted: &Wanted) -> (String, String) {
    (name.to_owned(), value.replace(NODE, &wanted.node))
}

/// Makes the folder where everybody may write, and remove what is his own only.
fn temporary(folder: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(folder) {
        Ok(()) => std::fs::set_permissions(folder, Permissions::from_mode(0o1777)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
