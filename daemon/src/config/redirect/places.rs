//! Where in the file stands what a configuration uses, for what is kept for somebody else.

use std::ops::Range;

use stead_core::state::Registered;

use crate::config::draft::Draft;

/// All addresses, names and announced prefixes, each with its place.
pub(in crate::config) fn places(draft: &Draft) -> Vec<(Registered, Range<usize>)> {
    let mut places = Vec::new();
    for ip in draft.nodes.iter().flat_map(|it| &it.addresses).filter_map(|it| it.ip.as_ref()) {
        places.push((Registered::Address(*ip.get_ref()), ip.span()));
    }
    for service in &draft.services {
        let addresses = service.addresses.iter();
        places.extend(addresses.map(|it| (Registered::Address(it.get_ref().ip), it.span())));
        let names = service.named.names.iter();
        places.extend(names.map(|it| (Registered::Name(it.get_ref().name.clone()), it.span())));
    }
    let prefixes = draft.redirect.prefixes.iter();
    places.extend(prefixes.map(|it| (Registered::Prefix(*it.get_ref()), it.span())));
    places
}
