//! Times of the week, and what is said of services for them: `[times.NAME]`,
//! `[services.NAME.during.NAME]`, and `failback` with the name of a time.
//!
//! They are open by the clock of whoever coordinates; what that means for a plan is an event in the
//! log. Here they are read and written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use chrono_tz::Tz;
use stead_core::state::config::{During, Place, TimeConfig};
use toml::Spanned;

use super::keys::{self, nearest};
use super::problem::Findings;
use super::render::{list, quoted};
use super::rules::{Places, not_empty, places, spanned};
use super::section::{Section, shown};
use super::tables::named;

/// The days as they are written, from Monday.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The minutes of a day: its end.
const MIDNIGHT: u16 = 24 * 60;
/// By which clock, where nothing is said.
const ZONE: &str = "UTC";

/// A table `[times.NAME]`.
pub(super) struct Time {
    pub(super) name: Spanned<String>,
    pub(super) time: TimeConfig,
}

/// A table `[services.NAME.during.NAME]`.
pub(super) struct OfTime {
    pub(super) name: Spanned<String>,
    pub(super) prefer: Option<Places>,
    pub(super) only: Option<Spanned<Places>>,
    pub(super) never: Option<Spanned<Places>>,
}

/// Reads a time.
pub(super) fn time(
    name: Spanned<String>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Time {
    let from = clock("from", section, findings).unwrap_or(0);
    let to = clock("to", section, findings).unwrap_or(MIDNIGHT);
    if from == to || from == MIDNIGHT {
        let message = format!("{} ends as soon as it begins", section.place);
        let help = "for whole days leave both `from` and `to` away";
        findings.error(&section.at("from"), message, help);
    }
    let days = days(section, findings);
    let time = TimeConfig { days, from, to, zone: zone(section, findings) };
    Time { name, time }
}

/// A time of the day, in minutes since midnight.
fn clock(key: &str, section: &Section<'_, '_>, findings: &mut Findings) -> Option<u16> {
    let text = section.text(key, findings)?;
    let minutes = minutes(text.get_ref());
    if minutes.is_none() {
        let message = format!("`{}` is no time of the day", shown(text.get_ref()));
        let help = format!("write hours and minutes:  {}", section.example(key));
        findings.error(&text.span(), message, help);
    }
    minutes
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= MIDNIGHT).then_some(all)
}

fn days(section: &Section<'_, '_>, findings: &mut Findings) -> BTreeSet<u8> {
    let mut days = BTreeSet::new();
    let list = section.texts("days", findings);
    if list.as_ref().is_some_and(Vec::is_empty) {
        let message = format!("`days` of {} is empty", section.place);
        let help = "it would never be open; for every day leave it away";
        findings.error(&section.at("days"), message, help);
    }
    for day in list.into_iter().flatten() {
        match (0..).zip(DAYS).find(|(_, name)| name == day.get_ref()) {
            Some((number, _)) => drop(days.insert(number)),
            None => {
                let message = format!("`{}` is no day of the week", shown(day.get_ref()));
                let help = format!("the days are: {}", DAYS.join(", "));
                findings.error(&day.span(), message, help);
            }
        }
    }
    days
}

fn zone(section: &Section<'_, '_>, findings: &mut Findings) -> String {
    let Some(zone) = section.text("zone", findings) else { return ZONE.to_owned() };
    if zone.get_ref().parse::<Tz>().is_err() {
        let message = format!("`{}` is no time zone", shown(zone.get_ref()));
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let help = match nearest(zone.get_ref(), names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("write its name as time zone databases do:  {}", section.example("zone"))
            }
        };
        findings.error(&zone.span(), message, help);
    }
    zone.into_inner()
}

/// Reads what is said of a service for times.
pub(super) fn during(section: &Section<'_, '_>, findings: &mut Findings) -> Vec<OfTime> {
    named(section, "during", keys::DURING, findings, |name, section, findings| {
        let only = places("only", section, findings);
        not_empty("only", only.as_ref(), section, findings);
        let of_time = OfTime {
            name,
            prefer: places("prefer", section, findings),
            only: spanned("only", only, section),
            never: places("never", section, findings)
                .map(|it| Spanned::new(section.at("never"), it)),
        };
        if of_time.prefer.is_none() && of_time.only.is_none() && of_time.never.is_none() {
            let message = format!("{} says nothing", section.place);
            let help = format!("say where it is at that time:  {}", section.example("prefer"));
            findings.error(&section.at, message, help);
        }
        of_time
    })
}

