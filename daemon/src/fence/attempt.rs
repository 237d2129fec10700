//! An attempt to fence a node: its levels in order, until one proves that it is off.

use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use stead_core::state::config::{DeviceConfig, FencingConfig, Plug};
use stead_core::time::Span;
use tokio::time::sleep;

use super::devices::{Devices, Question};
use super::step::{Action, Attempt, Said, Step};

/// The pause before a device is asked again whether something is off, doubled each time: boards
/// show the new state a moment after they have made it.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What a question was not answered for that is in vain, or nobody's to ask any more.
const IN_VAIN: &str = "it was ended before it answered";

/// What was asked and said so far.
#[derive(Debug, Default)]
struct Record(Mutex<Vec<Step>>);

impl Record {
    fn add(&self, step: Step) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    fn steps(self) -> Vec<Step> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question whose answer somebody waits for; if nobody does any more, that is on record as well.
struct Pending<'a> {
    record: &'a Record,
    question: Question<'a>,
    began: Instant,
    answered: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.record.add(Step {
            level: self.question.level,
            device: self.question.device.to_owned(),
            plug: self.question.plug.map(str::to_owned),
            action: self.question.action,
            took: Span::from_micros(took),
            said: Said::Failed(IN_VAIN.to_owned()),
            output: Vec::new(),
        });
    }
}

/// A plug with its device.
type Target<'a> = (&'a Plug, &'a DeviceConfig);

/// How long one run may take.
pub(super) fn within(config: &DeviceConfig) -> Duration {
    Duration::from_micros(config.timeout.as_micros())
}

fn question<'a>(node: &'a str, level: usize, target: &Target<'a>, action: Action) -> Question<'a> {
    let (plug, config) = *target;
    let (device, plug) = (plug.device.as_str(), plug.plug.as_deref());
    Question { level: Some(level), device, config, node, plug, action, urgent: true }
}

/// The plugs of a level with their devices.
///
/// # Errors
/// In words, if one is not configured.
fn targets<'a>(config: &'a FencingConfig, plugs: &'a [Plug]) -> Result<Vec<Target<'a>>, String> {
    let target = |plug: &'a Plug| {
        let device = config.devices.get(&plug.device);
        let device = device.ok_or_else(|| format!("there is no device {}", plug.device))?;
        Ok((plug, device))
    };
    let targets: Result<Vec<_>, String> = plugs.iter().map(target).collect();
    match targets {
        // Nothing that is off proves nothing.
        Ok(targets) if targets.is_empty() => Err("it has no device".to_owned()),
        targets => targets,
    }
}

impl Devices {
    /// Fences a node: tries its levels in order until one proves that it is off. All plugs of a
    /// level are switched off; then each has to say that it is. Nothing is switched on again:
    /// that is [`Devices::switch_on`], once the proof is known to all.
    ///
    /// Takes at most the sum of all timeouts and retries. Whoever drops the future has everything
    /// killed that still runs; what devices were told already can't be taken back.
    pub async fn fence(&self, config: &FencingConfig, node: &str) -> Attempt {
        self.fence_until(config, node, pending()).await
    }

    /// The same, ended for the reason that `given_up` comes with, if that is earlier: what was
    /// asked and said until then is known all the same.
    pub async fn fence_until(
        &self,
        config: &FencingConfig,
        node: &str,
        given_up: impl Future<Output = String>,
    ) -> Attempt {
        let record = Record::default();
        let (outcome, given_up) = tokio::select! {
            outcome = self.try_levels(config, node, &record) => (outcome, false),
            why = given_up => (Err(why), true),
        };
        let cut_off = match &outcome {
            Ok(level) => self.cuts_only(config, node, *level).await.unwrap_or(false),
            Err(_) => false,
        };
        Attempt { node: node.to_owned(), outcome, cut_off, given_up, steps: record.steps() }
    }

    /// The same ways without the levels that leave the machine on, or of which that can't be known:
    /// what goes on might still decide.
    pub async fn of_power(&self, mut config: FencingConfig, node: &str) -> FencingConfig {
        let levels = config.nodes.get(node).map_or(0, |fencing| fencing.levels.len());
        for number in 1..=levels {
            if !matches!(self.cuts_only(&config, node, number).await, Ok(false))
                && let Some(fencing) = config.nodes.get_mut(node)
            {
                fencing.levels[number - 1].clear();
            }
        }
        config
    }

