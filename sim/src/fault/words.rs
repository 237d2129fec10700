//! Acts as words: a line of a scenario, both ways.

use std::fmt;

use super::manner::read_manner;
use super::{Act, AgentAct, Care, Target};
use crate::log::Mode;
use crate::plan::NAMES;
use crate::reader::{Reader, ScriptError};
use crate::register::Fault;
use crate::world::{Halt, Moment};

/// An act that can't be done now. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// Nobody is meant by that now.
    #[error("there is no {0} at this moment; name a machine, or wait until there is one")]
    Nobody(Target),
    /// There are fewer links.
    #[error("there is no link {0}; say how many there are at the top: links N")]
    NoLink(usize),
    /// Nobody serves it now.
    #[error("nobody serves s{0} at this moment; wait for it: await served s{0} within MS")]
    Unserved(usize),
    /// Nobody is there to take an operator's word.
    #[error("no daemon runs that could take an operator's word")]
    NoDaemon,
    /// There is no such resource.
    #[error("s{0} has no resource {1}; say which at the top: resources s{0} NAME NAME:NEED")]
    NoResource(usize, String),
    /// Nothing could be overridden there.
    #[error("nothing can be overridden there: {0}")]
    NotOverridable(String),
}

/// Microseconds as milliseconds, in words.
#[must_use]
pub fn millis(micros: u64) -> String {
    Ms(micros).to_string()
}

/// Microseconds as milliseconds.
struct Ms(u64);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1_000 {
            0 => write!(f, "{}", self.0 / 1_000),
            part => write!(f, "{}.{part:03}", self.0 / 1_000),
        }
    }
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn on_link(link: Option<usize>) -> String {
    link.map(|link| format!(" link {link}")).unwrap_or_default()
}

fn names(group: &[Target]) -> String {
    group.iter().map(|it| format!(" {it}")).collect()
}

impl fmt::Display for Act {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest stands below")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |pause: &Option<u64>| pause.map_or("kill".into(), |it| Ms(it).to_string());
        match self {
            Self::Cut(link, group) => write!(f, "cut{}{}", on_link(*link), names(group)),
            Self::Way(link, from, to, open) => {
                write!(f, "way{} {from} {to} {}", on_link(*link), switch(*open))
            }
            Self::Mute(it) => write!(f, "mute {it}"),
            Self::Deaf(it) => write!(f, "deaf {it}"),
            Self::Link(link, open) => write!(f, "link {link} {}", switch(*open)),
            Self::Mend => f.write_str("mend"),
            Self::Port(it, up) => write!(f, "port {it} {}", switch(*up)),
            Self::Point(number, lives) => write!(f, "point {number} {}", switch(*lives)),
            Self::Silent(it) => write!(f, "silent {it}"),
            Self::Register(Fault::Up(up)) => write!(f, "server {}", switch(*up)),
            Self::Register(Fault::Lost) => f.write_str("server lost"),
            Self::Register(Fault::Copied) => f.write_str("server copied"),
            Self::Register(Fault::Restored) => f.write_str("server restored"),
            Self::RegisterWay(it, open) => write!(f, "server-way {it} {}", switch(*open)),
            Self::Storm(late, long) => write!(f, "storm {} {}", Ms(*late), Ms(*long)),
            Self::Record(it) => write!(f, "record {it}"),
            Self::Replay => f.write_str("replay"),
            Self::FreezeGuard(it, long) => write!(f, "freeze-guard {it} {}", Ms(*long)),
            Self::FreezeDaemon(it, long) => write!(f, "freeze-daemon {it} {}", Ms(*long)),
            Self::Freeze(it, long) => write!(f, "freeze {it} {}", Ms(*long)),
            Self::CutGuard(it, at, pause) => write!(f, "cut-guard {it} {at} {}", cut(pause)),
            Self::CutDaemon(it, after, pause) => {
                write!(f, "cut-daemon {it} {after} {}", cut(pause))
            }
            Self::KillGuard(it) => write!(f, "kill-guard {it}"),
            Self::StartGuard(it) => write!(f, "start-guard {it}"),
            Self::KillDaemon(it) => write!(f, "kill-daemon {it}"),
            Self::StartDaemon(it) => write!(f, "start-daemon {it}"),
            Self::PowerOff(group) => write!(f, "power-off{}", names(group)),
            Self::PowerOn(it) => write!(f, "power-on {it}"),
            Self::Release(it) => write!(f, "release {it}"),
            Self::Retire(it) => write!(f, "retire {it}"),
            Self::Halt(it, Halt::Suspended, long) => write!(f, "suspend {it} {}", Ms(*long)),
            Self::Halt(it, Halt::Paused, long) => write!(f, "hypervisor {it} {}", Ms(*long)),
            Self::Disk(it, Mode::Good) => write!(f, "disk {it} good"),
            Self::Disk(it, Mode::Slow(late)) => write!(f, "disk {it} slow {}", Ms(*late)),
            Self::Disk(it, Mode::Full) => write!(f, "disk {it} full"),
            Self::Disk(it, Mode::Failing) => write!(f, "disk {it} failing"),
            Self::LoseDisk(it) => write!(f, "lose-disk {it}"),
            Self::Clock(it, ppm, out) => {
                write!(f, "clock {it} {ppm} {}", if *out { "outside" } else { "inside" })
            }
            Self::Stranger(number, long) => write!(f, "stranger s{number} {}", Ms(*long)),
            Self::RemoveAddress(number) => write!(f, "remove-address s{number}"),
            Self::End(number) => write!(f, "end s{number}"),
            Self::Break(number, it) => write!(f, "break s{number} {it}"),
            Self::Unbreak => f.write_str("unbreak"),
            _ => self.of_operators(f),
        }
    }
}

