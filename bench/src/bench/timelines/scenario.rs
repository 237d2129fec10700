//! The five scenarios: what is done, and how it is undone.

use std::time::Duration;

use stead_lab::prober::now;

use super::stage::{Eyes, JERSEY, Stage, YORK};
use super::told::{Record, Thing};
use crate::error::BenchError;
use crate::tools::PATIENCE;

/// How long nothing happens where nothing has to.
const QUIET: Duration = Duration::from_millis(1_200);
/// How long an operator takes here: nobody had to be woken.
const OPERATOR: Duration = Duration::from_millis(700);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing fails.
    AllUp,
    /// New Jersey loses its power.
    SiteDown,
    /// The line between the sites is cut.
    LinkCut,
    /// The quorum server is killed.
    ServerDown,
    /// The quorum server is killed, then New Jersey loses its power, then an operator has the word.
    SiteAndServerDown,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AllUp, Self::SiteDown, Self::LinkCut, Self::ServerDown, Self::SiteAndServerDown];

    /// Its name in rows and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllUp => "all up",
            Self::SiteDown => "site down",
            Self::LinkCut => "link cut",
            Self::ServerDown => "server down",
            Self::SiteAndServerDown => "site and server down",
        }
    }

    /// The heading of its picture.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::AllUp => "1. All up: nobody asks the quorum server",
            Self::SiteDown => "2. One site down: the other is granted, and takes over",
            Self::LinkCut => "3. The link between the sites cut: one site goes on, the other stops",
            Self::ServerDown => "4. The quorum server down: both sites go on",
            Self::SiteAndServerDown => {
                "5. The server down, and then a site: the rest stops, until an operator decides"
            }
        }
    }
}

impl Stage<'_> {
    /// Does it, and waits for what has to come of it. Returns what `stead status` said meanwhile.
    pub(super) fn perform(
        &self,
        scenario: Scenario,
        eyes: &Eyes,
        record: &mut Record,
    ) -> Result<Option<String>, BenchError> {
        match scenario {
            Scenario::AllUp => self.tools.pause(QUIET)?,
            Scenario::SiteDown => {
                self.lose_jersey(record)?;
                self.wait_served(eyes, &[YORK])?;
            }
            Scenario::LinkCut => {
                record.fault(now(), Thing::Line, "the link is cut");
                record.down(now(), Thing::Line, "cut");
                self.fleet.cut_sites(YORK, JERSEY)?;
                self.wait_served(eyes, &[YORK, JERSEY])?;
            }
            Scenario::ServerDown => {
                self.lose_server(record)?;
                let status = self.status("node1")?;
                self.tools.pause(QUIET)?;
                return Ok(Some(status));
            }
            Scenario::SiteAndServerDown => return self.both_down(eyes, record).map(Some),
        }
        Ok(None)
    }

    fn lose_server(&self, record: &mut Record) -> Result<(), BenchError> {
        record.fault(now(), Thing::Server, "the server is killed");
        record.down(now(), Thing::Server, "down");
        self.kill_server()
    }

    fn lose_jersey(&self, record: &mut Record) -> Result<(), BenchError> {
        let began = now();
        let nodes: Vec<&str> = self.fleet.nodes_at(JERSEY).collect();
        let first = nodes.first().map(|node| Thing::Node((*node).to_owned()));
        record.fault(began, first.unwrap_or(Thing::Line), "New Jersey loses its power");
        for node in nodes {
            record.down(began, Thing::Node(node.to_owned()), "no power");
        }
        Ok(self.fleet.kill_site(JERSEY)?)
    }

    fn both_down(&self, eyes: &Eyes, record: &mut Record) -> Result<String, BenchError> {
        self.lose_server(record)?;
        // times count from what stops the service
        record.zero = now();
        self.lose_jersey(record)?;
        self.wait_silent(eyes)?;
        self.tools.wait_until("New York says why", PATIENCE, || {
            Ok(self.fleet.quorum("node1")?["verdict"] == "NOQUORUM")
        })?;
        self.tools.pause(OPERATOR)?;
        let status = self.status("node1")?;
        let words = ["--reason", "New Jersey is off", "--for", "30min", "--yes"];
        let words: Vec<&str> = ["quorum", "override"].into_iter().chain(words).collect();
        // the node that would ask for a grant takes the word; the other one names it
        let mut refused = None;
        for node in self.fleet.nodes_at(YORK) {
            match self.fleet.node(node)?.stead(&words)?.expect_success() {
                Ok(_) => {
                    self.wait_served(eyes, &[YORK])?;
                    return Ok(status);
                }
                Err(error) => refused = Some(error),
            }
        }
        let none = || BenchError::Nothing("there is no node in New York".to_owned());
        Err(refused.map_or_else(none, BenchError::from))
    }

    /// Undoes it.
    pub(super) fn mend(&self, scenario: Scenario) -> Result<(), BenchError> {
        match scenario {
            Scenario::AllUp => Ok(()),
            Scenario::SiteDown => self.revive(JERSEY),
            Scenario::LinkCut => Ok(self.fleet.heal_sites(YORK, JERSEY)?),
            Scenario::ServerDown => self.start_server(),
            Scenario::SiteAndServerDown => {
                self.start_server()?;
                self.revive(JERSEY)
            }
        }
    }
}
