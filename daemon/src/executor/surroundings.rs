//! What every process of a resource is given.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use stead_core::state::config::ResourceConfig;
use stead_linux::process::{Mark, Spec};

use super::say;
use super::wanted::Wanted;
use crate::agent::cgroup::Group;

/// Names the resource, in the environment of all that belongs to it.
pub(super) const RESOURCE: &str = "STEAD_RESOURCE";
/// Names the note of the service.
pub(super) const NOTE: &str = "STEAD_NOTE";
/// How the names of resources' control groups begin.
const GROUP: &str = "resource-";

/// What is shared by all that one resource runs.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) resource: String,
    pub(super) note: PathBuf,
    pub(super) output: PathBuf,
    pub(super) group: Option<Group>,
    /// This process's own, which the daemon gave it.
    inherited: Vec<(OsString, OsString)>,
}

impl Surroundings {
    /// Makes the resource's control group, if there can be one.
    pub(super) fn new(wanted: &Wanted, resource: &ResourceConfig) -> Self {
        let group = wanted.group.as_ref().and_then(|above| {
            let name = format!("{GROUP}{}", resource.name);
            let complain = |error: &io::Error| {
                say(format_args!("{}: no control group of its own: {error}", resource.name));
            };
            Group::at(above.clone()).below(&name).inspect_err(complain).ok()
        });
        Self {
            resource: resource.name.clone(),
            note: wanted.note.clone(),
            output: wanted.output(&resource.name),
            group,
            inherited: std::env::vars_os().collect(),
        }
    }

    /// A command of the resource, with what is told to it beside what all are told.
    pub(super) fn spec(
        &self,
        program: &Path,
        args: &[&str],
        told: Vec<(OsString, OsString)>,
        output: File,
    ) -> Spec {
        let mut spec = Spec::new(program, args);
        let ours = |name: &OsString| !told.iter().any(|(other, _)| other == name);
        let inherited = self.inherited.iter().filter(|(name, _)| ours(name));
        let mut environment: Vec<_> = inherited.cloned().collect();
        environment.extend(told.iter().cloned());
        environment.push((RESOURCE.into(), self.resource.clone().into()));
        spec.environment = Some(environment);
        spec.folder = Some("/".into());
        spec.output = Some(output);
        spec.mark = Mark { note: None, cgroup: self.door() };
        spec
    }

    fn door(&self) -> Option<File> {
        let door = self.group.as_ref()?.door();
        let complain = |error: &io::Error| {
            say(format_args!("{}: outside of its group: {error}", self.resource))
        };
        door.inspect_err(complain).ok()
    }

    /// What only its own processes have in their environment.
    pub(super) fn variables(&self) -> Vec<Vec<u8>> {
        let mut note = format!("{NOTE}=").into_bytes();
        note.extend_from_slice(self.note.as_os_str().as_encoded_bytes());
        vec![note, format!("{RESOURCE}={}", self.resource).into_bytes()]
    }
}