impl Act {
    /// What people do, as words.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest stands above")]
    fn of_operators(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Move(number, it) => write!(f, "move s{number} {it}"),
            Self::Standby(it, on) => write!(f, "standby {it} {}", switch(*on)),
            Self::RideOut(millis) => write!(f, "ride-out {millis}"),
            Self::Swap(on) => write!(f, "swap {}", switch(*on)),
            Self::Leave(it) => write!(f, "leave {it}"),
            Self::Join(it) => write!(f, "join {it}"),
            Self::Clear => f.write_str("clear"),
            Self::Disarm(long) => write!(f, "disarm {}", Ms(*long)),
            Self::Arm => f.write_str("arm"),
            Self::Serve(group, on) => {
                write!(f, "{}{}", if *on { "unhalt" } else { "halt" }, names(group))
            }
            Self::Services(numbers, on) => {
                let names: String = numbers.iter().map(|it| format!(" s{it}")).collect();
                write!(f, "{}{names}", if *on { "start" } else { "stop" })
            }
            Self::Maintain(what, on) => write!(f, "maintenance {what} {}", switch(*on)),
            Self::Satellite(it, on) => write!(f, "satellite {it} {}", switch(*on)),
            Self::Steady(it) => write!(f, "steady {it}"),
            Self::ConfirmOff(it) => write!(f, "confirm-off {it}"),
            Self::Device(it, manner) => write!(f, "device {it} {}", manner.word()),
            Self::Agents(act) => write!(f, "{act}"),
            Self::Override(it, false) => write!(f, "override {it}"),
            Self::Override(it, true) => write!(f, "override-forced {it}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Care {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Machine(it) => write!(f, "node {it}"),
            Self::Service(number) => write!(f, "service s{number}"),
        }
    }
}

impl Target {
    /// The next word is a machine, or what one is.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(words: &mut Reader<'_>) -> Result<Self, ScriptError> {
        let word = words.word("a machine")?;
        match word {
            "coordinator" => Ok(Self::Coordinator),
            "holder" => Ok(Self::Holder),
            "other" => Ok(Self::Other),
            _ => match NAMES.iter().position(|name| *name == word) {
                Some(host) => Ok(Self::Host(host)),
                None => Err(words.wrong(&format!(
                    "{word} is no machine: they are called a to p, coordinator, holder or other"
                ))),
            },
        }
    }
}

/// The next word is a service.
///
/// # Errors
/// If it is none.
pub fn read_service(words: &mut Reader<'_>) -> Result<usize, ScriptError> {
    let word = words.word("a service")?;
    let number = word.strip_prefix('s').and_then(|number| number.parse().ok());
    number.filter(|number| *number < 100).ok_or_else(|| {
        words.wrong(&format!("{word} is no service: they are called s0, s1 and so on"))
    })
}

fn read_link(words: &mut Reader<'_>) -> Result<Option<usize>, ScriptError> {
    if words.peek() != Some("link") {
        return Ok(None);
    }
    words.word("link")?;
    Ok(Some(words.number("the number of a link")? as usize))
}

fn read_group(words: &mut Reader<'_>) -> Result<Vec<Target>, ScriptError> {
    let mut group = vec![Target::read(words)?];
    while !words.is_done() {
        group.push(Target::read(words)?);
    }
    Ok(group)
}

fn read_services(words: &mut Reader<'_>) -> Result<Vec<usize>, ScriptError> {
    let mut services = vec![read_service(words)?];
    while !words.is_done() {
        services.push(read_service(words)?);
    }
    Ok(services)
}

fn read_care(words: &mut Reader<'_>) -> Result<Care, ScriptError> {
    Ok(match words.word("cluster, node or service")? {
        "cluster" => Care::Cluster,
        "node" => Care::Machine(Target::read(words)?),
        "service" => Care::Service(read_service(words)?),
        other => {
            let what = format!("maintenance is of the cluster, a node or a service: {other}");
            return Err(words.wrong(&what));
        }
    })
}

