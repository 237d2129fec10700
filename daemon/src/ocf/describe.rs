//! Has agents print their meta-data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use stead_core::time::Span;
use stead_linux::process::Spec;
use thiserror::Error;

use super::collect::{CollectError, collect};
use super::meta::{LONGEST, MetaData, MetaDataError};
use super::name::{AgentName, is_program, nearest, shown};
use super::{Call, environment};

/// How many agents are asked at once: most of their time they start other programs.
const AT_ONCE: usize = 4;
/// The instance that agents assume themselves where there is none (ocf-shellfuncs). Some put it
/// into the defaults of their parameters.
const NO_INSTANCE: &str = "RESOURCE_ID";

/// Why an agent's meta-data are not known. Nothing was changed: to print them changes nothing.
#[derive(Debug, Error)]
pub enum DescribeError {
    /// There is no such agent.
    #[error("there is no agent {name}: {} is no program{}", path.display(), proposal(near))]
    Missing {
        /// Its name.
        name: AgentName,
        /// Where it would be.
        path: PathBuf,
        /// One that is there and may have been meant.
        near: Option<AgentName>,
    },
    /// It gave no answer.
    #[error("{name} meta-data: no answer")]
    NoAnswer {
        /// The agent.
        name: AgentName,
        /// Why not.
        #[source]
        source: CollectError,
    },
    /// It failed.
    #[error("{name} meta-data failed with {status}: {complaint}")]
    Failed {
        /// The agent.
        name: AgentName,
        /// How it ended.
        status: ExitStatus,
        /// The last line of its complaints.
        complaint: String,
    },
    /// It printed something else.
    #[error("{name} can't be understood")]
    Unreadable {
        /// The agent.
        name: AgentName,
        /// Why not.
        #[source]
        source: MetaDataError,
    },
}

fn proposal(near: &Option<AgentName>) -> String {
    match near {
        Some(near) => format!("; did you mean {near}?"),
        None => "; `stead agents` lists those that are installed".to_owned(),
    }
}

/// Has an agent print its meta-data (OCF Resource Agent API 1.0, "meta-data") and reads them.
/// Blocks until it has, for no longer than `within`; then it is killed with all that it started.
///
/// # Errors
/// See [`DescribeError`].
pub fn describe(
    root: &Path,
    name: &AgentName,
    within: Duration,
) -> Result<MetaData, DescribeError> {
    let path = name.path(root);
    if !is_program(&path) {
        let near = nearest(root, name);
        return Err(DescribeError::Missing { name: name.clone(), path, near });
    }
    let mut spec = Spec::new(path, &["meta-data"]);
    spec.folder = Some("/".into());
    let timeout = Span::from_micros(u64::try_from(within.as_micros()).unwrap_or(u64::MAX));
    let nothing = BTreeMap::new();
    let call = Call { timeout, ..Call::new(name, NO_INSTANCE, "meta-data", &nothing) };
    spec.environment = Some(environment(root, &call));
    let no_answer = |source| DescribeError::NoAnswer { name: name.clone(), source };
    let collected = collect(spec, within, LONGEST).map_err(no_answer)?;
    if !collected.status.success() {
        let last = collected.complaints.lines().rfind(|line| !line.trim().is_empty());
        let complaint = last.map_or("it said nothing".to_owned(), |line| shown(line.trim()));
        let (name, status) = (name.clone(), collected.status);
        return Err(DescribeError::Failed { name, status, complaint });
    }
    let unreadable = |source| DescribeError::Unreadable { name: name.clone(), source };
    MetaData::read(&collected.output).map_err(unreadable)
}

/// [`describe`] for many agents, a few at once. The answers are in the order of the names.
#[must_use]
pub fn describe_all(
    root: &Path,
    names: &[AgentName],
    within: Duration,
) -> Vec<Result<MetaData, DescribeError>> {
    for_each(names, |name| describe(root, name, within))
}

/// Does that with each of these, a few at once. The results are in their order.
pub(crate) fn for_each<N: Sync, T: Send>(names: &[N], act: impl Fn(&N) -> T + Sync) -> Vec<T> {
    let next = Mutex::new(names.iter().enumerate());
    let answers = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().unwrap_or_else(|it| it.into_inner()).next();
                    let Some((at, name)) = taken else { return };
                    let answer = act(name);
                    answers.lock().unwrap_or_else(|it| it.into_inner()).insert(at, answer);
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(|it| it.into_inner()).into_values().collect()
}
