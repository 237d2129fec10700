//! Looking without switching anything: whether each way to a node works, and which outlets a device
//! has.

use futures::future::join_all;
use stead_core::state::config::{DeviceConfig, FenceAgent, FencingConfig, Plug};

use super::attempt::within;
use super::devices::{Devices, Question};
use super::step::{Action, Said, Step};

/// What stands between the names of an outlet, where nobody says otherwise.
const SEPARATOR: &str = ",";

/// One way to a node: a plug of one of its levels. Of a device that no node has, the device alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// Whose.
    pub node: Option<&'a str>,
    /// Of which level, from 1.
    pub level: Option<usize>,
    /// The device's name.
    pub device: &'a str,
    /// The outlet.
    pub plug: Option<&'a str>,
}

/// Every way to a node, in the order of its levels.
#[must_use]
pub fn ways_to<'a>(config: &'a FencingConfig, node: &'a str) -> Vec<Way<'a>> {
    let levels = config.nodes.get(node).map_or(&[][..], |fencing| &fencing.levels);
    let of_level = |(level, plugs): (usize, &'a Vec<Plug>)| {
        plugs.iter().map(move |plug| Way {
            node: Some(node),
            level: Some(level),
            device: &plug.device,
            plug: plug.plug.as_deref(),
        })
    };
    (1..).zip(levels).flat_map(of_level).collect()
}

/// Every way through a device, by the nodes' names; the device alone if no node has it.
#[must_use]
pub fn ways_through<'a>(config: &'a FencingConfig, device: &'a str) -> Vec<Way<'a>> {
    let all = config.nodes.keys().flat_map(|node| ways_to(config, node));
    let mut ways: Vec<_> = all.filter(|way| way.device == device).collect();
    if ways.is_empty() {
        ways.push(Way { node: None, level: None, device, plug: None });
    }
    ways
}

impl Devices {
    /// Asks through every way to a node whether it is on, and switches nothing. What fails is asked
    /// again as often as its device is to be. The answers are in the order of the node's levels.
    pub async fn status_of(&self, config: &FencingConfig, node: &str) -> Vec<Step> {
        let ways = ways_to(config, node);
        let steps = ways.iter().map(|way| self.look_again(config, way));
        join_all(steps).await.into_iter().flatten().collect()
    }

    async fn look_again(&self, config: &FencingConfig, way: &Way<'_>) -> Option<Step> {
        let device = config.devices.get(way.device)?;
        let mut step = self.look_through(device, way).await;
        for _ in 0..device.retries {
            if !matches!(step.said, Said::Failed(_)) {
                break;
            }
            step = self.look_through(device, way).await;
        }
        Some(step)
    }

    /// Asks through one way whether the node is on; an agent that can't say that, whether the
    /// device works. Nothing if there is no such device.
    pub async fn look(&self, config: &FencingConfig, way: &Way<'_>) -> Option<Step> {
        Some(self.look_through(config.devices.get(way.device)?, way).await)
    }

    pub(super) async fn look_through(&self, device: &DeviceConfig, way: &Way<'_>) -> Step {
        let can = |action: Action| {
            let meta = self.meta_of(device);
            async move { meta.await.is_none_or(|meta| meta.action(action.name()).is_some()) }
        };
        let told = way.plug.is_some() || way.node.is_some();
        let is_agent = matches!(device.agent, FenceAgent::Agent { .. });
        let action = if is_agent && !(told && can(Action::Status).await) {
            Action::Monitor
        } else {
            Action::Status
        };
        let question = of_way(way, device, action);
        self.ask(&question, within(device)).await.0
    }

    /// Asks a device which outlets it has; nothing if its agent can't be asked that.
    pub async fn list(&self, device: &str, config: &DeviceConfig) -> Option<(Step, Listing)> {
        let meta = self.meta_of(config).await?;
        meta.action(Action::List.name())?;
        let way = Way { node: None, level: None, device, plug: None };
        let (step, whole) = self.ask(&of_way(&way, config, Action::List), within(config)).await;
        let FenceAgent::Agent { parameters, .. } = &config.agent else { return None };
        let separator = parameters.get("separator").map_or("", String::as_str);
        let separator = if separator.is_empty() { SEPARATOR } else { separator };
        let listing = match (&step.said, whole) {
            (Said::Failed(reason), _) => Listing::Failed(reason.clone()),
            (Said::Done | Said::On | Said::Off, whole) => {
                let outlets = whole.and_then(|text| outlets(&text, separator));
                outlets.map_or(Listing::Unknown, Listing::Outlets)
            }
        };
        Some((step, listing))
    }
}

fn of_way<'a>(way: &Way<'a>, config: &'a DeviceConfig, action: Action) -> Question<'a> {
    let Way { node, level, device, plug } = *way;
    let node = node.unwrap_or_default();
    Question { level, device, config, node, plug, action, urgent: false }
}

/// An outlet, as its device lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// By what it is told.
    pub name: String,
    /// What people call it.
    pub alias: Option<String>,
}

/// What became of the question which outlets a device has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is not one that could tell.
    Unknown,
    /// It did not tell.
    Failed(String),
    /// It has these.
    Outlets(Vec<Listed>),
}

/// Asks several devices at the same time which outlets they have. Blocks until all have answered or
/// failed; not to be called where a runtime runs. The answers are in the order of the devices.
#[must_use]
pub fn list_all(devices: &[(&str, &DeviceConfig)]) -> Vec<Listing> {
    if devices.is_empty() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return vec![Listing::Failed(error.to_string()); devices.len()],
    };
    let all = Devices::of_process();
    let listing = async |(name, config): &(&str, &DeviceConfig)| {
        all.list(name, config).await.map_or(Listing::Unknown, |(_, listing)| listing)
    };
    runtime.block_on(join_all(devices.iter().map(listing)))
}

/// What stands in the list that an agent prints (FenceAgentAPI): one outlet a line, its name, a
/// separator and another name. Nothing if it says in words that it can't list any.
fn outlets(text: &str, separator: &str) -> Option<Vec<Listed>> {
    let outlet = |line: &str| {
        let (name, alias) = line.split_once(separator).unwrap_or((line, ""));
        let (name, alias) = (name.trim(), alias.trim());
        let alias = (!alias.is_empty()).then(|| alias.to_owned());
        (!name.is_empty()).then(|| Listed { name: name.to_owned(), alias })
    };
    let words = |line: &str| line.trim() == "N/A" || line.starts_with("NOTICE:");
    (!text.lines().any(words)).then(|| text.lines().filter_map(outlet).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_outlets_and_words() {
        let outlet = |name: &str, alias: Option<&str>| Listed {
            name: name.to_owned(),
            alias: alias.map(str::to_owned),
        };
        let text = "1,web\n2,\n 3 , data base \n\nvm-4\n";
        let wanted = [
            outlet("1", Some("web")),
            outlet("2", None),
            outlet("3", Some("data base")),
            outlet("vm-4", None),
        ];
        assert_eq!(outlets(text, ",").unwrap(), wanted);
        assert_eq!(outlets("a;b\n", ";").unwrap(), [outlet("a", Some("b"))]);
        assert_eq!(outlets("", ",").unwrap(), []);
        assert_eq!(outlets("N/A\n", ","), None);
        assert_eq!(outlets("NOTICE: List option is not working on this device yet\n", ","), None);
    }
}