fn read_count(words: &mut Reader<'_>) -> Result<usize, ScriptError> {
    Ok(words.number("after how many of its acts")?.min(1_000) as usize)
}

fn read_moment(words: &mut Reader<'_>) -> Result<Moment, ScriptError> {
    if words.peek() == Some("arming") {
        words.word("arming")?;
        return Ok(Moment::Arming);
    }
    if words.peek() == Some("releasing") {
        words.word("releasing")?;
        return Ok(Moment::Releasing(read_count(words)?));
    }
    Ok(Moment::After(read_count(words)?))
}

fn read_pause(words: &mut Reader<'_>) -> Result<Option<u64>, ScriptError> {
    if words.peek() == Some("kill") {
        words.word("kill")?;
        return Ok(None);
    }
    Ok(Some(words.millis()?))
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(count) => write!(f, "{count}"),
            Self::Arming => f.write_str("arming"),
            Self::Releasing(count) => write!(f, "releasing {count}"),
        }
    }
}

fn read_disk(words: &mut Reader<'_>) -> Result<Act, ScriptError> {
    let it = Target::read(words)?;
    let mode = match words.word("good, slow, full or failing")? {
        "good" => Mode::Good,
        "full" => Mode::Full,
        "failing" => Mode::Failing,
        "slow" => Mode::Slow(words.millis()?),
        other => {
            return Err(words.wrong(&format!("a disk is good, slow, full or failing: {other}")));
        }
    };
    Ok(Act::Disk(it, mode))
}

fn read_server(words: &mut Reader<'_>) -> Result<Fault, ScriptError> {
    Ok(match words.word("on, off, lost, copied or restored")? {
        "on" => Fault::Up(true),
        "off" => Fault::Up(false),
        "lost" => Fault::Lost,
        "copied" => Fault::Copied,
        "restored" => Fault::Restored,
        other => {
            let what = format!("a server is on, off, lost, copied or restored: {other}");
            return Err(words.wrong(&what));
        }
    })
}

impl Act {
    /// The act whose verb was just read; nothing if that is no act's.
    ///
    /// # Errors
    /// At the word that doesn't fit.
    pub fn read(verb: &str, words: &mut Reader<'_>) -> Result<Option<Self>, ScriptError> {
        let it = Target::read;
        Ok(Some(match verb {
            "cut" => Self::Cut(read_link(words)?, read_group(words)?),
            "way" => {
                let link = read_link(words)?;
                Self::Way(link, it(words)?, it(words)?, words.either("on", "off")?)
            }
            "link" => {
                let link = words.number("the number of a link")? as usize;
                Self::Link(link, words.either("on", "off")?)
            }
            "mend" => Self::Mend,
            "point" => {
                let number = words.number("the number of a reference point")? as usize;
                Self::Point(number, words.either("on", "off")?)
            }
            "silent" => Self::Silent(it(words)?),
            "port" => Self::Port(it(words)?, words.either("on", "off")?),
            "server" => Self::Register(read_server(words)?),
            "server-way" => Self::RegisterWay(it(words)?, words.either("on", "off")?),
            "storm" => Self::Storm(words.millis()?, words.millis()?),
            "replay" => Self::Replay,
            "cut-guard" => Self::CutGuard(it(words)?, read_moment(words)?, read_pause(words)?),
            "cut-daemon" => Self::CutDaemon(it(words)?, read_count(words)?, read_pause(words)?),
            "power-off" => Self::PowerOff(read_group(words)?),
            "halt" => Self::Serve(read_group(words)?, false),
            "unhalt" => Self::Serve(read_group(words)?, true),
            "stop" => Self::Services(read_services(words)?, false),
            "start" => Self::Services(read_services(words)?, true),
            "maintenance" => Self::Maintain(read_care(words)?, words.either("on", "off")?),
            "disk" => read_disk(words)?,
            "clock" => {
                let (it, ppm) = (it(words)?, words.signed("millionths")?);
                if ppm.abs() > 200_000 {
                    return Err(words.wrong("no clock is wrong by more than 200000 millionths"));
                }
                Self::Clock(it, ppm, words.either("outside", "inside")?)
            }
            "stranger" => Self::Stranger(read_service(words)?, words.millis()?),
            "remove-address" => Self::RemoveAddress(read_service(words)?),
            "end" => Self::End(read_service(words)?),
            "break" => Self::Break(read_service(words)?, it(words)?),
            "unbreak" => Self::Unbreak,
            "move" => Self::Move(read_service(words)?, it(words)?),
            "standby" => Self::Standby(it(words)?, words.either("on", "off")?),
            "satellite" => Self::Satellite(it(words)?, words.either("on", "off")?),
            "ride-out" => Self::RideOut(words.number("milliseconds")?),
            "swap" => Self::Swap(words.either("on", "off")?),
            "clear" => Self::Clear,
            "disarm" => Self::Disarm(words.millis()?),
            "arm" => Self::Arm,
            _ => return Self::read_of_one(verb, words),
        }))
    }

