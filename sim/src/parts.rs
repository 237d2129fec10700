//! Services that consist of several resources: what a plan says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stead_core::id::ServiceId;
use stead_core::resource::{Resource, order};
use stead_core::state::config::{
    Agent, ConfigNext, ResourceConfig, ResourceTimes, Safety, ServiceMore, Stuck,
};
use stead_core::time::Span;

use crate::plan::service;
use crate::reader::{Reader, ScriptError};
use crate::rng::Rng;

/// What resources are called that chance draws.
const NAMES: [&str; 5] = ["disk", "data", "app", "web", "mail"];

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What it needs of the same service.
    pub needs: BTreeSet<String>,
}

/// The resources of all services that have any, and what counts for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// By the service's number.
    pub services: BTreeMap<usize, Vec<Part>>,
    /// How often one is started again where it is.
    pub restarts: u32,
    /// After how long a time of work its failures count no more.
    pub forget_after: Span,
    /// How long an agent may take for anything.
    pub timeout: Span,
    /// The time between two runs of a monitor.
    pub interval: Span,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            services: BTreeMap::new(),
            restarts: 3,
            forget_after: Span::from_millis(600_000),
            timeout: Span::from_millis(2_000),
            interval: Span::from_millis(1_000),
        }
    }
}

impl Parts {
    /// One or two services of some resources each.
    #[must_use]
    pub fn draw(rng: &mut Rng, services: usize) -> Self {
        let mut all = BTreeMap::new();
        for _ in 0..rng.between(1, 3) {
            all.insert(rng.index(services), parts(rng));
        }
        Self {
            services: all,
            restarts: [0, 1, 1, 3][rng.index(4)],
            forget_after: Span::from_millis([0, 500, 3_000, 60_000][rng.index(4)]),
            timeout: Span::from_millis([200, 500, 1_000][rng.index(3)]),
            interval: Span::from_millis([100, 400, 1_000][rng.index(3)]),
        }
    }

    /// Those of a service; none if it does not consist of any.
    #[must_use]
    pub fn of(&self, name: &ServiceId) -> &[Part] {
        if self.services.is_empty() {
            return &[];
        }
        let number = name.0.strip_prefix('s').and_then(|number| number.parse().ok());
        number.and_then(|number: usize| self.services.get(&number)).map_or(&[], Vec::as_slice)
    }

    /// What the configuration says of them.
    #[must_use]
    pub fn config(&self) -> ConfigNext {
        let more = |parts: &Vec<Part>| ServiceMore {
            resources: parts.iter().map(|part| self.resource(part)).collect(),
            ..ServiceMore::default()
        };
        let services = self.services.iter().map(|(number, parts)| (service(*number), more(parts)));
        ConfigNext { services: services.collect() }
    }

    pub(crate) fn resource(&self, part: &Part) -> ResourceConfig {
        let within = Some(self.timeout);
        ResourceConfig {
            name: part.name.clone(),
            agent: Agent::Process {
                command: vec!["/bin/part".into()],
                monitor: None,
                how: Default::default(),
            },
            needs: part.needs.clone(),
            times: ResourceTimes {
                start: within,
                stop: within,
                monitor: within,
                interval: Some(self.interval),
            },
            restarts: self.restarts,
            forget_after: self.forget_after,
            safety: Safety::Lease,
            stuck: Stuck::Wait,
        }
    }

