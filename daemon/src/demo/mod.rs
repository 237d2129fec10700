//! `stead demo`: a cluster on this machine, broken before your eyes.
//!
//! What it is for: to see within a minute what stead does, with its real guards and daemons, on
//! real network stacks, without touching anything of the machine. [`fleet`] builds five nodes at
//! three sites out of network namespaces, `stage` gives them two services and clients that never
//! stop asking, `scenario` breaks things, `outcome` judges what the clients saw.
//!
//! With `--sites` the fleet is two sites and a quorum server at a third place (`sites`).
//!
//! Happy path: [`run`] becomes root in a user namespace if it must, builds, plays every scenario,
//! prints the table, and ends with 0 if everything was as it should be.
//!
//! Failures: no right to build networks: the exact line to type is printed. A scenario that went
//! wrong is in the table, and the exit code is 1. Ctrl-C ends everything cleanly; whatever way the
//! process ends, the kernel ends the bed with it.
//!
//! Deliberately absent: any short cut. What the demo knows of stead it learns from the command
//! line, like everybody else; what it says about gaps it learns from clients.

pub mod fleet;
pub(crate) mod interrupt;
mod outcome;
mod picture;
mod program;
mod scenario;
mod show;
mod sites;
mod stage;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use stead_core::time::Span;
use stead_edge::chain;
use stead_lab::{LabError, Power, become_root};

use fleet::FleetError;
use outcome::{Bounds, Outcome, table};
pub use program::{check, web};
use scenario::Scenario;
use show::{Ink, Show};

/// What is asked of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// One JSON object a line instead of a story.
    pub json: bool,
    /// The ride-out of the cluster that is built.
    pub ride_out: Span,
    /// Leave it running.
    pub keep: bool,
    /// Two sites and a quorum server in place of five nodes.
    pub sites: bool,
}

/// The exit status when everything was as it should be.
const GOOD: u8 = 0;
/// Something was not.
const BAD: u8 = 1;
/// There was no demo.
const NONE: u8 = 2;

/// Why there was no demo.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("can't {step}")]
    Start {
        step: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("this ride-out can't be used: {0}")]
    RideOut(String),
}

/// Plays the demo, and returns the exit status: 0 if everything was as it should be. To be called
/// before any thread of the process starts.
#[must_use]
pub fn run(options: &Options) -> u8 {
    let power = match become_root() {
        Ok(power) => power,
        Err(error) => {
            eprintln!("stead demo: {}", chain(&error));
            eprintln!("Type:  sudo {}", typed());
            return NONE;
        }
    };
    let show = Show::new(options.json);
    match perform(options, power, &show) {
        Ok(true) => GOOD,
        Ok(false) => BAD,
        Err(DemoError::Fleet(FleetError::Interrupted)) => {
            show.wipe();
            eprintln!("Ended on request. Nothing is left behind.");
            interrupt::INTERRUPTED
        }
        Err(error) => {
            show.wipe();
            eprintln!("stead demo: {}", chain(&error));
            NONE
        }
    }
}

/// The line that was typed, with the program's whole path.
fn typed() -> String {
    let program = std::env::current_exe().map(|path| path.display().to_string());
    let program = program.unwrap_or_else(|_| "stead".to_owned());
    std::iter::once(program).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ")
}

fn perform(options: &Options, power: Power, show: &Show) -> Result<bool, DemoError> {
    let start = |step| move |source| DemoError::Start { step, source };
    let program = std::env::current_exe().map_err(start("find its own program"))?;
    let plan = if options.sites {
        sites::plan(&program, options.ride_out)
    } else {
        stage::plan(program, options.ride_out)
    };
    let checked = crate::config::read("the demo's configuration", &plan.configuration());
    let config = checked.map_err(|rejected| DemoError::RideOut(rejected.to_string()))?.config;
    let stop = Arc::new(AtomicBool::new(false));
    interrupt::watch(&stop).map_err(start("watch for ctrl-C"))?;

    let bounds = Bounds::of(&config);
    if options.sites {
        let story = sites::set(show, plan, bounds, stop)?;
        let outcomes = story.play()?;
        let good = conclude(power, show, &outcomes, sites::Story::scenarios());
        if options.keep {
            keep(story.leave(), power, show)?;
        }
        return Ok(good);
    }
    let stage = stage::set(show, plan, bounds, stop)?;
    let outcomes = stage.play_all(Scenario::ALL, |it| stage.play(it))?;
    let good = conclude(power, show, &outcomes, Scenario::ALL.len());
    if options.keep {
        keep(stage, power, show)?;
    }
    Ok(good)
}

/// The table, and whether everything was as it should be.
fn conclude(power: Power, show: &Show, outcomes: &[Outcome], expected: usize) -> bool {
    show.wipe();
    show.say("");
    for line in table(show, outcomes) {
        show.say(&line);
    }
    let good = outcomes.len() == expected && outcomes.iter().all(|it| it.ok);
    show.say(&legend(power, good, show));
    good
}

fn legend(power: Power, good: bool, show: &Show) -> String {
    let who = match power {
        Power::Root => "root",
        Power::UserNamespace => "an ordinary user",
    };
    let verdict = if good {
        show.ink(Ink::Green, "Everything was as it should be.")
    } else {
        show.ink(Ink::Red, "Not everything was as it should be.")
    };
    format!(
        "Milliseconds: the longest gap of the client, what is allowed, the other service's longest \
         gap,\nthe time in which two nodes answered. Below a takeover: when each stage was \
         reached, counted\nfrom the last sign of life. Run as {who}.\n{verdict}"
    )
}

fn keep(stage: stage::Stage<'_>, power: Power, show: &Show) -> Result<(), DemoError> {
    let stage::Stage { fleet, scene, web, api, .. } = stage;
    drop((scene, web, api));
    let commands: Vec<(String, String)> = fleet
        .nodes()
        .iter()
        .map(|node| (node.name().to_owned(), format!("{:?}", node.command(&["status"]))))
        .collect();
    let folder = fleet.folder().display().to_string();
    let kept = fleet.keep(power)?;
    show.say("\nIt goes on running. Nobody restarts what dies there. To enter a node:");
    for (name, line) in &kept.enter {
        show.say(&format!("  {name:<14} {line}"));
    }
    show.say("On a node, for example:");
    for (name, command) in commands.iter().take(1) {
        show.say(&format!("  {name:<14} {command}"));
    }
    show.say(&format!("To end it all:\n  {}; rm -r {folder}", kept.end));
    if let Ok(value) = serde_json::to_value(&kept) {
        show.object(&serde_json::json!({ "kept": value, "folder": folder }));
    }
    Ok(())
}
