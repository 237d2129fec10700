//! The agent's one loop: what is heard, what came of files, what time brings.

use std::path::Path;
use std::time::Duration;

use stead_edge::chain;
use stead_linux::durable::{WriteError, write_atomically};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::agent::Agent;
use super::apply::Applier;
use super::config::{Config, ConfigError};
use super::known::{Known, KnownError};
use super::template::{self, TemplateError};
use super::watch::listen;
use super::{file, status};
use crate::knowledge::Trust;
use crate::notify::{Notifier, Retries};

/// Words of servers, and outcomes of files, that wait for the loop.
const WAITING: usize = 64;
/// How long changes are gathered before the status is written.
const GATHER: Duration = Duration::from_millis(200);
/// How often it is looked what has expired.
const LOOK: Duration = Duration::from_secs(10);
/// How long messages may take that wait when the agent ends.
const LAST_WORDS: Duration = Duration::from_secs(5);
const MODE: u32 = 0o644;

/// The agent does not run, or ran until that happened. Files are as they were.
#[derive(Debug, Error)]
pub enum RunError {
    /// Its configuration.
    #[error("the configuration can't be used")]
    Config(#[from] ConfigError),
    /// A template.
    #[error("a template can't be used")]
    Template(#[from] TemplateError),
    /// Its memory.
    #[error("what was known can't be read")]
    Known(#[from] KnownError),
    /// A thread broke off.
    #[error("the start broke off; see the log")]
    Thread,
}

/// Looks at a configuration and at its templates; touches nothing and asks nobody.
///
/// # Errors
/// [`RunError::Config`], [`RunError::Template`].
pub fn check(config: &Path) -> Result<Config, RunError> {
    let config = Config::load(config)?;
    config.files.iter().try_for_each(|file| template::check(&file.template))?;
    Ok(config)
}

/// Does what the configuration says until `ending` is true or its sender is gone.
///
/// # Errors
/// See [`RunError`]: what is wrong at the start. Later failures are told, and tried again.
pub async fn run(config: &Path, mut ending: watch::Receiver<bool>) -> Result<(), RunError> {
    let path = config.to_owned();
    let opened = spawn_blocking(move || {
        let config = check(&path)?;
        let trust = Trust::new(&config.cluster, config.trust.iter().copied());
        let known = Known::open(&config.state, trust)?;
        Ok::<_, RunError>((config, known))
    });
    let (config, known) = opened.await.map_err(|_| RunError::Thread)??;
    tracing::info!(
        cluster = config.cluster,
        services = config.services.len(),
        servers = config.watch.len(),
        files = config.files.len(),
        "the agent begins"
    );
    let notifier = Notifier::start(config.notify.clone(), Retries::default());
    let notes = known.files();
    let files = config.files.clone().into_iter();
    let appliers: Vec<_> = files.map(|file| Applier::new(file, &notes)).collect();
    let state = status::file(&config.state);
    let mut agent = Agent::new(config, known, notifier);
    agent.publish_all();
    turn(&mut agent, appliers, &state, &mut ending).await;
    write(&agent, &state).await;
    agent.into_notifier().finish(LAST_WORDS).await;
    Ok(())
}

/// Goes round until it is told to end; whatever was being run then is killed.
async fn turn(
    agent: &mut Agent,
    appliers: Vec<Applier>,
    state: &Path,
    ending: &mut watch::Receiver<bool>,
) {
    let (hears, mut heard) = mpsc::channel(WAITING);
    let (tells, mut outcomes) = mpsc::channel(WAITING);
    let (knows, _) = watch::channel(agent.snapshot());
    let mut tasks = JoinSet::new();
    for source in agent.sources() {
        tasks.spawn(listen(source, hears.clone()));
    }
    for (number, applier) in appliers.into_iter().enumerate() {
        tasks.spawn(file::keep(number, applier, knows.subscribe(), tells.clone()));
    }
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut write_at = Some(Instant::now());
    loop {
        let gathered = async {
            match write_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over(ending) => return,
            Some(word) = heard.recv() => {
                if agent.on_heard(word) {
                    knows.send_replace(agent.snapshot());
                }
            }
            Some(outcome) = outcomes.recv() => agent.on_outcome(outcome),
            _ = look.tick() => if !agent.on_time() { continue },
            () = gathered => {
                write(agent, state).await;
                write_at = None;
                continue;
            }
        }
        write_at = write_at.or_else(|| Some(Instant::now() + GATHER));
    }
}

async fn over(ending: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends it as well.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// Writes the status. If that fails, it is old, which its time tells.
async fn write(agent: &Agent, path: &Path) {
    // Names, numbers and texts have a form in JSON.
    let text = serde_json::to_vec_pretty(&agent.status()).unwrap_or_default();
    let path = path.to_owned();
    let written = spawn_blocking(move || write_atomically(&path, &text, MODE)).await;
    let written: Result<(), WriteError> = written.unwrap_or(Ok(()));
    if let Err(error) = written {
        tracing::warn!(error = chain(&error), "the status can't be written");
    }
}