    /// Acts that name one machine, and perhaps a length of time.
    fn read_of_one(verb: &str, words: &mut Reader<'_>) -> Result<Option<Self>, ScriptError> {
        let it = Target::read;
        Ok(Some(match verb {
            "mute" => Self::Mute(it(words)?),
            "deaf" => Self::Deaf(it(words)?),
            "record" => Self::Record(it(words)?),
            "steady" => Self::Steady(it(words)?),
            "confirm-off" => Self::ConfirmOff(it(words)?),
            "device" => Self::Device(it(words)?, read_manner(words)?),
            "freeze-guard" => Self::FreezeGuard(it(words)?, words.millis()?),
            "freeze-daemon" => Self::FreezeDaemon(it(words)?, words.millis()?),
            "freeze" => Self::Freeze(it(words)?, words.millis()?),
            "kill-guard" => Self::KillGuard(it(words)?),
            "start-guard" => Self::StartGuard(it(words)?),
            "kill-daemon" => Self::KillDaemon(it(words)?),
            "start-daemon" => Self::StartDaemon(it(words)?),
            "power-on" => Self::PowerOn(it(words)?),
            "release" => Self::Release(it(words)?),
            "retire" => Self::Retire(it(words)?),
            "override" => Self::Override(it(words)?, false),
            "override-forced" => Self::Override(it(words)?, true),
            "suspend" => Self::Halt(it(words)?, Halt::Suspended, words.millis()?),
            "hypervisor" => Self::Halt(it(words)?, Halt::Paused, words.millis()?),
            "lose-disk" => Self::LoseDisk(it(words)?),
            "leave" => Self::Leave(it(words)?),
            "join" => Self::Join(it(words)?),
            _ => return Ok(AgentAct::read(verb, words)?.map(Self::Agents)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line of every kind.
    const LINES: &[&str] = &[
        "cut a c",
        "cut link 1 b",
        "way a b off",
        "way link 0 a b on",
        "mute a",
        "deaf holder",
        "link 1 off",
        "mend",
        "port a on",
        "point 1 off",
        "silent c",
        "server off",
        "server on",
        "server lost",
        "server copied",
        "server restored",
        "server-way b off",
        "storm 2.500 100",
        "record a",
        "replay",
        "freeze-guard a 0.007",
        "freeze-daemon a 3",
        "freeze other 1200",
        "cut-guard a 3 kill",
        "cut-guard a 0 12.500",
        "cut-guard a arming 5",
        "cut-daemon b 1 kill",
        "kill-guard a",
        "start-guard a",
        "kill-daemon a",
        "start-daemon a",
        "confirm-off a",
        "device b lies",
        "device coordinator good",
        "power-off a b",
        "power-on a",
        "release a",
        "retire a",
        "cut-guard a releasing 2 kill",
        "suspend a 5",
        "hypervisor a 5",
        "disk a good",
        "disk a slow 70",
        "disk a full",
        "disk a failing",
        "lose-disk i",
        "clock a -2500 outside",
        "clock a 300 inside",
        "stranger s0 5",
        "remove-address s2",
        "end s1",
        "break s1 a",
        "unbreak",
        "move s1 b",
        "standby a on",
        "ride-out 300",
        "swap off",
        "leave a",
        "join a",
        "clear",
        "disarm 60000",
        "arm",
        "steady b",
        "halt a c",
        "unhalt b",
        "stop s0 s2",
        "start s1",
        "maintenance cluster on",
        "maintenance node b off",
        "maintenance service s3 on",
    ];

    #[test]
    fn what_is_written_is_read_again() {
        for line in LINES {
            let mut words = Reader::new(1, line);
            let verb = words.word("a verb").unwrap();
            let act = Act::read(verb, &mut words).unwrap().unwrap_or_else(|| panic!("{line}"));
            words.finish().unwrap();
            assert_eq!(act.to_string(), *line);
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (line, column) in [
            ("cut z", 5),
            ("move x1 a", 6),
            ("move s1", 8),
            ("disk a wet", 8),
            ("standby a perhaps", 11),
            ("freeze a", 9),
            ("clock a 999999 inside", 9),
            ("device a honest", 10),
        ] {
            let mut words = Reader::new(1, line);
            let verb = words.word("a verb").unwrap();
            let error = Act::read(verb, &mut words).unwrap_err();
            assert_eq!(error.column, column, "{line}: {error}");
        }
    }
}
