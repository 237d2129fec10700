//! Does what was drawn, undoes it, and waits until all is well.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::demo::fleet::{FleetError, Part};
use stead_lab::Chance;

use super::draw::{Act, Operation};
use super::stage::Stage;
use crate::error::BenchError;
use crate::tools::{PATIENCE, Tools};

/// How long the cluster may take to heal.
const HEALED: Duration = PATIENCE;
/// Both ride-outs that are applied in turn.
const RIDE_OUTS: [Option<&str>; 2] = [Some("400ms"), None];

/// What is to be undone.
#[derive(Clone, Debug)]
enum Undo {
    /// These processes go on.
    Go(Vec<i32>),
    Thaw,
    Heal,
    PowerOn,
    StandbyOff,
    SwitchOff(&'static str),
    Empty,
}

/// Whoever does things to the cluster.
pub(super) struct Player<'a> {
    tools: &'a Tools,
    stage: &'a Stage,
    undo: Vec<(Instant, String, Undo)>,
    applied: usize,
    typed: Vec<String>,
}

fn refused(error: &FleetError) -> String {
    let said = error.to_string();
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    format!(", refused: {}", line.trim())
}

impl<'a> Player<'a> {
    pub(super) fn new(tools: &'a Tools, stage: &'a Stage) -> Self {
        Self { tools, stage, undo: Vec::new(), applied: 0, typed: Vec::new() }
    }

