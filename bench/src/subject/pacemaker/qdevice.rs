//! corosync-qdevice and corosync-qnetd: two nodes, and a server whose vote one of them gets.

use std::fs;

use stead_lab::Host;

use super::super::peer::{PeerBed, THIRD};
use super::super::{SERVER_ROUND_TRIP, Settled, Tied};
use super::room::Room;
use super::{Pacemaker, Tuning};
use crate::error::{BenchError, Step};
use crate::measure::Watch;
use crate::tools::Tools;

/// What it needs beside what the cluster needs.
pub(in crate::subject) const PROGRAMS: &[&str] =
    &["corosync-quorumtool", "corosync-qdevice", "corosync-qnetd"];
/// What brings that on Debian.
pub(in crate::subject) const PACKAGES: &[&str] =
    &["corosync", "corosync-qdevice", "corosync-qnetd"];
/// How many nodes there are.
const NODES: u8 = 2;

/// The server's host, and its room while it runs.
pub(super) struct TieBreaker {
    host: Host,
    room: Option<Room>,
}

impl TieBreaker {
    fn start(&mut self, bed: &PeerBed) -> Result<(), BenchError> {
        let root = bed.folder.path().join("quorum");
        fs::create_dir_all(&root).step(|| format!("cannot make {}", root.display()))?;
        let room = Room::open(&bed.tools, &self.host, &root)?;
        room.start(&["corosync-qnetd", "-f", "-s", "off"])?;
        self.room = Some(room);
        Ok(())
    }
}

impl Tuning {
    pub(in crate::subject) fn start_tied(self, tools: &Tools) -> Result<Pacemaker, BenchError> {
        let bed = PeerBed::build(tools, "qdevice", NODES)?;
        let mut tie_breaker = TieBreaker { host: bed.third(SERVER_ROUND_TRIP)?, room: None };
        tie_breaker.start(&bed)?;
        let mut cluster =
            Pacemaker { bed, tuning: self, rooms: Vec::new(), tie_breaker: Some(tie_breaker) };
        cluster.begin()?;
        Ok(cluster)
    }
}

/// Starts a node's side of it.
pub(super) fn start(room: &Room) -> Result<(), BenchError> {
    room.start(&["corosync-qdevice", "-f"])
}

/// Whether a node counts all votes: its own, the other node's and the server's.
pub(super) fn has_vote(room: &Room) -> bool {
    let said = room.run(&["corosync-quorumtool", "-s"]).unwrap_or_default();
    votes(&said) == Some(u32::from(NODES) + 1)
}

fn votes(said: &str) -> Option<u32> {
    said.lines().find_map(|line| line.strip_prefix("Total votes:")?.trim().parse().ok())
}

impl Tied for Pacemaker {
    fn hand(&mut self, watch: &Watch, node: &str) -> Result<Settled, BenchError> {
        let settled = self.settled(watch)?.0;
        if settled.holder == node { Ok(settled) } else { self.move_to(watch, node) }
    }

    fn lose_server(&mut self, node: &str) -> Result<(), BenchError> {
        let link = self.bed.node(node)?.link(THIRD);
        let link = link.ok_or_else(|| std::io::Error::other("there is no cable"));
        Ok(self.bed.bed.cut_link(&link.step(|| format!("cannot cut {node} from the server"))?)?)
    }

    fn kill_server(&mut self) -> Result<(), BenchError> {
        if let Some(tie_breaker) = &mut self.tie_breaker {
            tie_breaker.room = None;
            tie_breaker.host.kill_all()?;
        }
        Ok(())
    }

    fn start_server(&mut self) -> Result<(), BenchError> {
        self.tie_breaker.as_mut().map_or(Ok(()), |tie_breaker| tie_breaker.start(&self.bed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_read_from_what_the_tool_prints() {
        let said = "Expected votes:   3\nHighest expected: 3\nTotal votes:      3\nQuorum: 2\n";
        assert_eq!(votes(said), Some(3));
        assert_eq!(votes("Cannot initialize QUORUM service"), None);
    }
}
