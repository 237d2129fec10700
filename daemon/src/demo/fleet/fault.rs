//! What is done to a fleet, and undone.

use std::fs;

use nix::sys::signal::Signal;
use stead_lab::{Link, Process};

use super::error::{FleetError, Step};
use super::supervisor::Part;
use super::{Fleet, PATIENCE};

impl Fleet {
    /// Starts guard and daemon of a node; both are started again whenever they die.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn start_node(&self, name: &str) -> Result<(), FleetError> {
        self.start_part(name, Part::Guard)?;
        self.start_part(name, Part::Daemon)
    }

    /// Starts one part of a node, unless it runs.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn start_part(&self, name: &str, part: Part) -> Result<(), FleetError> {
        let node = self.node(name)?.clone();
        let (host, log) = (node.host().clone(), node.log(part));
        let planned = self.plan.nodes.iter().find(|it| it.name == name);
        let variables = planned.map(|it| it.variables.clone()).unwrap_or_default();
        self.supervisor.run(&host, part, log, move || {
            let mut command = node.command(&[part.name()]);
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            command
        })
    }

    /// The process of a part of a node.
    ///
    /// # Errors
    /// It was never started.
    pub fn process(&self, name: &str, part: Part) -> Result<Process, FleetError> {
        let found = self.supervisor.process(name, part);
        found.ok_or_else(|| FleetError::NoSuchNode(format!("{name} with a {}", part.name())))
    }

    /// How often a part of a node was started again.
    #[must_use]
    pub fn restarts(&self, name: &str, part: Part) -> u32 {
        self.supervisor.restarts(name, part)
    }

    /// Kills one part (SIGKILL). It is started again, as systemd would.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn kill(&self, name: &str, part: Part) -> Result<(), FleetError> {
        Ok(self.process(name, part)?.signal(Signal::SIGKILL).map(drop)?)
    }

    /// Kills one part (SIGKILL) for good.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn kill_for_good(&self, name: &str, part: Part) -> Result<(), FleetError> {
        self.supervisor.leave(name, Some(part));
        self.kill(name, part)
    }

    /// Asks one part to end (SIGTERM), for good, and waits until it has.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn stop_part(&self, name: &str, part: Part) -> Result<(), FleetError> {
        self.supervisor.leave(name, Some(part));
        let process = self.process(name, part)?;
        process.signal(Signal::SIGTERM)?;
        match process.wait(PATIENCE)? {
            Some(_) => Ok(()),
            None => Err(FleetError::Late {
                what: format!("the end of the {} of {name}", part.name()),
                within: PATIENCE,
                last: None,
            }),
        }
    }

    /// Stops every process of a node (SIGSTOP), programs of services included.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn freeze(&self, name: &str) -> Result<(), FleetError> {
        Ok(self.node(name)?.host().freeze()?)
    }

    /// Ends [`Fleet::freeze`].
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn thaw(&self, name: &str) -> Result<(), FleetError> {
        Ok(self.node(name)?.host().thaw()?)
    }

    /// Power loss: nothing leaves the node any more, then everything on it is killed.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn silence_then_kill(&self, name: &str) -> Result<(), FleetError> {
        self.supervisor.leave(name, None);
        Ok(self.bed.silence_then_kill(self.node(name)?.host())?)
    }

    /// Power again: an empty network stack, an empty /run, and both parts started.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn power_on(&self, name: &str) -> Result<(), FleetError> {
        self.boot(name, false)
    }

    /// Power again; `apart`: while its cables to the other nodes are still cut.
    pub(super) fn boot(&self, name: &str, apart: bool) -> Result<(), FleetError> {
        let node = self.node(name)?;
        self.bed.power_on(node.host())?;
        if apart {
            self.cut_from_nodes(name)?;
        }
        let run = node.paths().run;
        let emptied = fs::remove_dir_all(&run).and_then(|()| fs::create_dir(&run));
        emptied.step(|| format!("cannot empty {}", run.display()))?;
        self.start_node(name)
    }

    /// Cuts a node off from everything; it goes on running and sees its carriers up.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn cut(&self, name: &str) -> Result<(), FleetError> {
        Ok(self.bed.cut(self.node(name)?.host())?)
    }

    /// Cuts a node off from the other nodes: on every network that carries heartbeats. Clients on
    /// a network that carries none still reach it.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn cut_from_nodes(&self, name: &str) -> Result<(), FleetError> {
        for lan in self.plan.lans.iter().filter(|lan| lan.link.is_some()) {
            self.cut_link(name, &lan.name)?;
        }
        Ok(())
    }

    /// Cuts one cable of a node.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn cut_link(&self, name: &str, lan: &str) -> Result<(), FleetError> {
        Ok(self.bed.cut_link(&self.link(name, lan)?)?)
    }

    /// Heals every cable of a node.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn heal(&self, name: &str) -> Result<(), FleetError> {
        Ok(self.bed.heal(self.node(name)?.host())?)
    }

    /// The cable of a node on a network.
    ///
    /// # Errors
    /// There is none.
    pub fn link(&self, name: &str, lan: &str) -> Result<Link, FleetError> {
        let link = self.node(name)?.host().link(lan);
        link.ok_or_else(|| FleetError::NoSuchNode(format!("{name} on the network {lan}")))
    }
}
