//! What an agent's own words mean, and what to do about them.
//!
//! Agents say why they fail in the words of the tools that they run. What these have in common
//! stands here, read out of fence-agents 4.12 and what it was seen to print.

use stead_core::state::config::{DeviceConfig, FenceAgent};
use stead_core::time::Span;

use super::step::{Said, Step};

/// Longer than this a board takes only if it first tries what it can't do.
const SLOW: Span = Span::from_millis(5_000);
/// The agents that run ipmitool.
const IPMI: [&str; 7] = [
    "fence_idrac",
    "fence_ilo3",
    "fence_ilo4",
    "fence_ilo5",
    "fence_imm",
    "fence_ipmilan",
    "fence_ipmilanplus",
];
const CIPHER: &str = "without  cipher = 3  (or 17) some boards take 14 to 42 s for each answer, as \
                      ipmitool tries suites that they do not have";

/// Words, in small letters, that stand in what a device says, and what they mean. The first that
/// fits counts, so the narrower stand before the wider.
const MEANINGS: [(&[&str], &str); 20] = [
    (
        &["address lookup for", "name or service not known", "temporary failure in name resol"],
        "the name of the device is not known here: write its address, which works also while \
         nobody answers for names",
    ),
    (
        &["no route to host", "network is unreachable", "host is down"],
        "no way leads to that address from this node: is it the right one, is the device on, and \
         is this node on its network?",
    ),
    (
        &["connection refused"],
        "the machine at that address answers and nobody listens at that port: is it the right \
         address and port, and is the service switched on there?",
    ),
    (
        &["rmcp+ session", "rakp"],
        "the board answers, or nobody does, and no session came about: user name or password are \
         wrong, the user may not do this over the network (privlvl), or IPMI over LAN is off there",
    ),
    (
        &["insufficient privilege", "not have the correct privileges", "privilege level"],
        "the user is known and may not do this: give it the right to switch the power",
    ),
    (
        &[
            "permission denied",
            "authentication fail",
            "incorrect user",
            "login failed",
            "unauthorized",
        ],
        "the device refuses the user: user name or password are wrong",
    ),
    (
        &["host key verification failed"],
        "ssh does not know the device's key: connect once by hand as root, on each node",
    ),
    (
        &[
            "no longer supported",
            "no matching key exchange",
            "no matching host key",
            "no matching c",
        ],
        "ssh and the device have no way in common: see `ssh_options` of the agent",
    ),
    (
        &["certificate"],
        "the device's certificate is not trusted: have it signed, or say so by ssl_insecure = true",
    ),
    (
        &["not found or was not executable", "cannot run command", "unable to run", "no such file"],
        "a program that the agent needs is missing on this node: install it on all nodes",
    ),
    (
        &["no module named", "couldn't import", "not installed or is unavailable"],
        "a library that the agent needs is missing on this node: install it on all nodes",
    ),
    (
        &["enter plug number", "enter existing machine"],
        "the agent has to be told which outlet is meant: write it behind the device's name",
    ),
    (
        &["can not find vm uuid", "does not exist", "not found"],
        "the device answers and does not know that outlet",
    ),
    (
        &["unable to obtain correct plug status or plug is not available"],
        "the agent got no status out of the device: the outlet is not one of its own, or user \
         name, password or address are wrong",
    ),
    (
        &["timed out waiting to power"],
        "the device took the order and its state did not change in time: see `power_timeout` and \
         `power_wait` of the agent",
    ),
    (
        &["unable to connect/login"],
        "no connection, or the device refuses the user: look at address, port, user name and \
         password, and at how the agent connects (ssh, telnet, ssl)",
    ),
    (
        &["timed out", "timeout"],
        "nobody answered: is the address right, is the device on, and does nothing on the way drop \
         the packets? A board that lost its power with its machine is silent as well",
    ),
    (
        &["you have to set", "you have to enter", "parse error"],
        "the agent does not take its parameters as they are: see  stead fence agents  NAME",
    ),
    (&["did not end within"], "it took longer than it may: see `timeout` of the device"),
    (&["traceback"], "the agent broke down in itself: its last line says where"),
];

