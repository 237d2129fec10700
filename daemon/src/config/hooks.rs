//! `hooks` of `[services.NAME]`: what is run beside a service when it comes and goes.

use stead_core::state::config::{HookConfig, Hooks};
use stead_core::time::Span;

use super::command::Command;
use super::keys;
use super::problem::Findings;
use super::section::Section;

/// How long a hook may take, where the file doesn't say.
pub const DEFAULT_HOOK_TIMEOUT: Span = Span::from_millis(10_000);
/// The longest such time: a service that is released may have to wait for it.
const LONGEST: Span = Span::from_millis(300_000);

/// Reads both.
pub(super) fn hooks(section: &Section<'_, '_>, findings: &mut Findings) -> Hooks {
    let Some(value) = section.get("hooks") else { return Hooks::default() };
    let Some(table) = value.get_ref().as_table() else {
        section.mismatch("hooks", value, "a table in { }", findings);
        return Hooks::default();
    };
    let place = format!("`hooks` of {}", section.place);
    let table = Section::new(table, value.span(), place, keys::HOOKS, findings);
    Hooks {
        takeover: hook(&table, "takeover", findings),
        release: hook(&table, "release", findings),
    }
}

fn hook(
    section: &Section<'_, '_>,
    key: &'static str,
    findings: &mut Findings,
) -> Option<HookConfig> {
    let table = Command::open(section, key, keys::HOOK, findings)?;
    let command = table.command(findings);
    let timeout = table.duration("timeout", DEFAULT_HOOK_TIMEOUT, findings);
    if timeout > LONGEST {
        let message = format!("a `timeout` of {} is too long for a hook", timeout.in_words());
        let help = format!(
            "a service that has to leave may wait for it: {} is the longest",
            LONGEST.in_words()
        );
        findings.error(&table.at("timeout").unwrap_or_default(), message, help);
    }
    Some(HookConfig { command, timeout })
}
