//! What of a configuration the simulator has a model of, and what it has none of.
//!
//! Of places, rules, needs, copies, quorum, fencing and timers everything is taken as it is. What
//! runs on a machine is taken for what the simulator knows: one program, resources that need each
//! other, one thing that stays with its machine until that is off, or one program with copies.

use stead_core::id::ServiceId;
use stead_core::quorum::chain::{Chain, Module};
use stead_core::state::config::{
    AfterFence, Config, CopiesConfig, Hooks, Look, NodeFencing, Program, ResourceConfig, Safety,
    ServiceMore,
};
use stead_core::time::Span;

use crate::parts::{Part, Parts};
use crate::plan::{COPIED, mount};

/// What runs of a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Nothing: its addresses are all of it.
    Addresses,
    Program,
    Resources,
    /// Bound to its machine, as a whole.
    Bound,
    /// With copies, and bound or not.
    Copies(bool),
}

fn form(config: &Config, service: &ServiceId) -> Form {
    let bound = config.safety(service) == Safety::Fence;
    let program = config.services.get(service).is_some_and(|it| it.program.is_some());
    if config.copies(service).is_some() {
        Form::Copies(bound)
    } else if bound {
        Form::Bound
    } else if !config.resources(service).is_empty() {
        Form::Resources
    } else if program {
        Form::Program
    } else {
        Form::Addresses
    }
}

/// The configuration that is simulated, and the resources of its services.
pub(super) fn of(config: &Config) -> (Config, Parts) {
    let mut all = config.clone();
    let mut parts = Parts::default();
    for (number, (service, it)) in all.services.iter_mut().enumerate() {
        let form = form(config, service);
        it.monitor = None;
        it.program = match form {
            Form::Addresses | Form::Resources => None,
            Form::Program | Form::Bound | Form::Copies(_) => Some(Program {
                command: vec!["/bin/service".into()],
                stop_timeout: Span::from_millis(1_000),
            }),
        };
        if form == Form::Resources {
            let part =
                |it: &ResourceConfig| Part { name: it.name.clone(), needs: it.needs.clone() };
            let resources = config.resources(service).iter().map(part).collect();
            parts.services.insert(number, resources);
        }
    }
    for (service, more) in &mut all.later.next.services {
        *more = more_of(more, form(config, service), &parts);
    }
    all.later.quorum.exec = None;
    let modules = config.later.quorum.chain.modules().iter();
    let module = |module: &Module| match module {
        Module::Exec => Module::QuorumServer,
        Module::Majority | Module::QuorumServer | Module::Fence => *module,
    };
    all.later.quorum.chain = Chain::new(modules.map(module).collect()).unwrap_or_default();
    for node in all.later.fencing.nodes.values_mut() {
        *node = NodeFencing { rehearse: None, after: AfterFence::On, ..node.clone() };
    }
    (all, parts)
}

fn more_of(more: &ServiceMore, form: Form, parts: &Parts) -> ServiceMore {
    let resources = match form {
        Form::Addresses | Form::Program | Form::Copies(false) => Vec::new(),
        Form::Bound | Form::Copies(true) => vec![mount()],
        Form::Resources => {
            let part = |it: &ResourceConfig| {
                parts.resource(&Part { name: it.name.clone(), needs: it.needs.clone() })
            };
            more.resources.iter().map(part).collect()
        }
    };
    let copies = more.copies.as_ref().map(|copies| CopiesConfig {
        nodes: copies.nodes.clone(),
        promotable: [COPIED.to_string()].into(),
    });
    let (hooks, look) = (Hooks::default(), Look::default());
    ServiceMore { resources, hooks, look, copies, ..more.clone() }
}

/// What is not simulated, in the operator's words.
pub(super) fn left_out(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let mut say = |names: Vec<&ServiceId>, what: &str| {
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(|it| it.0.as_str()).collect();
            all.push(format!("{what} ({})", names.join(", ")));
        }
    };
    let named = |is: &dyn Fn(&ServiceId) -> bool| -> Vec<&ServiceId> {
        config.services.keys().filter(|service| is(service)).collect()
    };
    let more = |service: &ServiceId| config.more_of(service);
    let programs = named(&|it| form(config, it) != Form::Addresses);
    say(programs, "how long programs take: here each starts and stops within some milliseconds");
    let alone = |it: &ServiceId| config.services.get(it).is_some_and(|it| it.monitor.is_some());
    let probed = |it: &ServiceId| more(it).is_some_and(|it| it.look != Look::default());
    say(named(&|it| alone(it) || probed(it)), "monitors: a program that runs works");
    let hooks = |it: &ServiceId| more(it).is_some_and(|it| it.hooks != Hooks::default());
    say(named(&hooks), "hooks");
    let resources = named(&|it| form(config, it) == Form::Resources);
    say(
        resources,
        "what agents do, and their times, restarts and forget-after: here each takes 2 s at most \
         and is restarted 3 times",
    );
    let bound = |it: &ServiceId| matches!(form(config, it), Form::Bound | Form::Copies(true));
    say(named(&bound), "resources one by one: it is one thing that stays until its node is off");
    let copies = |it: &ServiceId| matches!(form(config, it), Form::Copies(_));
    say(named(&copies), "which copy has the newest data: each is fit soon after it has started");
    let timed = |it: &ServiceId| {
        config.rules(it).is_some_and(|it| !it.during.is_empty() || it.failback_at.is_some())
    };
    say(named(&timed), "what is said for times: here none of them is open");
    if config.later.quorum.chain.modules().contains(&Module::Exec) {
        all.push("the program that breaks ties (exec): here it is a quorum server".to_owned());
    }
    let nodes = || config.later.fencing.nodes.values();
    if nodes().any(|it| !it.levels.is_empty()) {
        all.push(
            "which fence device switches what: here each node that has any has one".to_owned(),
        );
    }
    if nodes().any(|it| it.rehearse.is_some() || it.after == AfterFence::StayOff) {
        all.push("rehearsals of fence devices, and machines that stay off".to_owned());
    }
    if config.more.networks.len() > 1 {
        all.push("several networks of services: here all of them fail together".to_owned());
    }
    all.push("what operators do, but for standby".to_owned());
    all
}
