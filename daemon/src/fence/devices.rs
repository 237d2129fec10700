//! The devices of a cluster as this daemon uses them: one run at a time on each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use stead_core::state::config::{DeviceConfig, FenceAgent};
use stead_core::time::Span;
use stead_edge::chain;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::agent::{self, Told};
use super::describe::describe_file;
use super::meta::{MetaData, Outlet};
use super::name::folders;
use super::process::{How, Order, run};
use stead_edge::private::Secret;

use super::hidden::Hidden;
use super::step::{Action, Said, Step};
use super::surroundings::Surroundings;
use super::{LINES, webhook};

/// How long an agent may take to say what it is, where that has to be known.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(10);
/// What an agent is told the outlet by if it does not say how.
const PLUG: &str = "plug";

/// What all runs of one daemon share. Whoever uses devices at the same time uses the same one, so
/// that no device is asked two things at once: many take one connection only.
#[derive(Debug)]
pub struct Devices {
    surroundings: Surroundings,
    folders: Vec<PathBuf>,
    queues: Mutex<BTreeMap<String, Arc<Queue>>>,
    known: Mutex<BTreeMap<PathBuf, Known>>,
}

/// Who waits for a device.
#[derive(Debug, Default)]
struct Queue {
    /// Held while it is asked something.
    turn: tokio::sync::Mutex<()>,
    /// Held by who only looks, from before it waits: of all that look, one at most stands before
    /// somebody who has to fence.
    looking: tokio::sync::Mutex<()>,
}

/// What an agent said of itself, and when its file was changed last.
#[derive(Clone, Debug)]
struct Known {
    changed: Option<SystemTime>,
    meta: Arc<MetaData>,
}

/// One question: to which device, and what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) level: Option<usize>,
    pub(super) device: &'a str,
    pub(super) config: &'a DeviceConfig,
    pub(super) node: &'a str,
    pub(super) plug: Option<&'a str>,
    pub(super) action: Action,
    /// It is a step of fencing: it does not wait for all that only look.
    pub(super) urgent: bool,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) said: Said,
    pub(super) output: Vec<String>,
    /// All that stood on standard output, if it is known to be all.
    pub(super) whole: Option<String>,
}

impl Answer {
    fn failed(reason: impl Into<String>) -> Self {
        Self { said: Said::Failed(reason.into()), output: Vec::new(), whole: None }
    }
}

impl Devices {
    /// Those of the daemon with that folder for what must not survive a reboot. What a former
    /// daemon of that folder had run is killed. Blocks for a moment.
    #[must_use]
    pub fn of_daemon(run: &Path) -> Self {
        let surroundings = Surroundings::of_daemon(run);
        surroundings.end_left();
        Self::new(surroundings)
    }

