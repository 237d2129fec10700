//! Expectations as text again: in the file's form, and in words where they change.

use std::fmt::{self, Write};

use stead_core::state::config::{Config, Expectation, Expected, Place};

use super::duration::{say, write};
use super::render::{list, quoted};

/// The tables of all of them.
pub(super) fn write_expects(out: &mut String, config: &Config) -> fmt::Result {
    for Expectation { fail, then } in &config.later.fencing.rules.expects {
        let fail: Vec<_> = fail.iter().map(Place::to_string).collect();
        let then: Vec<_> = then.iter().map(|it| expected(it, write)).collect();
        writeln!(out, "\n[[expect]]")?;
        for (key, all) in [("fail", fail), ("then", then)] {
            match all.as_slice() {
                [one] => writeln!(out, "{key} = {}", quoted(one))?,
                all => writeln!(out, "{key} = {}", list(all))?,
            }
        }
    }
    Ok(())
}

/// What is expected of a service, in words.
#[must_use]
pub fn in_words(it: &Expected) -> String {
    expected(it, say)
}

fn expected(it: &Expected, time: fn(stead_core::time::Span) -> String) -> String {
    let Expected { service, fate, within } = it;
    let within = within.map(|span| format!(" within {}", time(span))).unwrap_or_default();
    format!("{service} {fate}{within}")
}

/// Every change between two configurations.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let all = |config: &Config| -> Vec<String> {
        config.later.fencing.rules.expects.iter().map(whole).collect()
    };
    let [was, is] = [all(old), all(new)];
    let gone = was.iter().filter(|it| !is.contains(it)).map(|it| format!("{it}: removed"));
    let added = is.iter().filter(|it| !was.contains(it)).map(|it| format!("{it}: added"));
    let mut changes: Vec<String> = gone.chain(added).collect();
    if changes.is_empty() && was != is {
        changes.push("expectations: in another order, or another number of times".to_owned());
    }
    changes
}

fn whole(it: &Expectation) -> String {
    let fail: Vec<_> = it.fail.iter().map(Place::to_string).collect();
    let then: Vec<_> = it.then.iter().map(in_words).collect();
    format!("expected if {} fails: {}", fail.join(", "), then.join(", "))
}
