//! The daemon's task of a service with an executor: one thing at a time.

use std::collections::VecDeque;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::resource::{Care, Told};

use super::{AgentsIn, Executor, Picture, World};
use crate::world::{DaemonIn, Host};

/// What a service is asked to do.
#[derive(Clone, Debug)]
pub(in crate::world) enum Ask {
    Start(Epoch),
    Stop(Epoch),
    Care(Epoch, Care),
    Forget(Epoch, Option<String>),
}

/// What was started, as the daemon knows it.
#[derive(Debug)]
struct Current {
    epoch: Epoch,
    /// Its executor.
    executor: u64,
    /// This daemon was told to start it: from then on what it shows is told.
    begun: bool,
    newest: Option<Picture>,
    told: Told,
    /// It ended by itself, and that was seen.
    ended: bool,
    /// It is being ended.
    ending: bool,
}

/// The task of a service, of one run of a daemon.
#[derive(Debug, Default)]
pub struct Task {
    asks: VecDeque<Ask>,
    current: Option<Current>,
    /// The newest epoch that was stopped: nothing is started under it or an older one.
    stopped: Option<Epoch>,
}

impl Task {
    /// A daemon finds what an earlier run left.
    pub(in crate::world) fn found(executor: &Executor) -> Self {
        let current = Current::of(executor.number, executor.epoch);
        Self { current: Some(current), ..Self::default() }
    }
}

impl Current {
    fn of(executor: u64, epoch: Epoch) -> Self {
        Self {
            epoch,
            executor,
            begun: false,
            newest: None,
            told: Told::default(),
            ended: false,
            ending: false,
        }
    }

    /// Whether its executor's process is gone.
    fn is_over(&self, host: &Host, service: &ServiceId) -> bool {
        let executor = host.executors.get(service);
        executor.is_none_or(|it| it.number != self.executor || !it.main)
    }
}

impl World {
    /// Whether a service consists of resources.
    pub(in crate::world) fn has_parts(&self, service: &ServiceId) -> bool {
        !self.plan.parts_of(service).is_empty()
    }

    /// The node machine has a service started or stopped, or says how it is looked after.
    pub(in crate::world) fn ask_task(&mut self, host: usize, service: &ServiceId, ask: Ask) {
        let late = self.agents_take(2_000, 20_000);
        let it = &mut self.hosts[host];
        let run = it.daemon_run;
        let Some(daemon) = &mut it.daemon else { return };
        let task = daemon.tasks.entry(service.clone()).or_default();
        task.asks.push_back(ask);
        self.agents_after(late, host, service, AgentsIn::Task(run));
    }

    /// A daemon that just started takes over what an earlier run left.
    pub(in crate::world) fn find_executors(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        let Some(daemon) = &mut it.daemon else { return };
        for (service, executor) in &it.executors {
            daemon.tasks.insert(service.clone(), Task::found(executor));
        }
        let found: Vec<_> = it.executors.keys().cloned().collect();
        for service in found {
            self.executor_connected(host, &service);
            self.task_looks(host, &service);
        }
    }

    /// Something happened that the task of whichever daemon is there will see.
    pub(in crate::world) fn task_looks(&mut self, host: usize, service: &ServiceId) {
        let run = self.hosts[host].daemon_run;
        self.agents_after(0, host, service, AgentsIn::Task(run));
    }

    /// The keeper, or an accident, ends an executor with everything that its agents started.
    pub(in crate::world) fn end_executor(&mut self, host: usize, service: &ServiceId) -> bool {
        let there = self.hosts[host].executors.contains_key(service);
        if there {
            self.parts_gone(host, service);
            self.task_looks(host, service);
        }
        there
    }

    fn task(&mut self, host: usize, run: u64, service: &ServiceId) -> Option<&mut Task> {
        let it = &mut self.hosts[host];
        let daemon = it.daemon.as_mut().filter(|_| it.daemon_run == run)?;
        daemon.tasks.get_mut(service)
    }

    fn tell(&mut self, host: usize, event: Event) {
        self.daemon_input(host, 0, DaemonIn::Event(Box::new(event)));
    }

    pub(super) fn picture_seen(
        &mut self,
        host: usize,
        service: &ServiceId,
        (run, executor): (u64, u64),
        picture: Picture,
    ) {
        let Some(task) = self.task(host, run, service) else { return };
        let current = task.current.as_mut().filter(|it| it.executor == executor);
        let Some(current) = current else { return };
        current.newest = Some(picture);
        if !current.ending {
            self.show(host, run, service);
        }
    }

    /// Tells what the newest picture shows and was not told yet.
    fn show(&mut self, host: usize, run: u64, service: &ServiceId) {
        let Some(task) = self.task(host, run, service) else { return };
        let Some(current) = task.current.as_mut().filter(|it| it.begun) else { return };
        let Some(picture) = &current.newest else { return };
        let which = (service, current.epoch);
        let events = current.told.events(which, false, &picture.whole, picture.shown());
        for event in events {
            self.tell(host, event);
        }
    }

    /// Does what there is to do, as far as it goes without waiting.
    pub(super) fn task_goes_on(&mut self, host: usize, service: &ServiceId, run: u64) {
        while self.task_step(host, service, run) {}
    }

