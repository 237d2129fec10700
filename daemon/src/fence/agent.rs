//! How an agent of fence-agents is told what to do, and what its answer means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::name::AgentName;
use super::process::{How, Order};
use stead_edge::private::{Secret, SecretError};

use super::hidden::Hidden;
use super::step::{Action, Said};

/// What names of parameters have in them whose values are secrets, wherever they are written. The
/// keys of reservations are none.
const SECRETS: [&str; 7] =
    ["pass", "secret", "token", "apikey", "access_key", "community", "hexadecimal_kg"];
/// Those name a file or a program with one.
const ELSEWHERE: [&str; 3] = ["file", "path", "script"];
/// What the library of agents says behind every mistake, which tells nobody anything.
const USAGE: &str = "Please use '-h' for usage";

/// Whether a parameter's value is a secret, by its name.
pub(crate) fn is_secret(parameter: &str) -> bool {
    let name = parameter.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|it| name.contains(it));
    has(&SECRETS) && !has(&ELSEWHERE)
}

/// What is told to an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) secrets: &'a BTreeMap<String, String>,
    /// The outlet, and the name of the parameter for it.
    pub(super) plug: Option<(&'a str, &'a str)>,
    pub(super) action: Action,
}

impl Told<'_> {
    /// The lines of its standard input (FenceAgentAPI), and what must not be shown.
    ///
    /// # Errors
    /// In words. Nothing was run.
    pub(super) fn lines(&self) -> Result<(Vec<u8>, Hidden), String> {
        let mut hidden = Hidden::default();
        let mut lines = format!("action={}\n", self.action);
        let mut tell = |name: &str, value: &str| {
            if value.contains(['\n', '\r', '\0']) || name.contains(['\n', '\r', '\0', '=']) {
                return Err(format!("the value of `{name}` has a line break in it"));
            }
            lines.push_str(&format!("{name}={}\n", quoted(value)));
            Ok(())
        };
        if let Some((name, plug)) = self.plug {
            tell(name, plug)?;
        }
        for (name, value) in self.parameters {
            if is_secret(name) {
                hidden.add(value);
            }
            tell(name, value)?;
        }
        for (name, path) in self.secrets {
            let secret = Secret::read(&PathBuf::from(path));
            let secret = secret.map_err(|error: SecretError| stead_edge::chain(&error))?;
            hidden.add(secret.tell());
            tell(name, secret.tell())?;
        }
        Ok((lines.into_bytes(), hidden))
    }
}

/// The library of agents strips blanks from both ends of a value, then one pair of quotes.
fn quoted(value: &str) -> String {
    let in_quotes = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    if value.trim() != value || in_quotes { format!("\"{value}\"") } else { value.to_owned() }
}

/// One run of it.
pub(super) fn order(program: PathBuf, input: Vec<u8>) -> Order {
    Order { program, args: Vec::new(), environment: Vec::new(), input }
}

/// The name of an agent that came with a configuration.
pub(super) fn name(text: &str) -> Result<AgentName, String> {
    text.parse().map_err(|error: super::name::NameError| error.to_string())
}

/// What the end of a program means, of an agent or of an operator's own.
pub(super) fn said(action: Action, how: How, output: &str, lines: &[String]) -> Said {
    let because = |what: String| match gist(lines) {
        Some(line) => Said::Failed(format!("{what}, it said: {line}")),
        None => Said::Failed(format!("{what}, it said nothing")),
    };
    match (how, action) {
        (How::Exit(0), Action::Status) if states(output, "OFF") => {
            because("it says that it is off and ends with 0, which is on".to_owned())
        }
        (How::Exit(2), Action::Status) if states(output, "ON") => {
            because("it says that it is on and ends with 2, which is off".to_owned())
        }
        (How::Exit(0), Action::Status) => Said::On,
        (How::Exit(2), Action::Status) => Said::Off,
        (How::Exit(0), Action::Off | Action::On | Action::Monitor | Action::List) => Said::Done,
        (How::Exit(code), _) => because(format!("exit status {code}")),
        (How::Signal(number), _) => match nix::sys::signal::Signal::try_from(number) {
            Ok(signal) => because(format!("it was killed by {signal}")),
            Err(_) => because(format!("it was killed by signal {number}")),
        },
        (How::Late, _) => because("it did not end in its time and was killed".to_owned()),
    }
}