/// What to do about an answer, in sentences; nothing if it is as it should be.
#[must_use]
pub fn explain(step: &Step, config: &DeviceConfig) -> Vec<String> {
    let ipmi = match &config.agent {
        FenceAgent::Agent { name, parameters, .. } => {
            IPMI.contains(&name.as_str()) && !parameters.contains_key("cipher")
        }
        FenceAgent::Exec { .. } | FenceAgent::Webhook { .. } => false,
    };
    let Said::Failed(reason) = &step.said else {
        let slow = ipmi && step.took > SLOW;
        return slow.then(|| CIPHER.to_owned()).into_iter().collect();
    };
    let mut hints = Vec::new();
    let said = format!("{reason}\n{}", step.output.join("\n")).to_lowercase();
    let meaning = MEANINGS.iter().find(|(words, _)| words.iter().any(|it| said.contains(it)));
    hints.extend(meaning.map(|(_, meaning)| (*meaning).to_owned()));
    if ipmi && step.took > SLOW {
        hints.push(CIPHER.to_owned());
    }
    hints
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fence::Action;

    fn hints(said: Said, output: &[&str], millis: u64, cipher: bool) -> Vec<String> {
        let cipher = cipher.then(|| ("cipher".to_owned(), "3".to_owned()));
        let agent = FenceAgent::Agent {
            name: "fence_ipmilan".to_owned(),
            parameters: cipher.into_iter().collect(),
            secrets: BTreeMap::new(),
        };
        let timeout = Span::from_millis(20_000);
        let config = DeviceConfig { agent, timeout, retries: 0 };
        let step = Step {
            level: None,
            device: "bmc".to_owned(),
            plug: None,
            action: Action::Status,
            took: Span::from_millis(millis),
            said,
            output: output.iter().map(|line| (*line).to_owned()).collect(),
        };
        explain(&step, &config)
    }

    #[test]
    fn what_agents_were_seen_to_say_means_something() {
        let failed = || {
            Said::Failed(
                "exit status 1, it said: Failed: Unable to obtain correct \
                                      plug status or plug is not available"
                    .to_owned(),
            )
        };
        let first = |lines: &[&str]| hints(failed(), lines, 300, true).remove(0);
        let session = "DEBUG: 1  Error: Unable to establish IPMI v2 / RMCP+ session";
        for (lines, start) in [
            (&["Address lookup for no.such.host failed", session][..], "the name of the device"),
            (&[session], "the board answers, or nobody does, and no session came about"),
            (&["[Errno 111] Connection refused'))"], "the machine at that address answers"),
            (&["The command was not found or was not executable: /usr/bin/telnet."], "a program"),
            (&["ERROR: Cannot run command /usr/bin/snmpwalk"], "a program that the agent needs"),
            (&["SSH protocol v.1 is no longer supported"], "ssh and the device have no way"),
            (&["ERROR: Unable to connect/login to fencing device"], "the agent got no status"),
            (&["a@10.0.0.7: Permission denied (publickey)."], "the device refuses the user"),
            (&[], "the agent got no status out of the device"),
        ] {
            assert!(first(lines).starts_with(start), "{lines:?}: {}", first(lines));
        }
        let late = Said::Failed("it did not end within 20 s and was killed".to_owned());
        let told = hints(late, &[], 20_000, false);
        assert!(told[0].starts_with("it took longer than it may") && told[1] == CIPHER, "{told:?}");
    }

    #[test]
    fn a_good_answer_needs_no_words_unless_it_is_slow() {
        assert_eq!(hints(Said::On, &["Status: ON"], 300, false), [""; 0]);
        assert_eq!(hints(Said::Off, &[], 14_000, true), [""; 0]);
        assert_eq!(hints(Said::On, &[], 14_000, false), [CIPHER]);
    }
}
