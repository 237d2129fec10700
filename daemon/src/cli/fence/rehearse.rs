//! `stead fence rehearse`.

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::ways::shown;
use crate::api::client::Streamed;
use crate::api::fence::WayReport;
use crate::api::message::{Rehearse as Asked, Request};
use crate::api::rehearse::{BackReport, RehearseNews, RehearsePlan, RehearseReport};
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::{self, Exit};
use crate::cli::look::{Look, Tone, harmless, wrap};

/// Try the ways to fence a node, and keep what came of it with the cluster
///
/// Each of its devices is asked for its status from this node; nothing is switched. With
/// --power-cycle the machine is really switched off, as it would be if it were lost, and on again:
/// that alone shows that it can be. For that it has to be on standby and empty (stead drain NODE),
/// or out of the view. Until it is over the node is given nothing and is not let in. Run it on
/// another node than the one that is meant, and once on each: any of them may have to fence it.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if every device answered; with --power-cycle, if the machine went off and on and is
back. 1 if not: what was said and done until then is printed. 4 if that is not known any more.

Examples:
  stead fence rehearse node2
  stead drain node2 && stead fence rehearse node2 --power-cycle
  stead fence rehearse node2 --power-cycle --level 2 --yes")]
pub(super) struct Rehearse {
    /// The node
    node: String,
    /// Switch its machine off and on
    #[arg(long)]
    power_cycle: bool,
    /// By the devices of this level only, from 1
    #[arg(long, value_name = "N", requires = "power_cycle")]
    level: Option<usize>,
    /// How long to wait until it is back, in seconds; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "power_cycle")]
    wait: u64,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// What was found, for programs.
#[derive(Debug, Default, Serialize)]
struct Found {
    plan: Option<RehearsePlan>,
    ways: Vec<WayReport>,
    report: Option<RehearseReport>,
    back: Option<BackReport>,
}

impl Rehearse {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { node, power_cycle, level, wait, yes, json } = self;
        let asked = Asked { node, power_cycle, level, only_say: true, wait_s: wait };
        if power_cycle && !yes {
            if !context.interactive {
                bail!("nobody can be asked; nothing was switched. If you mean it, add --yes");
            }
            let mut would = Found::default();
            take_all(context, &asked, |news| {
                would.take(news);
                Ok(())
            })?;
            if let Some(plan) = &would.plan {
                eprint!("{}", before(plan, context.err));
            }
            if !context.confirms(&format!("Switch {} off now?", asked.node))? {
                println!("Nothing was switched.");
                return Ok(Exit::Failed);
            }
        }
        let asked = Asked { only_say: false, ..asked };
        let mut found = Found::default();
        let told = take_all(context, &asked, |news| {
            if !json {
                // As it comes: a machine takes its time.
                print(&line(&news, power_cycle, wait, context.out))?;
            }
            found.take(news);
            Ok(())
        });
        told.map_err(|error| match exit::of(&error) {
            // It goes on in the daemon, or was ended with it.
            Exit::Unknown => error.context(format!(
                "what comes of it will stand in `stead fence history {}`",
                asked.node
            )),
            Exit::Done | Exit::Failed | Exit::NoDaemon | Exit::NotProtected => error,
        })?;
        if json {
            print_json(&found)?;
        } else {
            print(&ending(&found, wait, context.out))?;
        }
        Ok(found.exit(wait))
    }
}

impl Found {
    fn take(&mut self, news: RehearseNews) {
        match news {
            RehearseNews::Begins(plan) => self.plan = Some(plan),
            RehearseNews::Way(way) => self.ways.push(way),
            RehearseNews::Ended(report) => self.report = Some(report),
            RehearseNews::Back(back) => self.back = Some(back),
        }
    }

    fn exit(&self, wait: u64) -> Exit {
        let Some(report) = &self.report else { return Exit::Unknown };
        let away = self.back.as_ref().is_some_and(|it| !it.back) && wait > 0;
        if report.ok && report.not_kept.is_none() && !away { Exit::Done } else { Exit::Failed }
    }
}

