//! How a cluster begins.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{ClusterId, NodeId, Term};
use stead_core::state::{Change, QuorumServer};
use stead_core::time::Span;

use super::{Chance, GateForm, Host, Manner, What, World};
use crate::check::Judges;
use crate::clock::Clock;
use crate::cover::Cover;
use crate::log::{Disk, Entry};
use crate::net::{Lan, Net};
use crate::plan::{Gates, Plan};
use crate::queue::Queue;
use crate::register::Server;
use crate::rng::Rng;

/// The entries by which a cluster begins.
fn beginning(plan: &Plan) -> Vec<Entry> {
    let voting = (0..plan.members).filter(|machine| !plan.is_satellite(*machine));
    let voters: BTreeSet<_> = voting.map(|machine| NodeId(machine as u64 + 1)).collect();
    let mut entries = vec![Entry::voters(Term(1), voters, None)];
    let (cluster, key) = (ClusterId([7; 16]), [1; 32]);
    let found = Change::Found { cluster, config: plan.config(), node: plan.name(0).into(), key };
    entries.push(Entry::change(Term(1), found));
    for number in 1..plan.members {
        let node = plan.name(number).to_string();
        let token = [number as u8 + 1; 32];
        entries.push(Entry::change(Term(1), Change::AddToken { token, node }));
        entries.push(Entry::change(Term(1), Change::Join { token, key: token }));
    }
    if plan.register {
        let server = Some(QuorumServer { addresses: Vec::new(), key });
        entries.push(Entry::change(Term(1), Change::Enrol { server }));
    }
    entries
}

impl World {
    /// A cluster whose machines have just started.
    #[must_use]
    pub fn new(mut plan: Plan) -> Self {
        plan.nodes = plan.nodes.clamp(1, plan.most());
        plan.members = plan.members.clamp(1, plan.nodes);
        plan.satellites = plan.satellites.min(plan.nodes - 1);
        let mut start = Rng::stream(plan.seed, 1);
        let entries = beginning(&plan);
        let hosts: Vec<_> =
            (0..plan.nodes).map(|number| host(&plan, number, &entries, &mut start)).collect();
        let stream = |part| Rng::stream(plan.seed, part);
        let chance = Chance {
            net: stream(2),
            hands: stream(3),
            log: stream(4),
            faults: stream(5),
            keepers: stream(6),
            agents: stream(8),
            devices: stream(9),
        };
        let mut world = Self {
            now: 1,
            ids: hosts.iter().enumerate().map(|(at, host)| (host.id, at)).collect(),
            net: Net::new(plan.nodes, plan.links, plan.rough),
            lan: Lan::new(plan.nodes, plan.services, plan.points),
            register: plan.register.then(|| Server::new(plan.nodes, stream(7))),
            names: BTreeMap::new(),
            judges: Judges::default(),
            cover: Cover::default(),
            chaos: None,
            acts: Vec::new(),
            trace: Vec::new(),
            tracing: false,
            recorded: Vec::new(),
            healed_at: None,
            digest: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            queue: Queue::default(),
            busy: (0, 0),
            last_event: 0,
            operations: 0,
            executors: 0,
            chance,
            hosts,
            plan,
        };
        for host in 0..world.hosts.len() {
            world.start_guard(host);
            world.start_daemon(host);
        }
        for service in 0..world.plan.services {
            let first = 1_000 + service as u64 * 137;
            world.after(first, What::Client(service));
        }
        world
    }

    /// A calm cluster whose services are all served, with an empty trace. The clock then shows a
    /// whole second.
    #[must_use]
    pub fn settled(plan: Plan) -> Self {
        let mut world = Self::new(plan);
        if !world.run_until(20_000, Self::is_healthy) {
            let why = world.unhealthy().unwrap_or_default();
            world.fail("I4", &format!("the cluster did not settle: {why}"));
        }
        world.run_micros(1_000_000 - world.now % 1_000_000 + 1_000_000);
        world.trace.clear();
        world.judges.address.forget_gaps();
        world.lan.forget_gaps();
        world
    }
}

fn host(plan: &Plan, number: usize, entries: &[Entry], start: &mut Rng) -> Host {
    let ppm = if plan.rough { [1_000, -1_000, 0, 300][start.index(4)] } else { 0 };
    let form = match plan.gates {
        Gates::Relative => GateForm::Relative,
        Gates::Absolute => GateForm::Absolute,
        Gates::Both => [GateForm::Relative, GateForm::Absolute][number % 2],
    };
    let slack = match form {
        GateForm::Absolute => 1,
        GateForm::Relative if plan.rough => [1, 4, 10][start.index(3)],
        GateForm::Relative => 10,
    };
    let member = number < plan.members;
    let shown = 1_000_000_000 + start.below(1_000_000_000);
    Host {
        id: NodeId(number as u64 + 1),
        name: plan.name(number),
        clock: Clock::new(1, shown, ppm),
        slack: Span::from_millis(slack),
        overruled: false,
        form,
        gate: Vec::new(),
        configured: BTreeSet::new(),
        programs: BTreeMap::new(),
        left: BTreeSet::new(),
        copies: BTreeMap::new(),
        kept: BTreeMap::new(),
        executors: BTreeMap::new(),
        habits: Vec::new(),
        permits: BTreeMap::new(),
        ended: BTreeMap::new(),
        stretched: false,
        broken: BTreeSet::new(),
        disk: if member { Disk::new(entries.to_vec()) } else { Disk::default() },
        incarnation: 0,
        guard: None,
        guard_run: 0,
        guard_paused: 0,
        daemon: None,
        daemon_run: 0,
        daemon_paused: 0,
        halted: None,
        halted_at: 0,
        halted_leases: (Span::ZERO, Span::ZERO),
        woke_at: 0,
        astray_until: 0,
        powered: true,
        device: Manner::Good,
        called_off: false,
        cut_off: false,
        guard_cut: None,
        daemon_cut: None,
        slewed: false,
        dog: super::Dog::default(),
    }
}