/// `failback` where it is no time.
pub(super) fn failback(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Option<Spanned<bool>> {
    let value = section.get("failback").filter(|it| it.get_ref().as_str().is_none())?;
    let always = value.get_ref().as_bool().map(|it| Spanned::new(value.span(), it));
    if always.is_none() {
        section.mismatch("failback", value, "true, false or the name of a time", findings);
    }
    always
}

/// `failback` where it names a time.
pub(super) fn failback_at(section: &Section<'_, '_>) -> Option<Spanned<String>> {
    let value = section.get("failback")?;
    Some(Spanned::new(value.span(), value.get_ref().as_str()?.to_owned()))
}

impl OfTime {
    pub(super) fn config(&self) -> (String, During) {
        let plain = |places: &Places| places.iter().map(|it| it.get_ref().clone()).collect();
        let spanned = |it: &Option<Spanned<Places>>| it.as_ref().map(|it| plain(it.get_ref()));
        let prefer = self.prefer.as_ref();
        let during = During {
            prefer: prefer.map(|it| it.iter().map(|it| it.get_ref().to_string()).collect()),
            only: spanned(&self.only),
            never: spanned(&self.never),
        };
        (self.name.get_ref().clone(), during)
    }
}

/// All times, in the file's form.
pub(super) fn write_times(out: &mut String, times: &BTreeMap<String, TimeConfig>) -> fmt::Result {
    for (name, time) in times {
        writeln!(out, "\n[times.{name}]")?;
        if !time.days.is_empty() {
            let days = time.days.iter().filter_map(|day| DAYS.get(usize::from(*day)));
            writeln!(out, "days = {}", list(&days.map(ToString::to_string).collect::<Vec<_>>()))?;
        }
        writeln!(out, "from = {}", quoted(&of_day(time.from)))?;
        writeln!(out, "to = {}", quoted(&of_day(time.to)))?;
        writeln!(out, "zone = {}", quoted(&time.zone))?;
    }
    Ok(())
}

/// What is said of a service for times, in the file's form.
pub(super) fn write_during(
    out: &mut String,
    service: &str,
    during: &BTreeMap<String, During>,
) -> fmt::Result {
    for (name, During { prefer, only, never }) in during {
        writeln!(out, "\n[services.{service}.during.{name}]")?;
        if let Some(prefer) = prefer {
            writeln!(out, "prefer = {}", list(prefer))?;
        }
        for (key, places) in [("only", only), ("never", never)] {
            if let Some(places) = places {
                let places: Vec<_> = places.iter().map(Place::to_string).collect();
                writeln!(out, "{key} = {}", list(&places))?;
            }
        }
    }
    Ok(())
}

fn of_day(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A time in words.
pub(super) fn in_words(time: &TimeConfig) -> String {
    let days: Vec<_> =
        time.days.iter().filter_map(|day| DAYS.get(usize::from(*day)).copied()).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
    format!("{days} {} to {} ({})", of_day(time.from), of_day(time.to), time.zone)
}

/// What is said of a service for a time, in words.
pub(super) fn during_in_words((name, during): (&String, &During)) -> String {
    let During { prefer, only, never } = during;
    let all = |words: &str, all: Vec<String>| match all.as_slice() {
        [] => format!("{words} none"),
        all => format!("{words} {}", all.join(", ")),
    };
    let places = |it: &Vec<Place>| it.iter().map(Place::to_string).collect();
    let prefer = prefer.as_ref().map(|it| all("rather on", it.clone()));
    let only = only.as_ref().map(|it| all("only on", places(it)));
    let never = never.as_ref().map(|it| all("never on", places(it)));
    let said: Vec<_> = [prefer, only, never].into_iter().flatten().collect();
    format!("{name} ({})", said.join("; "))
}