    /// A line of a script, if it is one of these.
    ///
    /// # Errors
    /// At the word that doesn't fit.
    pub fn read(&mut self, verb: &str, words: &mut Reader<'_>) -> Result<bool, ScriptError> {
        match verb {
            "resources" => {
                let number = crate::fault::read_service(words)?;
                let mut parts = vec![read_part(words)?];
                while !words.is_done() {
                    parts.push(read_part(words)?);
                }
                let known = self.services.insert(number, parts);
                let all = self.config().services.remove(&service(number)).unwrap_or_default();
                if known.is_some() || order(&all.resources).is_err() {
                    let what = "its resources have names of their own, need each other in no \
                                circle, and are told once";
                    return Err(words.wrong(what));
                }
            }
            "restarts" => self.restarts = words.number("how many")?.min(1_000) as u32,
            "forget-after" => self.forget_after = Span(words.millis()?),
            "agent-timeout" => self.timeout = Span(words.millis()?.max(1_000)),
            "monitor-interval" => self.interval = Span(words.millis()?.max(1_000)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Two to five, each of which may need those before it; listed in either order.
fn parts(rng: &mut Rng) -> Vec<Part> {
    let count = rng.between(2, 6) as usize;
    let part = |rng: &mut Rng, place: usize| {
        let needs = NAMES.iter().take(place).filter(|_| rng.chance(2));
        let needs = needs.map(|name| (*name).to_string()).collect();
        Part { name: NAMES[place].to_string(), needs }
    };
    let mut all: Vec<_> = (0..count).map(|place| part(rng, place)).collect();
    if rng.chance(2) {
        all.reverse();
    }
    all
}

/// `NAME`, or `NAME:NEED,NEED`.
fn read_part(words: &mut Reader<'_>) -> Result<Part, ScriptError> {
    let word = words.word("a resource: NAME, or NAME:NEED,NEED")?;
    let (name, needs) = word.split_once(':').unwrap_or((word, ""));
    let fits = |name: &str| {
        !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
    };
    let needs: BTreeSet<_> =
        needs.split(',').filter(|it| !it.is_empty()).map(str::to_string).collect();
    if !fits(name) || !needs.iter().all(|it| fits(it)) {
        return Err(words.wrong(&format!("{word} is no resource: NAME, or NAME:NEED,NEED")));
    }
    Ok(Part { name: name.to_string(), needs })
}

/// What an executor makes of what the configuration says; the same as the daemon's own.
///
/// # Panics
/// If they can't be brought into an order, which neither a script nor chance can ask for.
#[must_use]
pub fn resources(all: &[ResourceConfig]) -> Vec<Resource> {
    let needs = order(all).expect("a plan's resources need each other in no circle");
    let one = |(config, needs): (&ResourceConfig, Vec<usize>)| Resource {
        needs,
        interval: config.times.interval.unwrap_or_default(),
        restarts: config.restarts,
        forget_after: config.forget_after,
    };
    all.iter().zip(needs).map(one).collect()
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let needs: Vec<_> = self.needs.iter().map(String::as_str).collect();
        if needs.is_empty() { Ok(()) } else { write!(f, ":{}", needs.join(",")) }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.services.is_empty() {
            return Ok(());
        }
        for (number, parts) in &self.services {
            let parts: Vec<_> = parts.iter().map(Part::to_string).collect();
            writeln!(f, "resources s{number} {}", parts.join(" "))?;
        }
        let ms = |span: Span| crate::fault::millis(span.0);
        writeln!(f, "restarts {}\nforget-after {}", self.restarts, ms(self.forget_after))?;
        writeln!(f, "agent-timeout {}", ms(self.timeout))?;
        writeln!(f, "monitor-interval {}", ms(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Parts, ScriptError> {
        let mut parts = Parts::default();
        for line in lines {
            let mut words = Reader::new(1, line);
            let verb = words.word("a verb")?;
            assert!(parts.read(verb, &mut words)?, "{line}");
            words.finish()?;
        }
        Ok(parts)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let lines = [
            "resources s0 disk data:disk web:data,disk",
            "resources s3 app",
            "restarts 0",
            "forget-after 0.500",
            "agent-timeout 200",
            "monitor-interval 1000",
        ];
        assert_eq!(read(&lines).unwrap().to_string(), format!("{}\n", lines.join("\n")));
        for seed in 0..100 {
            let drawn = Parts::draw(&mut Rng::new(seed), 3).to_string();
            let again = read(&drawn.lines().collect::<Vec<_>>()).unwrap();
            assert_eq!(again.to_string(), drawn);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "resources s0",
            "resources s0 a:b",
            "resources s0 a:a",
            "resources s0 a:b b:a",
            "resources s0 a a",
            "resources s0 a.b",
            "resources x a",
        ] {
            assert!(read(&[line]).is_err(), "{line}");
        }
        assert!(read(&["resources s0 a", "resources s0 a"]).is_err());
    }
}
