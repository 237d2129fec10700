//! The picture: who answers for which address, and the last seconds as the client saw them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use stead_lab::prober::Cell;

use super::fleet::Client;
use super::show::{Ink, Show};

/// How much of the past is shown.
const WINDOW: Duration = Duration::from_secs(8);
/// Columns to the left of a strip.
const MARGIN: usize = 18;
/// Bars by height.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What was done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// Its power is off.
    Off,
    /// It is cut off from the other nodes.
    Cut,
    /// Its processes are stopped.
    Frozen,
    /// Its daemon was killed.
    Daemon,
    /// Its guard was killed.
    Guard,
}

impl Harm {
    fn words(self) -> &'static str {
        match self {
            Self::Off => "power off",
            Self::Cut => "cut off from the others",
            Self::Frozen => "frozen",
            Self::Daemon => "daemon killed",
            Self::Guard => "guard killed",
        }
    }
}

#[derive(Default)]
struct Known {
    harm: BTreeMap<String, Harm>,
    coordinator: Option<String>,
    /// What is no node, and what is wrong with it.
    things: Vec<(&'static str, Option<&'static str>)>,
}

/// What the picture shows. Cheap to clone.
#[derive(Clone)]
pub(super) struct Scene(Arc<Inner>);

struct Inner {
    /// Name and site.
    nodes: Vec<(String, String)>,
    known: Mutex<Known>,
    clients: OnceLock<[(&'static str, Arc<Client>); 2]>,
}

impl Scene {
    pub(super) fn new(nodes: Vec<(String, String)>) -> Self {
        let (known, clients) = (Mutex::default(), OnceLock::new());
        Self(Arc::new(Inner { nodes, known, clients }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_clients(&self, clients: [(&'static str, Arc<Client>); 2]) {
        // they are set once
        drop(self.0.clients.set(clients));
    }

    pub(super) fn set_harm(&self, node: &str, harm: Option<Harm>) {
        match harm {
            Some(harm) => self.known().harm.insert(node.to_owned(), harm),
            None => self.known().harm.remove(node),
        };
    }

    /// Shows something that is no node, and what is wrong with it.
    pub(super) fn set_thing(&self, thing: &'static str, harm: Option<&'static str>) {
        let things = &mut self.known().things;
        match things.iter_mut().find(|(name, _)| *name == thing) {
            Some((_, before)) => *before = harm,
            None => things.push((thing, harm)),
        }
    }

    /// Whether something was done to a node.
    pub(super) fn is_harmed(&self, node: &str) -> bool {
        self.known().harm.contains_key(node)
    }

    pub(super) fn set_coordinator(&self, node: Option<String>) {
        self.known().coordinator = node;
    }

    /// The picture as lines.
    pub(super) fn draw(&self, show: &Show) -> Vec<String> {
        let mut lines = vec![String::new()];
        let clients = self.0.clients.get().map_or(&[][..], |clients| &clients[..]);
        let holders: Vec<_> = clients.iter().map(|(name, it)| (*name, it.holders())).collect();
        let known = self.known();
        let wide = self.0.nodes.iter().map(|(_, site)| site.len()).max().unwrap_or(0).max(6);
        let mut site_before = "";
        for (node, site) in &self.0.nodes {
            let site_shown = if site == site_before { "" } else { site };
            site_before = site;
            let harm = known.harm.get(node).copied();
            let light = match harm {
                None => show.ink(Ink::Green, "●"),
                Some(Harm::Daemon | Harm::Guard) => show.ink(Ink::Yellow, "●"),
                Some(Harm::Off | Harm::Cut | Harm::Frozen) => show.ink(Ink::Red, "✗"),
            };
            let held = holders.iter().filter(|(_, by)| by.contains(node));
            let held: Vec<String> = held.map(|(name, _)| show.ink(Ink::Bold, name)).collect();
            let mut line = format!("  {site_shown:<wide$} {node:<6} {light} {}", held.join(" "));
            if known.coordinator.as_ref() == Some(node) {
                line.push_str(&show.ink(Ink::Dim, "  coordinates"));
            }
            if let Some(harm) = harm {
                line.push_str(&show.ink(Ink::Red, &format!("  {}", harm.words())));
            }
            lines.push(line);
        }
        for (thing, harm) in &known.things {
            lines.push(match harm {
                None => format!("  {thing} {}", show.ink(Ink::Green, "●")),
                Some(harm) => format!("  {thing} {}", show.ink(Ink::Red, &format!("✗  {harm}"))),
            });
        }
        drop(known);
        let cells = Show::width().saturating_sub(MARGIN + 4);
        for (name, client) in clients {
            let by = client.answered_by().unwrap_or_default();
            let strip = strip(show, &client.strip(WINDOW, cells));
            lines.push(format!("  {name:<6} {by:<6} │{strip}│"));
        }
        let seconds = WINDOW.as_secs();
        let note = format!("answers to the client, the last {seconds} s, now at the right");
        lines.push(format!("                 {}", show.ink(Ink::Dim, &note)));
        lines
    }
}

/// The strip: height is how many answers came, colour is who gave them, a red dot is none.
fn strip(show: &Show, cells: &[Cell]) -> String {
    const COLOURS: [Ink; 5] = [Ink::Green, Ink::Cyan, Ink::Blue, Ink::Magenta, Ink::Yellow];
    // The newest cell is not over yet.
    let full = cells.iter().map(|cell| cell.answers).max().unwrap_or(0).max(1);
    let draw = |cell: &Cell| match cell.node {
        None => show.ink(Ink::Red, "·"),
        Some(node) => {
            let height = (cell.answers * 8).div_ceil(full).clamp(1, 8);
            let bar = BARS[height as usize].to_string();
            show.ink(COLOURS[usize::from(node) % COLOURS.len()], &bar)
        }
    };
    cells.iter().take(cells.len().saturating_sub(1)).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_shows_silence_as_dots() {
        let cell = |answers, node| Cell { answers, node };
        let cells = [cell(80, Some(0)), cell(0, None), cell(40, Some(1)), cell(3, Some(1))];
        assert_eq!(strip(&Show::new(true), &cells), "█·▄");
    }
}
