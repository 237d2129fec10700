//! The order of a service's resources.

use stead_core::resource::{OrderError, order};
use stead_core::state::config::{Agent, ProcessHow, ResourceConfig, ResourceTimes, Safety, Stuck};
use stead_core::time::Span;

fn named(name: &str, needs: &[&str]) -> ResourceConfig {
    ResourceConfig {
        name: name.to_owned(),
        agent: Agent::Process {
            command: vec!["/bin/true".to_owned()],
            monitor: None,
            how: ProcessHow::default(),
        },
        needs: needs.iter().map(|it| (*it).to_owned()).collect(),
        times: ResourceTimes::default(),
        restarts: 3,
        forget_after: Span::from_millis(1_000),
        safety: Safety::Lease,
        stuck: Stuck::Wait,
    }
}

#[test]
fn needs_are_found_and_circles_named() {
    let fine = [named("c", &["a", "b"]), named("a", &[]), named("b", &["a"])];
    assert_eq!(order(&fine), Ok(vec![vec![1, 2], vec![], vec![1]]));
    assert_eq!(order(&[]), Ok(vec![]));
    let unknown = OrderError::Unknown { by: "a".to_owned(), needs: "x".to_owned() };
    assert_eq!(order(&[named("a", &["x"])]), Err(unknown));
    assert_eq!(order(&[named("a", &[]), named("a", &[])]), Err(OrderError::Twice("a".to_owned())));
    assert_eq!(order(&[named("a", &["a"])]), Err(OrderError::Circle(vec!["a".to_owned()])));
    let circle = [named("x", &["a"]), named("a", &["b"]), named("b", &["c"]), named("c", &["a"])];
    let Err(OrderError::Circle(found)) = order(&circle) else { panic!("no circle was found") };
    assert_eq!(found, ["a", "b", "c"]);
}