    /// One thing; false if there is none, or it has to wait.
    fn task_step(&mut self, host: usize, service: &ServiceId, run: u64) -> bool {
        let it = &mut self.hosts[host];
        let Some(daemon) = it.daemon.as_mut().filter(|_| it.daemon_run == run) else {
            return false;
        };
        let Some(mut task) = daemon.tasks.remove(service) else { return false };
        let over = task.current.as_ref().is_some_and(|current| current.is_over(it, service));
        let busy = self.task_act(host, service, &mut task, over);
        // What was asked for meanwhile came to a task of its own.
        if let Some(daemon) = &mut self.hosts[host].daemon {
            let meanwhile = daemon.tasks.remove(service);
            task.asks.extend(meanwhile.into_iter().flat_map(|it| it.asks));
            daemon.tasks.insert(service.clone(), task);
        }
        busy
    }

    fn task_act(&mut self, host: usize, service: &ServiceId, task: &mut Task, over: bool) -> bool {
        match &mut task.current {
            Some(current) if current.ending => {
                if over {
                    self.clear_away(host, service, current.executor);
                    task.current = None;
                }
                return over;
            }
            Some(current) if over && !current.ended => {
                current.ended = true;
                let (service, epoch) = (service.clone(), current.epoch);
                let detail = "its executor ended".to_string();
                self.tell(host, Event::Ended { service, epoch, detail });
                return true;
            }
            Some(_) | None => {}
        }
        match task.asks.front().cloned() {
            Some(Ask::Start(epoch)) => self.task_starts(host, service, task, epoch),
            Some(Ask::Stop(epoch)) => {
                if let Some(current) = task.current.as_mut().filter(|it| it.epoch <= epoch) {
                    current.ending = true;
                    let executor = current.executor;
                    let late = self.agents_take(200, 5_000);
                    self.agents_after(late, host, service, AgentsIn::Order(executor));
                    return true;
                }
                task.asks.pop_front();
                if task.current.is_none() {
                    task.stopped = task.stopped.max(Some(epoch));
                }
                self.note(Some(host), || format!("> stop {service} (epoch {epoch})"));
                self.tell(host, Event::Stopped { service: service.clone(), epoch });
            }
            Some(Ask::Care(epoch, care)) => {
                task.asks.pop_front();
                self.judge_care(host, service, care);
                self.tell_executor(host, service, epoch, |life, now| life.care(now, care));
            }
            Some(Ask::Forget(epoch, which)) => {
                task.asks.pop_front();
                let names = self.hosts[host].executors.get(service).map(|it| it.names.clone());
                let names = names.unwrap_or_default();
                let place = which.map(|name| names.iter().position(|it| *it == name));
                // What it has none of is forgotten by nobody.
                if place != Some(None) {
                    let place = place.flatten();
                    self.judge_forgotten(host, service, place);
                    self.tell_executor(host, service, epoch, |life, now| life.forget(now, place));
                }
            }
            None => return false,
        }
        true
    }

    fn task_starts(&mut self, host: usize, service: &ServiceId, task: &mut Task, epoch: Epoch) {
        let over = |newest: Epoch| format!("epoch {newest} is there or over");
        let refusal = match (&task.current, task.stopped) {
            (Some(current), _) if current.epoch == epoch => None,
            (Some(current), _) if current.epoch > epoch => Some(over(current.epoch)),
            (_, Some(stopped)) if stopped >= epoch => Some(over(stopped)),
            (Some(_) | None, _) => None,
        };
        if refusal.is_none()
            && let Some(current) = task.current.as_mut().filter(|it| it.epoch < epoch)
        {
            // Left over from an earlier assignment: it ends first.
            current.ending = true;
            let executor = current.executor;
            self.agents_after(200, host, service, AgentsIn::Order(executor));
            return;
        }
        task.asks.pop_front();
        let refusal = match refusal {
            None if task.current.is_none() => self.launch(host, service, task, epoch).err(),
            known => known,
        };
        if refusal.is_some() {
            let service = service.clone();
            self.tell(host, Event::Started { service, epoch, failed: refusal });
            return;
        }
        let Some(current) = &mut task.current else { return };
        current.begun = true;
        current.told.begin();
        if current.ended {
            let (service, detail) = (service.clone(), "its executor ended".to_string());
            self.tell(host, Event::Ended { service, epoch, detail });
        } else if let Some(picture) = &current.newest {
            let which = (service, epoch);
            let events = current.told.events(which, false, &picture.whole, picture.shown());
            for event in events {
                self.tell(host, event);
            }
        }
    }

    /// Starts an executor under the service's keeper.
    fn launch(
        &mut self,
        host: usize,
        service: &ServiceId,
        task: &mut Task,
        epoch: Epoch,
    ) -> Result<(), String> {
        if self.hosts[host].broken.contains(service) {
            return Err("no such file".into());
        }
        let config = self.plan.more_of(service);
        if !self.keep(host, service, epoch) {
            return Err("this node's lease ended before it began".into());
        }
        self.executors += 1;
        let number = self.executors;
        let executor = Executor::new(number, epoch, &config.resources);
        self.hosts[host].programs.insert(service.clone(), epoch);
        self.hosts[host].executors.insert(service.clone(), executor);
        self.judge_start(host, service, epoch);
        self.judge_executor(host, service);
        self.note(Some(host), || format!("> start {service} (epoch {epoch})"));
        task.current = Some(Current::of(number, epoch));
        self.executor_goes_on(host, service);
        Ok(())
    }

    /// The executor has ended: what it left is killed.
    fn clear_away(&mut self, host: usize, service: &ServiceId, number: u64) {
        let executor = self.hosts[host].executors.get(service);
        if executor.is_some_and(|it| it.number == number) {
            self.parts_gone(host, service);
        }
    }
}
