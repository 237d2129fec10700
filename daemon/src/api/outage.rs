//! For how long a service would be out when it moves, by what was measured when it last did.

use stead_core::id::ServiceId;
use stead_core::state::{Cause, Incident, Reached, State};
use stead_core::time::Span;

/// How long the newest planned move of a service took, from the decision until it worked elsewhere;
/// nothing if none is remembered that went well.
pub(super) fn of_planned_move(state: &State, service: &ServiceId) -> Option<Span> {
    let planned = |it: &&Incident| match it.cause {
        Cause::Planned | Cause::Failback => it.moved.iter().any(|moved| moved.service == *service),
        Cause::Silent
        | Cause::Released
        | Cause::DaemonAway
        | Cause::Failed
        | Cause::Lost
        | Cause::Unreachable
        | Cause::Maintenance => false,
    };
    state.incidents.iter().rev().filter(planned).find_map(|it| took(it, service))
}

/// When it worked again: with its monitor good, if it has one.
fn took(incident: &Incident, service: &ServiceId) -> Option<Span> {
    let own = incident.stages.iter().filter(|it| it.service.as_ref() == Some(service));
    let serves =
        |reached| matches!(reached, Reached::Announced | Reached::Started | Reached::Verified);
    own.filter(|stage| serves(stage.reached)).map(|stage| stage.after).max()
}

#[cfg(test)]
mod tests {
    use stead_core::id::{Epoch, Index, NodeId};
    use stead_core::state::{Moved, Stage};

    use super::*;

    fn incident(number: u64, cause: Cause, stages: &[(&str, Reached, u64)]) -> Incident {
        let stage = |(service, reached, millis): &(&str, Reached, u64)| Stage {
            node: NodeId(2),
            service: Some((*service).into()),
            reached: *reached,
            after: Span::from_millis(*millis),
            detail: String::new(),
        };
        let moved = |service: &str| Moved {
            service: service.into(),
            to: Some(NodeId(2)),
            epoch: Epoch(number),
        };
        Incident {
            number,
            index: Index(number),
            node: NodeId(1),
            cause,
            moved: vec![moved("web"), moved("db")],
            stages: stages.iter().map(stage).collect(),
        }
    }

    #[test]
    fn the_newest_planned_move_that_went_well_counts() {
        use Reached::{Announced, Claimed, Started, Verified};
        let mut state = State::default();
        assert_eq!(of_planned_move(&state, &"web".into()), None);
        let good = [("web", Announced, 20), ("web", Verified, 900), ("db", Started, 3_000)];
        state.incidents.push_back(incident(1, Cause::Planned, &good));
        // One that never got so far, and one that nobody planned.
        state.incidents.push_back(incident(2, Cause::Planned, &[("web", Claimed, 5)]));
        state.incidents.push_back(incident(3, Cause::Silent, &[("web", Announced, 400)]));
        let known = of_planned_move(&state, &"web".into());
        assert_eq!(known, Some(Span::from_millis(900)));
        let known = of_planned_move(&state, &"db".into());
        assert_eq!(known, Some(Span::from_millis(3_000)));
        state.incidents.push_back(incident(4, Cause::Failback, &[("db", Announced, 7)]));
        assert_eq!(of_planned_move(&state, &"db".into()), Some(Span::from_millis(7)));
        assert_eq!(of_planned_move(&state, &"mail".into()), None);
    }
}