    /// Those of this process, beside a daemon that may run as well.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(Surroundings::of_process())
    }

    fn new(surroundings: Surroundings) -> Self {
        let (queues, known) = Default::default();
        Self { surroundings, folders: folders(), queues, known }
    }

    /// The same with agents of other folders.
    #[must_use]
    pub fn with_agents_in(self, folders: Vec<PathBuf>) -> Self {
        Self { folders, ..self }
    }

    /// The same without control groups, as on a machine that has none.
    #[must_use]
    pub fn without_groups(self) -> Self {
        Self { surroundings: self.surroundings.without_groups(), ..self }
    }

    /// Asks once, when the device is free, and within that time from then on.
    pub(super) async fn ask(
        &self,
        question: &Question<'_>,
        within: Duration,
    ) -> (Step, Option<String>) {
        let began = Instant::now();
        let queue = self.queue(question.device);
        let looking = if question.urgent { None } else { Some(queue.looking.lock().await) };
        let turn = queue.turn.lock().await;
        let answer = match &question.config.agent {
            FenceAgent::Agent { name, parameters, secrets } => {
                let told = (parameters, secrets);
                self.ask_agent(name, told, question, within).await
            }
            FenceAgent::Exec { command } => self.ask_program(command, question, within).await,
            FenceAgent::Webhook { url, secret } => {
                ask_webhook(url, secret.as_deref(), question, within).await
            }
        };
        drop((turn, looking));
        let took = began.elapsed().as_micros();
        let step = Step {
            level: question.level,
            device: question.device.to_owned(),
            plug: question.plug.map(str::to_owned),
            action: question.action,
            took: Span::from_micros(u64::try_from(took).unwrap_or(u64::MAX)),
            said: answer.said,
            output: answer.output,
        };
        (step, answer.whole)
    }

    fn queue(&self, device: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(device.to_owned()).or_default().clone()
    }

    async fn ask_agent(
        &self,
        name: &str,
        (parameters, secrets): (&BTreeMap<String, String>, &BTreeMap<String, String>),
        question: &Question<'_>,
        within: Duration,
    ) -> Answer {
        let program = match agent::name(name) {
            Ok(name) => name.find(&self.folders),
            Err(reason) => return Answer::failed(reason),
        };
        let Some(program) = program else {
            return Answer::failed(format!(
                "{name} is not installed on this node; Debian has it in the package fence-agents"
            ));
        };
        let outlet = match question.plug {
            Some(plug) => Some((self.outlet(&program, name).await, plug)),
            None => None,
        };
        let (parameters, secrets) = (parameters.clone(), secrets.clone());
        let (action, plug) = (question.action, outlet);
        let plug = plug.map(|(name, plug)| (name, plug.to_owned()));
        // Files are read, and one may lie on a disk that does not answer.
        let read = spawn_blocking(move || {
            let plug = plug.as_ref().map(|(name, plug)| (name.as_str(), plug.as_str()));
            Told { parameters: &parameters, secrets: &secrets, plug, action }.lines()
        });
        let told = match timeout(within, read).await {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => return Answer::failed(error.to_string()),
            Err(_) => return Answer::failed("its secrets can't be read: the disk does not answer"),
        };
        match told {
            Ok((input, hidden)) => {
                self.run(agent::order(program, input), question.action, &hidden, within).await
            }
            Err(reason) => Answer::failed(reason),
        }
    }

    /// By which parameter an agent is told the outlet.
    async fn outlet(&self, program: &Path, name: &str) -> String {
        match self.describe(program, name).await.as_deref().map(MetaData::outlet) {
            Ok(Outlet::Optional(parameter) | Outlet::Required(parameter)) => parameter.to_owned(),
            // It says best itself what it makes of one.
            Ok(Outlet::None) | Err(_) => PLUG.to_owned(),
        }
    }

    /// What an agent says of itself, asked once for as long as its file stays as it is.
    async fn describe(&self, program: &Path, name: &str) -> Result<Arc<MetaData>, String> {
        let changed = tokio::fs::metadata(program).await.and_then(|meta| meta.modified()).ok();
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(program).filter(|it| it.changed == changed).cloned()
        };
        if let Some(known) = known {
            return Ok(known.meta);
        }
        let (path, name) = (program.to_owned(), agent::name(name)?);
        let described = spawn_blocking(move || describe_file(&path, &name, DESCRIBED_WITHIN)).await;
        let described = described.map_err(|error| error.to_string())?;
        let meta = Arc::new(described.map_err(|error| chain(&error))?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(program.to_owned(), Known { changed, meta: meta.clone() });
        Ok(meta)
    }

    /// What the agent of a device says of itself; nothing if it has none, or it is not installed.
    async fn described(&self, config: &DeviceConfig) -> Result<Option<Arc<MetaData>>, String> {
        let FenceAgent::Agent { name, .. } = &config.agent else { return Ok(None) };
        let Some(program) = agent::name(name)?.find(&self.folders) else { return Ok(None) };
        self.describe(&program, name).await.map(Some)
    }

    /// The same where nothing hangs on why it can't be had.
    pub(super) async fn meta_of(&self, config: &DeviceConfig) -> Option<Arc<MetaData>> {
        self.described(config).await.ok().flatten()
    }

    /// Whether a device leaves a node on and cuts it off. Its agent says so; one that is not
    /// installed here lets nobody in either.
    ///
    /// # Errors
    /// Why that can't be known now.
    pub async fn cuts_off(&self, config: &DeviceConfig) -> Result<bool, String> {
        Ok(self.described(config).await?.is_some_and(|meta| meta.cuts_off()))
    }

    async fn ask_program(
        &self,
        command: &[String],
        question: &Question<'_>,
        within: Duration,
    ) -> Answer {
        let Some((program, args)) = command.split_first().filter(|(file, _)| file.starts_with('/'))
        else {
            return Answer::failed("its command is empty, or not an absolute path");
        };
        let variables = [
            ("STEAD_FENCE_ACTION", question.action.name()),
            ("STEAD_FENCE_NODE", question.node),
            ("STEAD_FENCE_PLUG", question.plug.unwrap_or_default()),
        ];
        let order = Order {
            program: program.into(),
            args: args.to_vec(),
            environment: variables.map(|(name, value)| (name.into(), value.into())).into(),
            input: Vec::new(),
        };
        self.run(order, question.action, &Hidden::default(), within).await
    }

    async fn run(&self, order: Order, action: Action, hidden: &Hidden, within: Duration) -> Answer {
        let ran = match run(&self.surroundings, order, within).await {
            Ok(ran) => ran,
            Err(error) => return Answer::failed(chain(&error)),
        };
        let mut output = ran.output.tail(hidden, LINES);
        output.extend(ran.errors.tail(hidden, LINES));
        output.drain(..output.len().saturating_sub(LINES));
        let text = ran.output.text();
        let mut said = agent::said(action, ran.how, &text, &output);
        if ran.how == How::Late {
            let (seconds, gist) = (within.as_secs_f64(), agent::gist(&output));
            let said_last = gist.map(|line| format!(", it had said: {line}")).unwrap_or_default();
            said = Said::Failed(format!(
                "it did not end within {seconds} s and was killed{said_last}"
            ));
        }
        Answer { said, output, whole: Some(text).filter(|_| !ran.output.cut) }
    }
}

async fn ask_webhook(
    url: &str,
    secret: Option<&str>,
    question: &Question<'_>,
    within: Duration,
) -> Answer {
    let asked = async {
        let secret = match secret.map(PathBuf::from) {
            Some(path) => match spawn_blocking(move || Secret::read(&path)).await {
                Ok(Ok(secret)) => Some(secret),
                Ok(Err(error)) => return Answer::failed(chain(&error)),
                Err(error) => return Answer::failed(error.to_string()),
            },
            None => None,
        };
        let asked = (question.node, question.plug, question.action);
        let (said, output) = webhook::ask(url, secret.as_ref(), asked).await;
        Answer { said, output, whole: None }
    };
    let late = || Answer::failed(format!("no answer within {} s", within.as_secs_f64()));
    timeout(within, asked).await.unwrap_or_else(|_| late())
}