/// What the library of agents prints for `status`.
fn states(output: &str, state: &str) -> bool {
    output.lines().any(|line| line.trim() == format!("Status: {state}"))
}

/// The line that says why.
pub(super) fn gist(lines: &[String]) -> Option<&str> {
    let line = lines.iter().rev().find(|line| !line.contains(USAGE) && !line.trim().is_empty())?;
    // Before it stand the time and the word for how bad it is.
    let after = ["ERROR: ", "WARNING: "].into_iter().find_map(|it| line.split_once(it));
    Some(after.map_or(line.as_str(), |(_, rest)| rest).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn an_agent_is_told_by_lines() {
        let parameters = texts([("ip", "10.0.0.5"), ("lanplus", "true"), ("login", " a \"b\" ")]);
        let secrets = BTreeMap::new();
        let told = Told {
            parameters: &parameters,
            secrets: &secrets,
            plug: Some(("plug", "\"3\"")),
            action: Action::Off,
        };
        let (lines, _) = told.lines().unwrap();
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            "action=off\nplug=\"\"3\"\"\nip=10.0.0.5\nlanplus=true\nlogin=\" a \"b\" \"\n"
        );
        let broken = texts([("ip", "10.0.0.5\naction=on")]);
        let told = Told { parameters: &broken, plug: None, ..told };
        assert_eq!(told.lines().unwrap_err(), "the value of `ip` has a line break in it");
        let secrets = texts([("password", "/nowhere/secret")]);
        let told = Told { parameters: &BTreeMap::new(), secrets: &secrets, ..told };
        let error = told.lines().unwrap_err();
        assert!(error.starts_with("can't read the secret in /nowhere/secret: "), "{error}");
    }

    #[test]
    fn an_end_means_something_for_each_action() {
        let line =
            |text: &str| vec![text.to_owned(), "ERROR: Please use '-h' for usage".to_owned()];
        let said = |action, how, output| {
            let lines = line("2026-11-29 22:07:10,123 ERROR: Failed: Unable to obtain it");
            super::said(action, how, output, &lines)
        };
        assert_eq!(said(Action::Status, How::Exit(0), ""), Said::On);
        assert_eq!(said(Action::Status, How::Exit(2), "Status: OFF\n"), Said::Off);
        for action in [Action::Off, Action::On, Action::Monitor, Action::List] {
            assert_eq!(said(action, How::Exit(0), ""), Said::Done);
            let failed = "exit status 2, it said: Failed: Unable to obtain it".to_owned();
            assert_eq!(said(action, How::Exit(2), ""), Said::Failed(failed));
        }
        for (how, output) in [
            (How::Exit(0), "Status: OFF\n"),
            (How::Exit(2), "Status: ON"),
            (How::Exit(1), ""),
            (How::Exit(-1), ""),
            (How::Signal(9), ""),
            (How::Late, "Status: OFF\n"),
        ] {
            assert!(matches!(said(Action::Status, how, output), Said::Failed(_)), "{how:?}");
        }
        let late = super::said(Action::Off, How::Late, "", &[]);
        assert_eq!(
            late.to_string(),
            "failed: it did not end in its time and was killed, it said nothing"
        );
    }

    #[test]
    fn secrets_are_told_apart_from_files_with_them() {
        for secret in ["password", "passwd", "snmp_priv_passwd", "secret_key", "apitoken"] {
            assert!(is_secret(secret), "{secret}");
        }
        for other in ["ip", "identity_file", "password_script", "key", "login", "token_file"] {
            assert!(!is_secret(other), "{other}");
        }
    }
}