/// Takes all answers.
fn take_all(
    context: &Context,
    asked: &Asked,
    mut take: impl FnMut(RehearseNews) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut failed = None;
    context.connect()?.stream(&Request::FenceRehearse(asked.clone()), |item| {
        let Streamed::Item(news) = item else { return true };
        match take(news) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// What a person has to know before the question.
fn before(plan: &RehearsePlan, look: Look) -> String {
    let RehearsePlan { node, from, levels, in_view, waiting } = plan;
    let levels: Vec<_> =
        levels.iter().filter(|it| !it.is_empty()).map(|it| it.join(" and ")).collect();
    let how = levels.join(", or else by ");
    let place = match (in_view, &waiting[..]) {
        (true, _) => "It is on standby and empty.".to_owned(),
        (false, []) => "It is out of the view, and nothing waits for it.".to_owned(),
        (false, waiting) => format!(
            "It is out of the view. Waiting until it is off or back: {}. This rehearsal proves \
             neither; they go on once {node} is back, or is fenced.",
            waiting.join(", ")
        ),
    };
    let text = format!("{from} will have {node} switched off by {how}, and on again. {place}");
    wrap(&harmless(&text), look.width).iter().map(|line| format!("{line}\n")).collect()
}

/// What just happened, as a person reads it.
fn line(news: &RehearseNews, power_cycle: bool, wait: u64, look: Look) -> String {
    match news {
        RehearseNews::Begins(RehearsePlan { from, node, .. }) if power_cycle => {
            harmless(&format!("{from} has {node} switched off and on:")) + "\n"
        }
        RehearseNews::Begins(plan) => harmless(&format!("{} asks:", plan.from)) + "\n",
        RehearseNews::Way(way) => shown(way, look),
        RehearseNews::Ended(report) if report.on && !report.lie && wait > 0 => {
            let node = harmless(&report.node);
            format!("Waiting up to {wait} s for {node} to be back. Who ends this ends nothing.\n")
        }
        RehearseNews::Ended(_) | RehearseNews::Back(_) => String::new(),
    }
}

/// What came of it, and what to do.
fn ending(found: &Found, wait: u64, look: Look) -> String {
    let Some(report) = &found.report else {
        return "What came of it is not known.\nNext: stead fence history\n".to_owned();
    };
    let mut text = String::new();
    let mut say = |tone: Tone, line: &str| {
        for line in wrap(&harmless(line), look.width) {
            text.push_str(&look.paint(tone, &line));
            text.push('\n');
        }
    };
    let (tone, lines) = if report.power_cycle { cycled(found, wait) } else { asked(found) };
    for (at, line) in lines.iter().enumerate() {
        say(if at == 0 { tone } else { Tone::Plain }, line);
    }
    match &report.not_kept {
        Some(why) => say(Tone::Bad, &format!("This is not kept with the cluster: {why}.")),
        None => say(Tone::Plain, &format!("Kept: stead fence history {}", report.node)),
    }
    text
}

/// Of a rehearsal that switched nothing.
fn asked(found: &Found) -> (Tone, Vec<String>) {
    let Some(RehearseReport { node, from, .. }) = &found.report else {
        return (Tone::Plain, Vec::new());
    };
    let (all, failed) = (found.ways.len(), found.ways.iter().filter(|it| !it.answered).count());
    if failed == 0 {
        let ways = if all == 1 { "The way" } else { "Every way" };
        let text = format!("{ways} from {from} to {node} works. Nothing was switched.");
        return (Tone::Good, vec![text]);
    }
    let text = format!(
        "{failed} of {all} ways from {from} to {node} did not answer: it might not be fenced if it \
         were lost. Nothing was switched."
    );
    let next = format!("Next: mend what is named above, then: stead fence rehearse {node}");
    (Tone::Bad, vec![text, next])
}

/// Of one that switched the machine off and on, or tried to.
fn cycled(found: &Found, wait: u64) -> (Tone, Vec<String>) {
    let Some(report) = &found.report else { return (Tone::Plain, Vec::new()) };
    let RehearseReport { node, outcome, .. } = report;
    let back = found.back.as_ref();
    let after = back.map_or(0.0, |back| back.took_ms / 1_000.0);
    let again = format!("then: stead fence rehearse {node} --power-cycle");
    let mut lines = Vec::new();
    if report.ok {
        let seen = if report.seen { ", and fell silent when it was to be off" } else { "" };
        lines.push(format!(
            "{node} can be fenced: {outcome} in {:.1} s{seen}.",
            report.took_ms / 1_000.0
        ));
    } else {
        lines.push(format!("{node} could not be fenced as it should: {outcome}."));
    }
    if report.lie {
        lines.push(format!(
            "Next: look which machine went off. Until that is mended {node} is as good as without \
             fencing; {again}"
        ));
    } else if !report.off {
        lines.push(format!(
            "No device said that it had switched anything off. Next: mend what is named above, \
             {again}"
        ));
    } else if !report.on {
        lines.push(format!("Next: switch {node} on by hand; mend what is named above, {again}"));
    } else if !report.ok {
        lines.push(format!("It was switched on again. Next: mend what is named above, {again}"));
    }
    match back {
        Some(BackReport { back: true, .. }) => {
            lines.push(format!("{node} is back after {after:.1} s."));
            lines.push(format!("Next: when it may serve again: stead standby {node} --off"));
        }
        Some(_) if wait > 0 => lines.push(format!(
            "{node} is not back after {after:.0} s. Next: look at its console, and at `stead \
             status`"
        )),
        Some(_) | None => {}
    }
    let well = report.ok && back.is_none_or(|it| it.back || wait == 0);
    (if well { Tone::Good } else { Tone::Bad }, lines)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    fn report(power_cycle: bool, ok: bool, outcome: &str) -> RehearseReport {
        RehearseReport {
            node: "node2".to_owned(),
            from: "node1".to_owned(),
            power_cycle,
            ok,
            outcome: outcome.to_owned(),
            took_ms: 4_210.0,
            off: power_cycle && ok,
            on: power_cycle && ok,
            seen: power_cycle && ok,
            lie: false,
            not_kept: None,
        }
    }

    fn way(action: &str, said: &str, answered: bool) -> WayReport {
        WayReport {
            node: Some("node2".to_owned()),
            level: Some(1),
            device: "bmc2".to_owned(),
            plug: None,
            action: action.to_owned(),
            answered,
            said: said.to_owned(),
            took_ms: 400.0,
            output: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn told(ways: &[WayReport], report: RehearseReport, back: Option<bool>) -> String {
        let look = Look::plain(80);
        let plan = RehearsePlan {
            node: "node2".to_owned(),
            from: "node1".to_owned(),
            levels: vec![vec!["bmc2".to_owned()], vec!["pdu-a:3".to_owned(), "pdu-b:3".to_owned()]],
            in_view: true,
            waiting: Vec::new(),
        };
        let back = back.map(|back| BackReport { back, took_ms: 43_120.0 });
        let news = [RehearseNews::Begins(plan)]
            .into_iter()
            .chain(ways.iter().cloned().map(RehearseNews::Way))
            .chain([RehearseNews::Ended(report)])
            .chain(back.map(RehearseNews::Back));
        let (mut found, mut text) = (Found::default(), String::new());
        let power_cycle = ways.iter().any(|way| way.action == "off");
        for news in news {
            text.push_str(&line(&news, power_cycle, 300, look));
            found.take(news);
        }
        text + &ending(&found, 300, look)
    }

    #[test]
    fn what_came_of_it_and_what_to_do() {
        let plan = |in_view, waiting: &[&str]| RehearsePlan {
            node: "node2".to_owned(),
            from: "node1".to_owned(),
            levels: vec![vec!["bmc2".to_owned()], vec!["pdu-a:3".to_owned(), "pdu-b:3".to_owned()]],
            in_view,
            waiting: waiting.iter().map(|it| (*it).to_owned()).collect(),
        };
        let off = || way("off", "done", true);
        let is_off = || way("status", "off", true);
        let on = || way("on", "done", true);
        let refused = || way("off", "exit status 1, it said: Connection refused", false);
        let good = report(true, true, "level 1 switched it off and on");
        let failed = "bmc2 off: exit status 1, it said: Connection refused";
        let parts = [
            before(&plan(true, &[]), Look::plain(80)),
            before(&plan(false, &[]), Look::plain(80)),
            before(&plan(false, &["data", "web"]), Look::plain(80)),
            told(&[way("status", "on", true)], report(false, true, "every device answered"), None),
            told(
                &[way("status", "on", true), way("status", "it did not end within 20 s", false)],
                report(false, false, "bmc2: it did not end within 20 s"),
                None,
            ),
            told(&[off(), is_off(), on()], good.clone(), Some(true)),
            told(&[off(), is_off(), on()], good.clone(), Some(false)),
            told(&[refused(), on()], report(true, false, failed), None),
            told(
                &[off(), is_off(), way("on", "exit status 1", false)],
                RehearseReport { on: false, ok: false, ..good.clone() },
                None,
            ),
            told(
                &[off(), is_off(), on()],
                RehearseReport {
                    ok: false,
                    lie: true,
                    seen: false,
                    outcome: "its devices say that they switched it off, and it went on".to_owned(),
                    not_kept: Some("nobody coordinates at the moment".to_owned()),
                    ..good
                },
                None,
            ),
        ];
        expect_file!["../golden/fence-rehearse.txt"].assert_eq(&parts.join("\n---\n"));
    }
}
