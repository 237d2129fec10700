//! The table `[quorum]`: who decides which half goes on.

use stead_core::node::ANSWER_PATIENCE;
use stead_core::quorum::chain::{Chain, Module, Unusable};
use stead_core::state::config::{ExecConfig, QuorumConfig};
use stead_core::time::Span;
use toml::Spanned;

use super::command::Command;
use super::draft::Quorum;
use super::duration::say;
use super::problem::Findings;
use super::section::{Section, shown};
use super::{DEFAULT_EXEC_TIMEOUT, LONGEST_EXEC_TIMEOUT, keys};

/// Reads the table.
pub(super) fn quorum(section: &Section<'_, '_>, findings: &mut Findings) -> Quorum {
    let modules = modules(section, findings);
    let exec = Command::open(section, "exec", keys::EXEC, findings).map(|command| ExecConfig {
        command: command.command(findings),
        timeout: timeout(&command, findings),
    });
    let handicap = section
        .get("handicap")
        .is_some()
        .then(|| section.duration("handicap", Span::ZERO, "ms", findings));
    let named =
        modules.as_ref().is_some_and(|it| it.iter().any(|it| *it.get_ref() == Module::Exec));
    let given = section.get("exec").is_some();
    if named && !given {
        section.missing("exec", findings);
    } else if given && !named && modules.is_some() {
        let help = "add \"exec\" to `chain`, or remove the command";
        findings.error(&section.at("exec"), "no module of the chain runs this command", help);
    }
    Quorum { chain: modules.and_then(|it| chain(it, section, findings)), exec, handicap }
}

/// How long one run may take: at most so long that the answer is still waited for.
fn timeout(command: &Command<'_, '_, '_>, findings: &mut Findings) -> Span {
    let timeout = command.duration("timeout", DEFAULT_EXEC_TIMEOUT, findings);
    if timeout > LONGEST_EXEC_TIMEOUT
        && let Some(place) = command.at("timeout")
    {
        let message = format!("a run of module `exec` can't take {}", say(timeout));
        let help = format!(
            "a question takes two runs, get and swap, and its answer is waited for {}: write a \
             timeout of {} or less",
            say(ANSWER_PATIENCE),
            say(LONGEST_EXEC_TIMEOUT)
        );
        findings.error(&place, message, help);
    }
    timeout
}

/// The modules, if all of them are known; nothing if there is no chain, or a wrong one.
fn modules(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Vec<Spanned<Module>>> {
    let Some(_) = section.get("chain") else {
        section.missing("chain", findings);
        return None;
    };
    let words = section.texts("chain", findings)?;
    let count = words.len();
    let read = |word: Spanned<String>| {
        let known = Module::ALL.into_iter().find(|it| it.name() == word.get_ref());
        if known.is_none() {
            unknown(&word, findings);
        }
        known.map(|module| Spanned::new(word.span(), module))
    };
    let modules: Vec<_> = words.into_iter().filter_map(read).collect();
    (modules.len() == count).then_some(modules)
}

fn unknown(word: &Spanned<String>, findings: &mut Findings) {
    let names = || Module::ALL.into_iter().map(Module::name);
    let known = names().collect::<Vec<_>>().join(", ");
    let help = match keys::nearest(word.get_ref(), names()) {
        Some(name) => format!("did you mean `{name}`? The modules are: {known}"),
        None => format!("the modules are: {known}"),
    };
    let message = format!("no module of the quorum has the name `{}`", shown(word.get_ref()));
    findings.error(&word.span(), message, help);
}

/// The chain of these modules, if it can decide anything, and not twice.
fn chain(
    modules: Vec<Spanned<Module>>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Option<Chain> {
    let plain = modules.iter().map(|module| *module.get_ref()).collect();
    let (at, why) = match Chain::new(plain) {
        Ok(chain) => return Some(chain),
        Err(unusable) => unusable,
    };
    let place = modules.get(at).map_or_else(|| section.at("chain"), Spanned::span);
    match why {
        Unusable::NotMajorityFirst => findings.error(
            &place,
            "the chain does not begin with `majority`, so it could never decide",
            "write  chain = [\"majority\", \"quorum-server\"]  : the rest is asked in a tie only",
        ),
        Unusable::Twice(module) => {
            let message = format!("the module `{module}` stands in the chain twice");
            findings.error(&place, message, "remove one of the two: it would say the same again")
        }
        Unusable::SecondBreaker { first, second } => {
            let message = format!("`{first}` and `{second}` could each have another half go on");
            let help = "a half that can't reach the first would go on by the second: choose one";
            findings.error(&place, message, help)
        }
    };
    None
}

impl Quorum {
    /// As it is configured, once there are no problems.
    pub(super) fn config(self) -> QuorumConfig {
        QuorumConfig {
            chain: self.chain.unwrap_or_default(),
            exec: self.exec,
            handicap: self.handicap,
        }
    }
}
