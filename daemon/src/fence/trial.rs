//! `stead fence test` and `rehearse`: ways are asked, and what fails is explained.

use std::borrow::Cow;

use stead_core::state::config::{DeviceConfig, FenceAgent, FencingConfig};

use super::devices::Devices;
use super::explain::explain;
use super::look::{Listing, Way};
use super::step::{Action, Said, Step};

/// The most outlets that a sentence lists.
const LISTED: usize = 20;
/// The parameter that has agents say more.
const VERBOSE: &str = "verbose";

/// What came of one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Whose way it is; nothing for a device that no node has.
    pub node: Option<String>,
    /// What was asked, and said.
    pub step: Step,
    /// What that means, and what to do about it.
    pub hints: Vec<String>,
}

impl Trial {
    /// What was asked of that node's devices already, with what it means.
    #[must_use]
    pub fn of(config: &FencingConfig, node: &str, step: Step) -> Self {
        let device = config.devices.get(&step.device);
        let hints = device.map(|device| explain(&step, device)).unwrap_or_default();
        Self { node: Some(node.to_owned()), step, hints }
    }

    /// Whether the way works.
    #[must_use]
    pub fn answered(&self) -> bool {
        !matches!(self.step.said, Said::Failed(_))
    }
}

impl Devices {
    /// Asks through one way, has the agent say as much as it can, and explains what failed. Nothing
    /// if there is no such device.
    pub async fn try_out(&self, config: &FencingConfig, way: &Way<'_>) -> Option<Trial> {
        let device = config.devices.get(way.device)?;
        let telling = self.telling(device).await;
        let step = self.look_through(&telling, way).await;
        let mut hints = explain(&step, device);
        let failed = matches!(step.said, Said::Failed(_));
        if (failed && way.plug.is_some()) || step.action == Action::Monitor {
            hints.extend(self.outlets_of(device, way).await);
        }
        Some(Trial { node: way.node.map(str::to_owned), step, hints })
    }

    /// The device, asked to say more.
    async fn telling<'d>(&self, device: &'d DeviceConfig) -> Cow<'d, DeviceConfig> {
        let meta = self.meta_of(device).await;
        let can = meta.is_some_and(|meta| meta.parameter(VERBOSE).is_some());
        let mut telling = Cow::Borrowed(device);
        if let FenceAgent::Agent { parameters, .. } = &device.agent
            && can
            && !parameters.contains_key(VERBOSE)
            && let FenceAgent::Agent { parameters, .. } = &mut telling.to_mut().agent
        {
            parameters.insert(VERBOSE.to_owned(), "1".to_owned());
        }
        telling
    }

    /// Which outlets it has, in a sentence; nothing if it does not tell.
    async fn outlets_of(&self, device: &DeviceConfig, way: &Way<'_>) -> Option<String> {
        let (_, Listing::Outlets(outlets)) = self.list(way.device, device).await? else {
            return None;
        };
        let names = outlets.iter().map(|outlet| match &outlet.alias {
            Some(alias) => format!("{} ({alias})", outlet.name),
            None => outlet.name.clone(),
        });
        let all: Vec<_> = names.take(LISTED).collect();
        let more = if outlets.len() > LISTED { ", and more" } else { "" };
        let has = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        Some(format!("the device lists these outlets: {has}{more}"))
    }
}