    /// What an operator would have had to type since the last time that this was asked.
    pub(super) fn typed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.typed)
    }

    /// Does all of them, and undoes each when its time is over. What was done, in words.
    pub(super) fn perform(
        &mut self,
        group: &[Operation],
        chance: &mut Chance,
    ) -> Result<Vec<String>, BenchError> {
        let mut said = Vec::new();
        for operation in group {
            said.push(self.begin(operation, chance)?);
            self.wait(Duration::from_millis(operation.pause))?;
        }
        while let Some(last) = self.undo.iter().map(|(at, ..)| *at).max() {
            self.wait(last.saturating_duration_since(Instant::now()))?;
        }
        Ok(said)
    }

    /// Lets time pass, and undoes what is due.
    fn wait(&mut self, time: Duration) -> Result<(), BenchError> {
        let until = Instant::now() + time;
        loop {
            let now = Instant::now();
            while let Some(at) = self.undo.iter().position(|(at, ..)| *at <= now) {
                let (_, node, undo) = self.undo.swap_remove(at);
                self.undo(&node, undo)?;
            }
            let next = self.undo.iter().map(|(at, ..)| *at).min().unwrap_or(until).min(until);
            if now >= until {
                return Ok(());
            }
            self.tools.pause(next.saturating_duration_since(now))?;
        }
    }

    /// Whether that node is already without power, or about to be.
    fn is_off(&self, node: &str) -> bool {
        self.undo.iter().any(|(_, name, undo)| name == node && matches!(undo, Undo::PowerOn))
    }

    /// Where it is done: what services run may be elsewhere just now.
    fn place(&self, operation: &Operation) -> Result<String, BenchError> {
        let Operation { node, act, .. } = *operation;
        let count = self.stage.fleet.nodes().len();
        if let Act::Kill(victim) | Act::Hold(victim) = act {
            for at in (node..count).chain(0..node) {
                let name = self.stage.name(at)?;
                if !self.is_off(&name) && self.stage.has(&name, victim)? {
                    return Ok(name);
                }
            }
        }
        self.stage.name(node)
    }

    fn begin(&mut self, operation: &Operation, chance: &mut Chance) -> Result<String, BenchError> {
        let Operation { act, lasts, .. } = *operation;
        let name = self.place(operation)?;
        let fleet = &self.stage.fleet;
        let pick = chance.between(0, u64::from(u32::MAX));
        let mut lasted = true;
        let mut note = String::new();
        let undo = match act {
            _ if self.is_off(&name) => {
                return Ok(format!("{name}: {act}: nothing, it has no power"));
            }
            Act::Kill(victim) => {
                if self.stage.signal(&name, victim, Signal::SIGKILL, pick)?.is_none() {
                    note.push_str(", which was not there");
                }
                None
            }
            Act::Hold(victim) => match self.stage.signal(&name, victim, Signal::SIGSTOP, pick)? {
                Some(pid) => Some(Undo::Go(vec![pid])),
                None => {
                    note.push_str(", which was not there");
                    None
                }
            },
            Act::HoldAll => fleet.freeze(&name).map(|()| Some(Undo::Thaw))?,
            Act::CutLink(lan) => fleet.cut_link(&name, lan).map(|()| Some(Undo::Heal))?,
            Act::CutFromNodes => fleet.cut_from_nodes(&name).map(|()| Some(Undo::Heal))?,
            Act::CutOff => fleet.cut(&name).map(|()| Some(Undo::Heal))?,
            Act::PowerLoss => {
                // what was held, cut or filled there is so no more, or is undone in its time
                fleet.silence_then_kill(&name).map(|()| Some(Undo::PowerOn))?
            }
            Act::AgentHangs(action) => {
                self.stage.switch(&name, action, Some("hang"))?;
                Some(Undo::SwitchOff(action))
            }
            Act::AgentFails(action) => {
                self.stage.switch(&name, action, Some("fail"))?;
                Some(Undo::SwitchOff(action))
            }
            Act::DiskFull => {
                self.stage.fill(&name)?;
                // It shows with the next change, which has to be written everywhere.
                let by = self.stage.name((operation.node + 1) % fleet.nodes().len())?;
                note = self.apply(&by);
                Some(Undo::Empty)
            }
            Act::Standby => {
                note = self.say(&name, &["standby", &name]);
                Some(Undo::StandbyOff)
            }
            Act::MoveHere(service) => {
                note = self.say(&name, &["move", service, &name, "--wait", "5"]);
                None
            }
            Act::Apply => {
                note = self.apply(&name);
                None
            }
        };
        lasted &= undo.is_some();
        if let Some(undo) = undo {
            let until = Instant::now() + Duration::from_millis(lasts);
            self.undo.push((until, name.clone(), undo));
        }
        let time = if lasted { format!(" for {lasts} ms") } else { String::new() };
        Ok(format!("{name}: {act}{time}{note}"))
    }

    /// Types a command; a cluster in trouble may refuse it.
    fn say(&self, node: &str, words: &[&str]) -> String {
        let typed = self.stage.fleet.node(node).and_then(|node| node.stead(words));
        match typed.and_then(|output| output.expect_success()) {
            Ok(_) => String::new(),
            Err(error) => refused(&error),
        }
    }

    fn apply(&mut self, node: &str) -> String {
        let mut plan = self.stage.fleet.plan().clone();
        plan.ride_out = RIDE_OUTS.get(self.applied % 2).copied().flatten().map(str::to_owned);
        match self.stage.fleet.apply(node, &plan.configuration()) {
            Ok(()) => {
                self.applied += 1;
                String::new()
            }
            Err(error) => refused(&error),
        }
    }

    fn undo(&mut self, node: &str, undo: Undo) -> Result<(), BenchError> {
        let fleet = &self.stage.fleet;
        match undo {
            Undo::Go(pids) => {
                for pid in pids {
                    // it may be gone
                    let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
                }
            }
            Undo::Thaw => fleet.thaw(node)?,
            Undo::Heal if self.is_off(node) => {}
            Undo::Heal => fleet.heal(node)?,
            Undo::PowerOn => fleet.power_on(node)?,
            Undo::SwitchOff(action) => self.stage.switch(node, action, None)?,
            Undo::Empty => self.stage.empty(node)?,
            Undo::StandbyOff => {
                let words = ["standby", node, "--off"];
                self.tools.wait_until(&format!("{node} is off standby"), PATIENCE, || {
                    let any = fleet
                        .nodes()
                        .iter()
                        .any(|by| by.stead(&words).is_ok_and(|output| output.status.success()));
                    Ok(any)
                })?;
            }
        }
        Ok(())
    }

    /// Waits until all nodes say that all is well, all services are served, and every process is
    /// there as often as it should be. Types what `status` says has to be typed.
    pub(super) fn heal(&mut self) -> Result<(), BenchError> {
        let began = Instant::now();
        let mut last = String::new();
        while began.elapsed() < HEALED {
            last = match self.complaint() {
                Ok(complaint) if complaint.is_empty() => return Ok(()),
                Ok(complaint) => complaint,
                Err(error) if error.is_interruption() => return Err(error),
                Err(error) => error.told(),
            };
            self.obey()?;
            self.tools.pause(Duration::from_millis(50))?;
        }
        let seconds = HEALED.as_secs();
        let what = format!("all is well again; at last: {last}");
        Err(BenchError::Late { what, seconds, last: None })
    }

    fn complaint(&self) -> Result<String, BenchError> {
        let fleet = &self.stage.fleet;
        for node in fleet.nodes() {
            for part in [Part::Guard, Part::Daemon] {
                if fleet.process(node.name(), part)?.ended()?.is_some() {
                    return Ok(format!("the {} of {} has ended", part.name(), node.name()));
                }
            }
        }
        fleet.wait_whole(Duration::from_millis(1))?;
        let miscounted = self.stage.miscounted()?;
        if !miscounted.is_empty() {
            return Ok(miscounted);
        }
        for (name, watch) in &self.stage.watches {
            let holders = watch.holders();
            if holders.len() != 1 || watch.answered_by() != holders.first().cloned() {
                return Ok(format!("{name} is answered by {holders:?}"));
            }
        }
        Ok(String::new())
    }

    /// What an operator would type who reads `status`.
    fn obey(&mut self) -> Result<(), BenchError> {
        let Some(node) = self.stage.fleet.nodes().first() else { return Ok(()) };
        let Ok(status) = node.status() else { return Ok(()) };
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        for problem in problems {
            let text = problem.to_string();
            let Some((_, rest)) = text.split_once("stead clear") else { continue };
            let words: Vec<&str> = rest.split(['"', '`', '.', ',', ';', '\\']).take(1).collect();
            let line = format!("clear{}", words.concat());
            let words: Vec<&str> = line.split_whitespace().collect();
            let done = node.stead(&words).is_ok_and(|output| output.status.success());
            if done {
                self.typed.push(line);
            }
        }
        Ok(())
    }
}