    /// Whether no device of a level (from 1) takes the machine's power.
    async fn cuts_only(
        &self,
        config: &FencingConfig,
        node: &str,
        level: usize,
    ) -> Result<bool, String> {
        let plugs = config.nodes.get(node).and_then(|it| it.levels.get(level.saturating_sub(1)));
        for (_, device) in targets(config, plugs.map_or(&[][..], Vec::as_slice))? {
            if !self.cuts_off(device).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn try_levels(
        &self,
        config: &FencingConfig,
        node: &str,
        record: &Record,
    ) -> Result<usize, String> {
        let levels = config.nodes.get(node).map_or(&[][..], |fencing| &fencing.levels);
        let mut reasons = Vec::new();
        for (number, plugs) in (1..).zip(levels).filter(|(_, plugs)| !plugs.is_empty()) {
            match self.try_level(config, node, (number, plugs), record).await {
                Ok(()) => return Ok(number),
                Err(reason) if levels.len() > 1 => {
                    reasons.push(format!("level {number}: {reason}"))
                }
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            return Err(match levels {
                [] => format!("no device is configured for {node}"),
                _ => format!("no device takes the power of {node}"),
            });
        }
        Err(reasons.join("; "))
    }

    async fn try_level(
        &self,
        config: &FencingConfig,
        node: &str,
        (level, plugs): (usize, &[Plug]),
        record: &Record,
    ) -> Result<(), String> {
        let targets = targets(config, plugs)?;
        // All off first: a machine with two supplies is on as long as one of them is.
        let off = targets.iter().map(|target| {
            let question = question(node, level, target, Action::Off);
            self.switch(question, record)
        });
        try_join_all(off).await?;
        let seen = targets.iter().map(|target| {
            let question = question(node, level, target, Action::Status);
            self.see_off(question, record)
        });
        try_join_all(seen).await?;
        Ok(())
    }

    /// Has a device do something, as often as its retries allow.
    async fn switch(&self, question: Question<'_>, record: &Record) -> Result<(), String> {
        let mut left = question.config.retries;
        loop {
            let step = self.asked(question, record, within(question.config)).await;
            match &step.said {
                Said::Done => return Ok(()),
                Said::Failed(_) | Said::On | Said::Off if left > 0 => left -= 1,
                Said::Failed(_) | Said::On | Said::Off => return Err(told(&step)),
            }
        }
    }

    /// Asks whether something is off until it is. For as long as one run may take it is asked anew.
    async fn see_off(&self, question: Question<'_>, record: &Record) -> Result<(), String> {
        let within = within(question.config);
        let until = Instant::now() + within;
        let mut pause = PAUSE;
        loop {
            let step = self.asked(question, record, within).await;
            if step.said == Said::Off {
                return Ok(());
            }
            if Instant::now() + pause >= until {
                return Err(match step.said {
                    Said::On => {
                        let device = step.asked_at();
                        format!("{device} reported that it is switched off, and says that it is on")
                    }
                    Said::Off | Said::Done | Said::Failed(_) => told(&step),
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks once, and has it on record.
    async fn asked(&self, question: Question<'_>, record: &Record, within: Duration) -> Step {
        let began = Instant::now();
        let mut pending = Pending { record, question, began, answered: false };
        let (step, _) = self.ask(&question, within).await;
        pending.answered = true;
        record.add(step.clone());
        step
    }

    /// Switches on again what an attempt switched off, first what the levels before the last had,
    /// and says how that went. It is no part of the proof, and undoes none. What only cuts a
    /// machine off from something is left as it is: until it has booted, it may have something left
    /// to write ([`Devices::let_in`]).
    pub async fn switch_on(&self, config: &FencingConfig, attempt: &Attempt) -> Vec<Step> {
        let record = Record::default();
        let was_off = |step: &&Step| step.action == Action::Off && step.said == Said::Done;
        let off: Vec<&Step> = attempt.steps.iter().filter(was_off).collect();
        let levels = config.nodes.get(&attempt.node).map_or(&[][..], |it| &it.levels);
        for (number, plugs) in (1..).zip(levels) {
            let is = |plug: &&Plug| {
                let same = |step: &&Step| step.device == plug.device && step.plug == plug.plug;
                off.iter().any(|step| step.level == Some(number) && same(step))
            };
            let on =
                plugs.iter().filter(is).filter_map(|plug| {
                    let target = (plug, config.devices.get(&plug.device)?);
                    Some(self.switch_one_on(
                        question(&attempt.node, number, &target, Action::On),
                        &record,
                    ))
                });
            join_all(on).await;
        }
        record.steps()
    }

    async fn switch_one_on(&self, question: Question<'_>, record: &Record) {
        match self.cuts_off(question.config).await {
            Ok(false) => {}
            Ok(true) => return,
            // One that cuts off would let in whoever asks here, under the other's name.
            Err(reason) => return record.add(Step::not_asked(&question, reason)),
        }
        // Its steps say how it went.
        let _ = self.switch(question, record).await;
    }
}

fn told(step: &Step) -> String {
    match &step.said {
        Said::Failed(reason) => format!("{} {}: {reason}", step.asked_at(), step.action),
        said @ (Said::Done | Said::On | Said::Off) => {
            format!("{} {}: it says {said}", step.asked_at(), step.action)
        }
    }
}
