//! Each seed is another world: faults for a while, then none, and all must be in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::{OpenError, Snapshots, StoreError};

use super::drive::SLOW;
use super::fabric::{CALM, Weather};
use super::rng::Rng;
use super::world::{World, run_for, virtually};

/// How many seeds, unless SEEDS says otherwise; FROM says where they begin. SEED tries one, with
/// its story if TRACE is set.
const SEEDS: u64 = 100;
/// Virtual milliseconds of faults.
const FAULTS: u64 = 20_000;

/// What one seed's world is like. Each kind of fault has a chance in a thousand per step, and many
/// seeds are without it.
struct Plan {
    nodes: u64,
    weather: Weather,
    snapshots: Snapshots,
    proposals: u64,
    chances: BTreeMap<&'static str, u64>,
}

const KINDS: [(&str, u64); 13] = [
    ("partition", 12),
    ("one-way cut", 12),
    ("heal", 40),
    ("power cut", 8),
    ("torn write", 8),
    ("sync failure", 3),
    ("restart", 5),
    ("silent guard", 8),
    ("slow disk", 15),
    ("campaign", 10),
    ("voters", 6),
    ("snapshot", 10),
    ("lost disk", 2),
];

impl Plan {
    fn of(rng: &mut Rng) -> Self {
        let mut weather = CALM;
        weather.delay = rng.pick(&[(0, 1), (0, 5), (1, 40)]).unwrap_or(weather.delay);
        weather.lost = rng.pick(&[0, 0, 20, 150]).unwrap_or_default();
        weather.doubled = rng.pick(&[0, 30, 300]).unwrap_or_default();
        weather.late = rng.pick(&[0, 10, 60]).unwrap_or_default();
        let chances = KINDS.iter().map(|(kind, chance)| {
            let on = *kind == "heal" || rng.chance(600);
            (*kind, if on { *chance } else { 0 })
        });
        let chances = chances.collect();
        let snapshots = rng.pick(&[Snapshots::default(), Snapshots { every: 12, keep: 4 }]);
        Self {
            nodes: 3 + rng.below(3),
            weather,
            snapshots: snapshots.unwrap_or_default(),
            proposals: 50 + rng.below(300),
            chances,
        }
    }
}

struct Trial {
    world: World,
    rng: Rng,
    plan: Plan,
    /// Who shall vote when all is over.
    wanted: BTreeSet<NodeId>,
    /// Those whose disks are gone.
    lost: BTreeSet<NodeId>,
    next_node: u64,
    changing: Option<tokio::task::JoinHandle<()>>,
}

