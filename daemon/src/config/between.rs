//! Services that need each other: every name exists, and nobody waits for himself.

use std::collections::BTreeSet;

use stead_core::resource::{OrderError, order_of};
use toml::Spanned;

use super::draft::{Draft, Service};
use super::keys::nearest;
use super::problem::Findings;
use super::section::shown;

/// Holds the `needs` of all services against each other.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let mut known = true;
    for service in &draft.services {
        let mut seen = BTreeSet::new();
        for need in &service.needs {
            known &= exists(draft, service, need, findings);
            if !seen.insert(need.get_ref().as_str()) {
                let message = format!(
                    "service {} needs {} twice",
                    shown(service.name.get_ref()),
                    shown(need.get_ref())
                );
                findings.error(&need.span(), message, "once is enough: remove one of the two");
            }
        }
    }
    let named = |service: &Service| {
        let needs = service.needs.iter().map(|need| need.get_ref().clone());
        (service.name.get_ref().clone(), needs.collect())
    };
    let all: Vec<_> = draft.services.iter().map(named).collect();
    if let (true, Err(OrderError::Circle(names))) = (known, order_of(&all)) {
        let first = names.first().map(String::as_str).unwrap_or_default();
        let way = names.join(" -> ");
        let at = draft.services.iter().find(|it| it.name.get_ref() == first);
        let at = at.and_then(|it| it.needs.iter().find(|need| names.contains(need.get_ref())));
        let message = format!("services need each other in a circle: {way} -> {first}");
        let help = format!("none of them could ever start: remove it from the `needs` of {first}");
        findings.error(&at.map_or(0..0, Spanned::span), message, help);
    }
}

fn exists(
    draft: &Draft,
    service: &Service,
    need: &Spanned<String>,
    findings: &mut Findings,
) -> bool {
    let own = service.name.get_ref();
    let names = || draft.services.iter().map(|it| it.name.get_ref().as_str());
    if names().any(|name| name == need.get_ref()) {
        return true;
    }
    let others = || names().filter(|name| name != own);
    let help = match nearest(need.get_ref(), others()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!(
            "it may need other services: {}",
            shown(&others().collect::<Vec<_>>().join(", "))
        ),
    };
    let message = format!(
        "service {} needs `{}`, and there is no such service",
        shown(own),
        shown(need.get_ref())
    );
    findings.error(&need.span(), message, help);
    false
}
