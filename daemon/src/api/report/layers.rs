//! By which layers clients are led to a service here, and by which they are not yet.

use serde::{Deserialize, Serialize};
use stead_core::id::ServiceId;
use stead_core::redirect::{Layer, StepView};

use super::{Concern, Level, Sight};

/// One layer of a service, on the node that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayerReport {
    /// Which: `mac`, `arp`, `route`, `dns` or `knowledge`.
    pub layer: String,
    /// It was announced.
    pub announced: bool,
    /// Who sees by it that the service is here; nothing if nobody has looked, or could.
    pub seen_by: Option<String>,
    /// What is wrong, if anything is.
    pub trouble: Option<String>,
}

/// The layers of a service that is here, the lowest first.
pub(super) fn layers(sight: &Sight<'_>, name: &ServiceId) -> Vec<LayerReport> {
    let report = |it: &StepView| LayerReport {
        layer: it.layer.name().to_owned(),
        announced: it.announced,
        seen_by: it.seen_by.clone(),
        trouble: it.trouble.clone(),
    };
    sight.view.layers.get(name).into_iter().flatten().map(report).collect()
}

/// Clients that may not be led here, though the service is.
pub(super) fn concerns(sight: &Sight<'_>) -> Vec<Concern> {
    let me = &sight.view.identity.name;
    let troubled = sight.view.layers.iter().flat_map(|(service, layers)| {
        layers.iter().filter_map(move |it| Some((service, it.layer, it.trouble.as_ref()?)))
    });
    let concern = |(service, layer, trouble): (&ServiceId, Layer, &String)| Concern {
        level: Level::Risk,
        what: format!(
            "{service} is on {me}, and not all clients are led there by {layer}: {trouble}"
        ),
        since: None,
        next: format!("it is tried again by itself; {}", hint(layer)),
    };
    troubled.map(concern).collect()
}

/// Where to look.
const fn hint(layer: Layer) -> &'static str {
    match layer {
        Layer::Mac | Layer::Arp => {
            "see whether the switches let addresses move: `stead redirect probe`"
        }
        Layer::Route => "see the routing daemon, and what its neighbours let through",
        Layer::Dns => "see the name servers and the key of the zone",
        Layer::Knowledge => "see `stead status` on the node that says otherwise",
    }
}