impl Trial {
    async fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0);
        let plan = Plan::of(&mut rng);
        let mut world = World::new(seed);
        world.snapshots = plan.snapshots;
        world.found(plan.nodes).await;
        let wanted = (1..=plan.nodes).map(NodeId).collect();
        let lost = BTreeSet::new();
        Self { world, rng, next_node: plan.nodes + 1, plan, wanted, lost, changing: None }
    }

    fn comes(&mut self, kind: &'static str) -> bool {
        let comes = self.rng.chance(self.plan.chances[kind]);
        if comes {
            self.world.history().count(kind);
            self.world.note(kind);
        }
        comes
    }

    fn any(&mut self) -> Option<NodeId> {
        self.rng.pick(&self.world.running())
    }

    async fn step(&mut self) {
        self.network();
        self.power().await;
        self.revive().await;
        self.clients();
        self.consensus();
        self.voters().await;
        let step = 2 + self.rng.below(18);
        run_for(step).await;
        self.world.check();
    }

    fn network(&mut self) {
        if self.comes("partition") {
            let all: Vec<NodeId> = self.world.nodes.keys().copied().collect();
            let (one, other): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|_| self.rng.chance(500));
            self.world.fabric.split(&one, &other);
        }
        if self.comes("one-way cut") {
            let all: Vec<NodeId> = self.world.nodes.keys().copied().collect();
            if let (Some(from), Some(to)) = (self.rng.pick(&all), self.rng.pick(&all)) {
                self.world.fabric.cut(from, to);
            }
        }
        if self.comes("heal") {
            self.world.fabric.heal();
        }
    }

    async fn power(&mut self) {
        let Some(node) = self.any() else { return };
        if self.comes("power cut") {
            self.world.power_cut(node);
        } else if self.comes("torn write") {
            let steps = self.rng.below(12);
            self.world.nodes[&node].drive.cut_after(steps);
        } else if self.comes("sync failure") {
            self.world.nodes[&node].drive.fail_syncs();
        } else if self.comes("restart") {
            self.world.stop(node).await;
        } else if self.comes("slow disk") {
            let pace = if self.rng.chance(500) { SLOW } else { (0, 1) };
            self.world.nodes[&node].drive.pace(pace);
        } else if self.comes("lost disk") {
            self.lose_disk(node).await;
        }
    }

    /// The node comes back on an empty disk, is refused, and is replaced by one that is new.
    async fn lose_disk(&mut self, node: NodeId) {
        // One at a time: a cluster that has lost a majority of its disks has lost its log.
        if !self.is_settled() || self.wanted.len() < 3 {
            return;
        }
        self.world.power_cut(node);
        let promised = self.world.history().promised(node);
        self.world.add(node);
        let opened = self.world.start(node).await;
        if promised > 0 && !matches!(opened, Err(OpenError::Store(StoreError::Lost))) {
            self.world.history().wrong(format!("node {node} took part without its log"));
        }
        self.world.stop(node).await;
        self.lost.insert(node);
        self.wanted.remove(&node);
        self.newcomer().await;
    }

    async fn newcomer(&mut self) {
        let node = NodeId(self.next_node);
        self.next_node += 1;
        self.world.add(node);
        self.world.start(node).await.unwrap();
        self.wanted.insert(node);
    }

    /// Those whose power or disk failed come back after a while.
    async fn revive(&mut self) {
        for node in self.world.running() {
            let drive = &self.world.nodes[&node].drive;
            if drive.is_dead() || (!drive.works() && self.rng.chance(30)) {
                self.world.history().count("stopped by the disk");
                self.world.power_cut(node);
            }
        }
        for node in self.absent() {
            if self.rng.chance(25) {
                self.bring_back(node).await;
            }
        }
    }

    /// The power may go again while the node starts, and its disk may be no better.
    async fn bring_back(&mut self, node: NodeId) {
        if let Err(error) = self.world.start(node).await {
            let at = self.world.nodes.get_mut(&node).unwrap();
            if at.drive.works() {
                self.world.history().wrong(format!("node {node} does not open: {error:?}"));
            } else {
                at.drive = at.drive.power_cut();
            }
        }
    }

    /// Down, with a disk that is still there.
    fn absent(&self) -> Vec<NodeId> {
        let nodes = self.world.nodes.iter();
        let absent = nodes.filter(|(id, node)| node.running.is_none() && !self.lost.contains(id));
        absent.map(|(id, _)| *id).collect()
    }

    fn clients(&mut self) {
        if self.rng.chance(self.plan.proposals) {
            // Mostly to one who believes to lead; an old leader does so too.
            let leaders: Vec<NodeId> = self
                .world
                .running()
                .into_iter()
                .filter(|node| self.world.nodes[node].role() == stead_log::Role::Leader)
                .collect();
            let target = if self.rng.chance(900) { self.rng.pick(&leaders) } else { self.any() };
            if let Some(node) = target {
                for _ in 0..=self.rng.below(3) {
                    let deadline = self.rng.millis(50, 3_000);
                    drop(self.world.propose(node, deadline));
                }
            }
        }
        if self.rng.chance(60)
            && let Some(node) = self.any()
        {
            let deadline = self.rng.millis(50, 2_000);
            self.world.read(node, deadline);
        }
    }

    fn consensus(&mut self) {
        if self.comes("campaign")
            && let Some(to) = self.any()
        {
            self.world.campaign(to);
        }
        if self.comes("silent guard") {
            for node in self.world.running() {
                let silent = self.rng.chance(300);
                self.world.silence_guard(node.0, silent);
            }
        }
        if self.comes("snapshot")
            && let Some(node) = self.any()
        {
            let log = self.world.log(node.0).clone();
            tokio::spawn(async move { log.snapshot().await });
        }
    }

    /// Someone is to go, or a new one to come.
    async fn voters(&mut self) {
        if self.is_settled() && self.comes("voters") {
            let all: Vec<NodeId> = self.wanted.iter().copied().collect();
            let many = u64::try_from(all.len()).unwrap_or(u64::MAX);
            if many < 3 || (many < 6 && self.rng.chance(500)) {
                self.newcomer().await;
            } else if let Some(node) = self.rng.pick(&all) {
                self.wanted.remove(&node);
            }
        }
        self.operate();
    }

    /// The operator makes the voters who they shall be, one step at a time.
    fn operate(&mut self) {
        if self.changing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let Some(leader) = self.world.claims_to_lead() else { return };
        let now = self.world.status(leader.0).membership;
        let members: BTreeSet<NodeId> = now.voters.union(&now.learners).copied().collect();
        let comes = self.wanted.difference(&now.voters).next().copied();
        let goes = members.difference(&self.wanted).next().copied();
        let change = match (comes, goes) {
            (Some(node), _) => Some((node, true)),
            (None, Some(node)) => Some((node, false)),
            (None, None) => None,
        };
        if let Some((node, add)) = change {
            let task = self.world.change_voters(leader, node, add);
            self.changing = Some(tokio::spawn(async move {
                drop(task.await);
                run_for(100).await;
            }));
        }
    }

    /// Lifts all faults, and waits until every wanted node is where the others are.
    async fn heal(&mut self) {
        self.world.note("all faults are lifted");
        self.world.fabric.heal();
        self.world.fabric.weather(CALM);
        let all: Vec<NodeId> = self.world.nodes.keys().copied().collect();
        for node in all {
            if !self.world.nodes[&node].drive.works() {
                self.world.power_cut(node);
            }
            let at = self.world.nodes.get_mut(&node).unwrap();
            if !at.drive.works() {
                at.drive = at.drive.power_cut();
            }
            at.drive.pace((0, 1));
            at.drive.stay_on();
        }
        for node in self.absent() {
            self.bring_back(node).await;
        }
        for node in self.world.running() {
            self.world.silence_guard(node.0, false);
        }
        for _ in 0..600 {
            self.operate();
            run_for(50).await;
            self.world.check();
            if self.is_settled() {
                break;
            }
        }
        self.all_in_one_place().await;
    }

    fn is_settled(&self) -> bool {
        let Some(leader) = self.world.claims_to_lead() else { return false };
        let now = self.world.status(leader.0).membership;
        now.voters == self.wanted && now.learners.is_empty()
    }

    async fn all_in_one_place(&mut self) {
        for node in self.world.running() {
            if !self.wanted.contains(&node) {
                self.world.stop(node).await;
            }
        }
        let last = self.world.put().await;
        self.world.wait("all nodes in one place", |world| world.is_level(last)).await;
    }
}

