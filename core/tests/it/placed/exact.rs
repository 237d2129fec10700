//! Plans beside the best that there are, by an exact solver (branch and bound over binary
//! variables): how much is lost by planning in a fraction of a second.

use std::collections::BTreeMap;

use expect_test::expect;
use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use stead_core::id::ServiceId;
use stead_core::placement::{Importances, Plan};
use stead_core::state::Holder;
use stead_core::state::config::{Config, Place, ServiceRules, Strength};

use super::bed::Cluster;
use super::properties;

/// How many clusters are compared.
const CLUSTERS: usize = 300;

/// What a service that runs is worth: one of the higher class is worth more than all of the lower.
fn worth(importance: u8) -> f64 {
    if importance > 50 { 20.0 } else { 1.0 }
}

fn must(strength: Strength) -> bool {
    strength == Strength::Must
}

/// A small cluster as a problem of integers: which service is on which node.
struct Model<'a> {
    config: &'a Config,
    nodes: Vec<String>,
    problem: Problem,
    on: BTreeMap<(&'a ServiceId, usize), Variable>,
}

impl<'a> Model<'a> {
    fn new(cluster: &'a Cluster, nodes: Vec<String>) -> Self {
        let config = cluster.state.config.as_ref().expect("there");
        let mut problem = Problem::new(OptimizationDirection::Maximize);
        let mut on = BTreeMap::new();
        let importances = Importances::new(config);
        for service in config.services.keys() {
            for (number, node) in nodes.iter().enumerate() {
                let rules = config.rules(service).cloned().unwrap_or_default();
                let is = |places: &[Place]| places.iter().any(|it| config.is_there(node, it));
                if (rules.only.is_empty() || is(&rules.only)) && !is(&rules.never) {
                    let worth = worth(importances.of(service));
                    on.insert((service, number), problem.add_binary_var(worth));
                }
            }
        }
        Self { config, nodes, problem, on }
    }

    fn at_most(&mut self, terms: &[(Variable, f64)], most: f64) {
        self.problem.add_constraint(terms, ComparisonOp::Le, most);
    }

    fn of(&self, service: &ServiceId) -> Vec<(usize, Variable)> {
        let all = self.on.iter().filter(|((known, _), _)| *known == service);
        all.map(|((_, node), variable)| (*node, *variable)).collect()
    }

    fn once_and_within(&mut self) {
        for service in self.config.services.keys() {
            let terms: Vec<_> = self.of(service).into_iter().map(|(_, it)| (it, 1.0)).collect();
            self.at_most(&terms, 1.0);
        }
        for number in 0..self.nodes.len() {
            for quantity in ["memory", "cpu"] {
                let uses = |service: &ServiceId| {
                    let uses = self.config.rules(service)?.uses.get(quantity)?;
                    Some(*uses as f64)
                };
                let here = self.on.iter().filter(|((_, node), _)| *node == number);
                let terms: Vec<_> =
                    here.filter_map(|((service, _), it)| Some((*it, uses(service)?))).collect();
                let most = self.config.capacity(&self.nodes[number], quantity) as f64;
                self.at_most(&terms, most);
            }
        }
    }

    fn pairs(&mut self) {
        let all: Vec<_> = self.config.later.fencing.rules.services.iter().collect();
        for (one, rules) in all {
            for (other, _) in rules.apart.iter().filter(|(_, strength)| must(**strength)) {
                self.apart(one, other, rules);
            }
            for (other, _) in rules.together.iter().filter(|(_, strength)| must(**strength)) {
                for (here, first) in self.of(one) {
                    for (there, second) in self.of(other) {
                        if here != there {
                            self.at_most(&[(first, 1.0), (second, 1.0)], 1.0);
                        }
                    }
                }
            }
        }
    }

    fn apart(&mut self, one: &ServiceId, other: &ServiceId, rules: &ServiceRules) {
        let label = |node: usize| {
            let label = rules.apart_by.as_ref()?;
            self.config.label(&self.nodes[node], label).map(str::to_owned)
        };
        let mut pairs = Vec::new();
        for (here, first) in self.of(one) {
            for (there, second) in self.of(other) {
                if here == there || label(here).is_some() && label(here) == label(there) {
                    pairs.push([(first, 1.0), (second, 1.0)]);
                }
            }
        }
        pairs.iter().for_each(|pair| self.at_most(pair, 1.0));
    }
}

/// The most that can run, by worth.
fn best(cluster: &Cluster) -> f64 {
    let nodes = cluster.state.members.values().map(|member| member.name.clone()).collect();
    let mut model = Model::new(cluster, nodes);
    model.once_and_within();
    model.pairs();
    let outcome = model.problem.solve().expect("nothing is always possible");
    outcome.into_solution().expect("to its end").objective().round()
}

fn worth_of(cluster: &Cluster, plan: &Plan) -> f64 {
    let config = cluster.state.config.as_ref().expect("there");
    let importances = Importances::new(config);
    let runs = plan.decisions.iter().filter(|(_, it)| it.to.is_some());
    runs.map(|(service, _)| worth(importances.of(service))).sum()
}

#[test]
fn plans_are_hardly_worse_than_the_best() {
    let mut runner = TestRunner::deterministic();
    let clusters = properties::cluster(5, 9);
    let (mut as_good, mut important, mut had, mut could) = (0, 0, 0.0, 0.0);
    for _ in 0..CLUSTERS {
        let mut cluster = clusters.new_tree(&mut runner).expect("a cluster").current();
        // Nothing runs yet: nothing is bound to where it is.
        let all = cluster.state.assignments.values_mut();
        all.for_each(|assignment| assignment.holder = Holder::Never);
        cluster.state.standby.clear();
        let (plan, best) = (cluster.plan(), best(&cluster));
        assert_eq!(cluster.broken(&plan), []);
        let worth = worth_of(&cluster, &plan);
        assert!(worth <= best, "better than the best: {}", cluster.tell(&plan));
        as_good += usize::from(worth == best);
        important += usize::from((worth / 20.0).floor() >= (best / 20.0).floor());
        (had, could) = (had + worth, could + best);
    }
    let percent = 100.0 * had / could;
    let all = [
        format!("of {CLUSTERS} clusters:"),
        format!("{as_good} are as good as the best"),
        format!("{important} with as much that is important"),
        format!("{percent:.2} % of what could run does"),
    ];
    expect![[r#"
        of 300 clusters:
        290 are as good as the best
        296 with as much that is important
        99.06 % of what could run does
    "#]]
    .assert_eq(
        &(all.join(
            "
",
        ) + "
"),
    );
}
