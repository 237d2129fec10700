//! The reference points: which node sees which, and what that means.

use serde::{Deserialize, Serialize};
use stead_core::id::ServiceId;
use stead_core::points::{View as Seeing, What};

use super::{Concern, Level, Sight};

/// One reference point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointReport {
    /// The network that it speaks for.
    pub network: String,
    /// Its address, or `gateway`.
    pub point: String,
    /// What each member sees of it, by name.
    pub nodes: Vec<PointSeen>,
}

/// What one node sees of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointSeen {
    /// The node.
    pub node: String,
    /// `answers`, `again` (not long ago it did not, while others had answers), `missed` (no
    /// answers, and nobody has better ones), `behind` (no answers, while others have some) or
    /// `unknown`.
    pub sees: String,
    /// How long ago it answered, in milliseconds.
    pub answered_ms: Option<f64>,
}

/// The point as people call it.
fn name(what: What) -> String {
    match what {
        What::Gateway => "gateway".to_owned(),
        What::Address(address) => address.to_string(),
    }
}

pub(super) fn points(sight: &Sight<'_>) -> Vec<PointReport> {
    let seen = &sight.view.seen;
    let numbered = seen.points().iter().enumerate();
    let report = |(number, point): (usize, &stead_core::points::Point)| PointReport {
        network: point.network.clone(),
        point: name(point.what),
        nodes: sight
            .view
            .state
            .members
            .iter()
            .map(|(node, member)| PointSeen {
                node: member.name.clone(),
                sees: word(seen.view(*node, number)).to_owned(),
                answered_ms: seen.age(*node, number).map(|age| age.as_millis_f64()),
            })
            .collect(),
    };
    numbered.map(report).collect()
}

fn word(seeing: Seeing) -> &'static str {
    match seeing {
        Seeing::Unknown => "unknown",
        Seeing::Answers => "answers",
        Seeing::Again => "again",
        Seeing::Missed => "missed",
        Seeing::Behind => "behind",
    }
}

/// Who is asked whether a service's network works.
pub(super) fn watched_by(sight: &Sight<'_>, service: &ServiceId) -> Vec<String> {
    let seen = &sight.view.seen;
    let points = seen.points_of(service).filter_map(|number| seen.points().get(number));
    points.map(|point| point.to_string()).collect()
}

/// Nodes that see less than others, and networks of which nobody can say anything.
pub(super) fn concerns(points: &[PointReport]) -> Vec<Concern> {
    let mut concerns = Vec::new();
    for PointReport { network, point, nodes } in points {
        for seen in nodes.iter().filter(|it| it.sees == "behind") {
            concerns.push(Concern {
                level: Level::Risk,
                what: format!(
                    "{} has no answers from {point} in the network {network}, and other nodes have",
                    seen.node
                ),
                since: None,
                next: format!(
                    "look at its cable, switch port and VLAN there; until then {} gets no service \
                     of that network",
                    seen.node
                ),
            });
        }
        let answered = nodes.iter().any(|it| matches!(it.sees.as_str(), "answers" | "again"));
        if !answered && nodes.iter().any(|it| it.sees == "missed") {
            let others = points.iter().filter(|it| it.network == *network && it.point != *point);
            let left = others.flat_map(|it| &it.nodes).any(|it| it.sees == "answers");
            concerns.push(Concern {
                level: if left { Level::Note } else { Level::Risk },
                what: format!("{point} in the network {network} answers no node"),
                since: None,
                next: "mend it, or name other reference points in cluster.toml: by this one no \
                       fault of that network is noticed"
                    .to_owned(),
            });
        }
    }
    concerns
}

/// Nodes whose network was not steady.
pub(super) fn notes(points: &[PointReport]) -> Vec<Concern> {
    let again = points.iter().flat_map(|point| {
        let nodes = point.nodes.iter().filter(|it| it.sees == "again");
        nodes.map(move |seen| Concern {
            level: Level::Note,
            what: format!(
                "{} has answers from {} in the network {} again",
                seen.node, point.point, point.network
            ),
            since: None,
            next: "wait: it gets services of that network once it has had them for a while"
                .to_owned(),
        })
    });
    let concerns = concerns(points).into_iter().filter(|it| it.level == Level::Note);
    again.chain(concerns).collect()
}
