//! What a container shall be, and by what ours are known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stead_core::resource::Answer;
use stead_core::state::config::{ContainerHow, MountConfig, ResourceConfig};
use stead_edge::chain;

use super::api::{Host, Mount, Policy, Shown, Wish};
use super::engine::EngineError;
use super::failed;
use crate::executor::wanted::Wanted;

/// How the names of our containers begin. Nobody else's should.
const PREFIX: &str = "stead.";
/// The label that says of which node one is: an engine may serve several, on a machine for trials.
const NODE: &str = "stead.node";
/// The label that says of which service.
const SERVICE: &str = "stead.service";
/// The label that says of which resource.
const RESOURCE: &str = "stead.resource";
/// The network that is the node's own.
const OWN_NETWORK: &str = "host";

/// What is known of it before it is there.
#[derive(Debug)]
pub(in crate::executor) struct What {
    pub(super) image: String,
    pub(super) socket: Option<PathBuf>,
    /// NODE.SERVICE.RESOURCE.
    pub(super) instance: String,
    /// What the engine calls it.
    pub(super) name: String,
    command: Vec<String>,
    how: ContainerHow,
    labels: BTreeMap<String, String>,
    variables: Vec<String>,
}

impl What {
    pub(in crate::executor) fn new(
        image: &str,
        command: &[String],
        how: &ContainerHow,
        wanted: &Wanted,
        resource: &ResourceConfig,
    ) -> Self {
        // A machine for trials may have several nodes, and all may have the service.
        let instance = format!("{}.{}", wanted.node, wanted.instance(&resource.name));
        let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let labels =
            [of(NODE, &wanted.node), of(SERVICE, &wanted.service.0), of(RESOURCE, &resource.name)];
        let ours = [
            format!("STEAD_SERVICE={}", wanted.service),
            format!("STEAD_RESOURCE={}", resource.name),
            format!("STEAD_NODE={}", wanted.node),
        ];
        let written = how.environment.iter().map(|(name, value)| format!("{name}={value}"));
        Self {
            image: image.to_owned(),
            socket: how.socket.as_ref().map(PathBuf::from),
            name: format!("{PREFIX}{instance}"),
            instance,
            command: command.to_vec(),
            how: how.clone(),
            labels: labels.into(),
            variables: ours.into_iter().chain(written).collect(),
        }
    }

    /// Whether it was made by this resource, on this node.
    pub(super) fn is_ours(&self, shown: &Shown) -> bool {
        let labels = shown.config.labels.as_ref();
        self.labels.iter().all(|(key, value)| labels.and_then(|all| all.get(key)) == Some(value))
    }

    /// The same for the engine.
    pub(super) fn wish(&self, parent: String) -> Wish {
        let ContainerHow { network, mounts, stop_signal, .. } = &self.how;
        let mount = |it: &MountConfig| Mount {
            kind: "bind",
            source: it.source.clone(),
            target: it.target.clone(),
            read_only: it.read_only,
        };
        Wish {
            image: self.image.clone(),
            cmd: self.command.clone(),
            env: self.variables.clone(),
            labels: self.labels.clone(),
            stop_signal: stop_signal.clone(),
            host_config: Host {
                cgroup_parent: parent,
                network_mode: network.clone().unwrap_or_else(|| OWN_NETWORK.to_owned()),
                mounts: mounts.iter().map(mount).collect(),
                restart_policy: Policy { name: "no" },
                auto_remove: false,
            },
        }
    }

    /// Why there is none. What the engine does not have, or does not take, it has no second time.
    pub(super) fn not_created(&self, error: &EngineError) -> Answer {
        let (image, told) = (&self.image, chain(error));
        match error.status() {
            Some(404) if told.to_lowercase().contains("image") => Answer::Hopeless(format!(
                "this node has no image {image}, and none is fetched during a takeover: type  \
                 docker pull {image}  on each node"
            )),
            Some(400 | 404) => Answer::Hopeless(told),
            Some(_) | None => failed("", error),
        }
    }
}