/// What a seed came to: the hash of its trace, and how often what happened in it.
pub struct Outcome {
    pub hash: u64,
    pub counts: BTreeMap<&'static str, u64>,
    pub virtual_time: Duration,
}

pub fn trial(seed: u64) -> Outcome {
    virtually(seed, async {
        let start = tokio::time::Instant::now();
        let mut trial = Trial::new(seed).await;
        trial.world.fabric.weather(trial.plan.weather);
        while start.elapsed() < Duration::from_millis(FAULTS) {
            trial.step().await;
        }
        trial.heal().await;
        let history = trial.world.history();
        Outcome {
            hash: history.hash(),
            counts: history.counts.clone(),
            virtual_time: start.elapsed(),
        }
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_seed_is_safe_and_ends_in_one_place() {
    if let Some(seed) = number("SEED") {
        println!("seed {seed}: trace {:016x}", trial(seed).hash);
        return;
    }
    let from = number("FROM").unwrap_or(0);
    let mut failed = Vec::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut virtual_time, start) = (Duration::ZERO, std::time::Instant::now());
    for seed in from..from + number("SEEDS").unwrap_or(SEEDS) {
        let Ok(outcome) = std::panic::catch_unwind(|| trial(seed)) else {
            failed.push(seed);
            if failed.len() == 10 {
                break;
            }
            continue;
        };
        virtual_time += outcome.virtual_time;
        for (what, count) in outcome.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    println!("{} virtual s in {} s", virtual_time.as_secs(), start.elapsed().as_secs());
    println!("{counts:#?}");
    let again = "SEED=n TRACE=1 cargo test --release -p stead-log --test it seeded -- --nocapture";
    assert!(failed.is_empty(), "seeds {failed:?} failed; see one by: {again}");
    for (kind, _) in KINDS {
        assert!(counts.contains_key(kind), "no seed had a {kind}");
    }
}

#[test]
fn one_seed_is_one_story_in_every_process() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "seeded::seeds::every_seed_is_safe_and_ends_in_one_place"])
            .args(["--nocapture"])
            .env("SEED", "11")
            .env_remove("TRACE")
            .output()
            .unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        let trace = said.lines().find(|line| line.starts_with("seed 11: trace "));
        traces.push(trace.expect("the child tells its trace").to_owned());
    }
    let here = format!("seed 11: trace {:016x}", trial(11).hash);
    assert_eq!(traces, [here.clone(), here]);
    assert_ne!(trial(11).hash, trial(12).hash);
}
