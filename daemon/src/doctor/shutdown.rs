//! What happens when the machine shuts down or sleeps.

use std::time::Duration;

use stead_core::state::config::Config;
use stead_core::time::Span;
use stead_edge::chain;

use super::{Finding, Patient};
use crate::departure::logind::manager;

/// How long the bus and logind may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a move takes beside the end of its program.
const AROUND: Span = Span::from_millis(1_000);
const CHECK: &str = "shutdown";

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    vec![judge(delay(), patient.config)]
}

/// The longest that logind waits for anybody.
fn delay() -> Result<Span, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let asked = async {
        let logind = manager().await?;
        logind.get_property::<u64>("InhibitDelayMaxUSec").await
    };
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await }) {
        Ok(Ok(micros)) => Ok(Span(micros)),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err("no answer".to_owned()),
    }
}

fn judge(delay: Result<Span, String>, config: Option<&Config>) -> Finding {
    let delay = match delay {
        Ok(delay) => delay,
        Err(why) => {
            let seen = format!(
                "systemd-logind can't be asked: {why}; so services move only when systemd stops \
                 the guard"
            );
            return Finding::unknown(CHECK, seen);
        }
    };
    let seen = format!("systemd-logind waits up to {} for services to move", seconds(delay));
    let services = config.into_iter().flat_map(|it| it.services.values());
    let longest = services.filter_map(|it| it.program.as_ref()).map(|it| it.stop_timeout).max();
    if let Some(longest) = longest.filter(|longest| *longest + AROUND > delay) {
        return Finding::warning(
            CHECK,
            format!("{seen}, and a program may take {} to stop", seconds(longest)),
            "raise InhibitDelayMaxSec in /etc/systemd/logind.conf.d, then: systemctl restart \
             systemd-logind; what is later moves when systemd stops the guard",
        );
    }
    Finding::good(CHECK, seen)
}

fn seconds(span: Span) -> String {
    format!("{} s", span.as_millis_f64() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn the_delay_is_held_against_the_slowest_program() {
        let text = "[cluster]\nname = \"shop\"\n[links.lan]\n[nodes.node1]\n\
                    addresses = { lan = \"10.0.0.1\" }\n[services.web]\n\
                    addresses = [\"10.0.0.100/24\"]\n\
                    program = { command = [\"/usr/sbin/nginx\"], stop-timeout = \"10s\" }\n";
        let config = crate::config::read("cluster.toml", text).expect("it is good").config;
        let of = |seconds: u64| judge(Ok(Span::from_millis(seconds * 1_000)), Some(&config));
        assert_eq!(of(5).verdict, Verdict::Warning);
        assert!(of(5).seen.contains("may take 10 s to stop"), "{}", of(5).seen);
        assert_eq!(of(30).verdict, Verdict::Good);
        assert_eq!(judge(Ok(Span::from_millis(5_000)), None).verdict, Verdict::Good);
        assert_eq!(judge(Err("no bus".to_owned()), None).verdict, Verdict::Unknown);
    }
}
