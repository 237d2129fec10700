//! `layers` and `on` of an address.

use stead_core::redirect::Layer;
use toml::Spanned;

use super::OfAddress;
use crate::config::keys::nearest;
use crate::config::problem::Findings;
use crate::config::rules;
use crate::config::section::{Section, shown};

/// The layers that an address can have; the others belong to a service.
const OF_ADDRESS: [Layer; 3] = [Layer::Arp, Layer::Mac, Layer::Route];

/// Reads what an address says beside where it is.
pub(in crate::config) fn of_address(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> OfAddress {
    let on = rules::places("on", section, findings);
    rules::not_empty("on", on.as_ref(), section, findings);
    OfAddress { layers: layers(section, findings), on: rules::spanned("on", on, section) }
}

fn layers(section: &Section<'_, '_>, findings: &mut Findings) -> Vec<Spanned<Layer>> {
    let mut layers: Vec<Spanned<Layer>> = Vec::new();
    let Some(texts) = section.texts("layers", findings) else { return layers };
    if texts.is_empty() && section.list("layers", findings).is_some_and(<[_]>::is_empty) {
        let message = format!("`layers` of {} is empty", section.place);
        let help = "nobody would learn where it is: leave the key out for ARP alone";
        findings.error(&section.at("layers"), message, help);
    }
    for text in texts {
        let Some(layer) = layer(&text, section, findings) else { continue };
        if layers.iter().any(|it| it.get_ref() == layer.get_ref()) {
            let message = format!("layer `{}` twice in {}", layer.get_ref(), section.place);
            findings.error(&layer.span(), message, "once is enough: remove one of the two");
        } else {
            layers.push(layer);
        }
    }
    let both = |layer| layers.iter().find(|it| *it.get_ref() == layer);
    if let (Some(_), Some(mac)) = (both(Layer::Arp), both(Layer::Mac)) {
        let message = "an address has either its own MAC or that of the node's card";
        let help = "keep one of \"arp\" and \"mac\": with \"mac\" neighbours are told as well";
        findings.error(&mac.span(), message, help);
    }
    layers
}

fn layer(
    text: &Spanned<String>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Option<Spanned<Layer>> {
    let named = |layer: &Layer| layer.name() == text.get_ref();
    if let Some(layer) = OF_ADDRESS.into_iter().find(named) {
        return Some(Spanned::new(text.span(), layer));
    }
    let message = format!("`{}` is no layer of an address", shown(text.get_ref()));
    let help = match Layer::ALL.into_iter().find(named) {
        Some(Layer::Dns) => "the names of a service stand beside its addresses:  \
                             names = [\"www.shop.example\"]"
            .to_owned(),
        Some(_) => "documents for clients are for all services:  documents = 7420  in [redirect]"
            .to_owned(),
        None => match nearest(text.get_ref(), OF_ADDRESS.iter().map(|it| it.name())) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("there are arp, mac and route:  {}", section.example("layers")),
        },
    };
    findings.error(&text.span(), message, help);
    None
}
