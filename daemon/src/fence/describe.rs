//! Has fence agents print their meta-data.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use stead_linux::process::Spec;
use thiserror::Error;

use super::meta::MetaData;
use super::name::{AgentName, nearest};
use super::output;
use super::surroundings::environment;
use crate::ocf::meta::LONGEST;
use crate::ocf::name::shown;
use crate::ocf::{CollectError, MetaDataError, collect};

/// Why a fence agent's meta-data are not known. Nothing was changed: to print them changes nothing.
#[derive(Debug, Error)]
pub enum DescribeError {
    /// There is no such agent.
    #[error("no fence agent {name} is installed{}", proposal(near))]
    Missing {
        /// Its name.
        name: AgentName,
        /// One that is there and may have been meant.
        near: Option<AgentName>,
    },
    /// It gave no answer.
    #[error("{name} -o metadata: no answer")]
    NoAnswer {
        /// The agent.
        name: AgentName,
        /// Why not.
        #[source]
        source: CollectError,
    },
    /// It failed.
    #[error("{name} -o metadata failed with {status}: {complaint}")]
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
        None => "; Debian has them in the package fence-agents".to_owned(),
    }
}

/// Has an agent print its meta-data and reads them. Blocks until it has, for no longer than
/// `within`; then it is killed with all that it started.
///
/// # Errors
/// See [`DescribeError`].
pub fn describe(
    folders: &[PathBuf],
    name: &AgentName,
    within: Duration,
) -> Result<MetaData, DescribeError> {
    let Some(path) = name.find(folders) else {
        let near = nearest(folders, &name.to_string());
        return Err(DescribeError::Missing { name: name.clone(), near });
    };
    describe_file(&path, name, within)
}

pub(super) fn describe_file(
    path: &Path,
    name: &AgentName,
    within: Duration,
) -> Result<MetaData, DescribeError> {
    let mut spec = Spec::new(path, &["-o", "metadata"]);
    spec.folder = Some("/".into());
    spec.environment = Some(environment());
    let no_answer = |source| DescribeError::NoAnswer { name: name.clone(), source };
    let collected = collect(spec, within, LONGEST).map_err(no_answer)?;
    if !collected.status.success() {
        let said = output::lines(collected.complaints.as_bytes(), 1);
        let complaint = said.first().map_or("it said nothing".to_owned(), |line| shown(line));
        let (name, status) = (name.clone(), collected.status);
        return Err(DescribeError::Failed { name, status, complaint });
    }
    let unreadable = |source| DescribeError::Unreadable { name: name.clone(), source };
    MetaData::read(&collected.output).map_err(unreadable)
}
