//! Who is measured, and what leads the client.

use std::fmt;

use ::stead::demo::fleet::Family;
use clap::ValueEnum;

use super::{Pair, exabgp, keepalived, names, routes, stead};
use crate::error::BenchError;
use crate::subject::{Advert, Spec, is_installed, missing};
use crate::tools::Tools;

/// What leads the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Its neighbour cache has another MAC for the address.
    Arp,
    /// The address has a MAC, which is behind another port.
    Mac,
    /// A router has another gateway for the address.
    Route,
    /// A name has another address.
    Name,
    /// A document has another address.
    Document,
}

impl Way {
    /// All of them, the lowest first.
    pub const ALL: [Self; 5] = [Self::Arp, Self::Mac, Self::Route, Self::Name, Self::Document];

    /// A program that it needs whoever is measured, and the Debian package that brings it.
    fn needs(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Arp | Self::Mac | Self::Document => None,
            Self::Route => Some((routes::BIRD, routes::PACKAGE)),
            Self::Name => Some((names::PROGRAM, names::PACKAGE)),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Arp => "arp",
            Self::Mac => "mac",
            Self::Route => "route",
            Self::Name => "name",
            Self::Document => "document",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Stead,
    Keepalived,
    /// With that hold time in seconds.
    ExaBgp(u32),
}

/// Who is measured, and how the client is led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    program: Program,
    way: Way,
}

/// The subjects of these layers, with peers where there are any.
#[must_use]
pub fn subjects(ways: &[Way], peers: bool) -> Vec<Subject> {
    let mut all = Vec::new();
    for &way in Way::ALL.iter().filter(|it| ways.contains(it)) {
        let others = match way {
            Way::Arp | Way::Mac => vec![Program::Keepalived],
            Way::Route => exabgp::HOLDS.map(Program::ExaBgp).to_vec(),
            Way::Name | Way::Document => vec![],
        };
        let others = others.into_iter().filter(|_| peers);
        let programs = std::iter::once(Program::Stead).chain(others);
        all.extend(programs.map(|program| Subject { program, way }));
    }
    all
}

impl Subject {
    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.program {
            Program::Stead => "stead",
            Program::Keepalived => "keepalived",
            Program::ExaBgp(_) => "exabgp",
        }
    }

    /// The layer, and what a subject of it is told to tolerate.
    #[must_use]
    pub fn settings(self) -> String {
        format!("{}, {}", self.way, self.tolerates())
    }

    /// The same with the family of the client.
    pub(super) fn config(self, family: Family) -> String {
        let family = match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        format!("{}, {family}, {}", self.way, self.tolerates())
    }

    fn tolerates(self) -> String {
        match (self.program, self.way) {
            (Program::Stead, Way::Route) => {
                let (interval, count) = routes::BFD;
                format!("ride-out 300 ms, BFD {count} x {interval} ms")
            }
            (Program::Stead, Way::Name) => format!("ride-out 300 ms, TTL {} s", names::TTL),
            (Program::Stead, Way::Arp | Way::Mac | Way::Document) => "ride-out 300 ms".to_owned(),
            (Program::Keepalived, Way::Mac) => "advert 0.1 s, use_vmac".to_owned(),
            (Program::Keepalived, Way::Arp | Way::Route | Way::Name | Way::Document) => {
                "advert 0.1 s".to_owned()
            }
            (
                Program::ExaBgp(hold),
                Way::Arp | Way::Mac | Way::Route | Way::Name | Way::Document,
            ) => {
                format!("hold {hold} s, no BFD")
            }
        }
    }

    pub(super) fn start(self, tools: &Tools) -> Result<Box<dyn Pair>, BenchError> {
        Ok(match self.program {
            Program::Stead => Box::new(stead::Layered::start(tools, self.way)?),
            Program::Keepalived => Box::new(keepalived::Keepalived::start(tools, self.way)?),
            Program::ExaBgp(hold) => Box::new(exabgp::ExaBgp::start(tools, hold)?),
        })
    }
}

/// Looks whether all programs are here that these subjects need.
///
/// # Errors
/// [`BenchError::Missing`] of peers, [`BenchError::Nothing`] of what a layer needs by itself.
pub(super) fn look(subjects: &[Subject]) -> Result<(), BenchError> {
    let measures = |wanted: fn(&Program) -> bool| subjects.iter().any(|it| wanted(&it.program));
    if measures(|it| *it == Program::Keepalived) {
        missing(&[Spec::Keepalived(Advert::Tenth)])?;
    }
    if measures(|it| matches!(it, Program::ExaBgp(_))) && !is_installed(exabgp::PROGRAM) {
        let [programs, packages] = [exabgp::PROGRAM, exabgp::PACKAGE].map(str::to_owned);
        return Err(BenchError::Missing { programs, packages });
    }
    for subject in subjects {
        let lacking = subject.way.needs().filter(|(program, _)| !is_installed(program));
        if let Some((program, package)) = lacking {
            let text = format!(
                "the layer {} needs {program}, which is not here. Nothing was started. Install it \
                 (Debian: apt-get install {package}), or leave that layer out with --layers",
                subject.way
            );
            return Err(BenchError::Nothing(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_is_measured_with_the_peers_that_it_has() {
        let names = |ways: &[Way], peers| {
            let all = subjects(ways, peers);
            all.iter().map(|it| format!("{}: {}", it.name(), it.settings())).collect::<Vec<_>>()
        };
        assert_eq!(names(&Way::ALL, false).len(), Way::ALL.len());
        let routes = [
            "stead: route, ride-out 300 ms, BFD 3 x 50 ms",
            "exabgp: route, hold 9 s, no BFD",
            "exabgp: route, hold 3 s, no BFD",
        ];
        assert_eq!(names(&[Way::Route], true), routes);
        let two = names(&[Way::Document, Way::Mac], true);
        assert_eq!(two.len(), 3, "{two:?}");
        assert!(two[1].ends_with("use_vmac"), "in the order of layers: {two:?}");
    }

    #[test]
    fn a_way_is_called_alike_in_rows_and_on_the_command_line() {
        for way in Way::ALL {
            assert_eq!(Way::from_str(&way.to_string(), false), Ok(way));
        }
    }
}
