//! `stead quorum`.

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::Look;
use super::table::{Cell, table};
use crate::api::message::{ChangeAnswer, OverrideAnswer, Request};
use crate::api::report::{BreakerReport, QuorumReport, StatusReport};
use crate::config::read_duration;
use stead_core::quorum::chain::Module;

/// Show who decides, and whether enough voters are here; enrol the cluster at a quorum server;
/// go on with half of the voters when nothing can break the tie.
///
/// The modules of the chain in cluster.toml ([quorum]) are asked in their order. Each answers
/// HAVEQUORUM, NOQUORUM or QUORUMTIE; a tie asks the next one, and a tie of the last one counts as
/// NOQUORUM.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stead quorum\n  stead quorum enrol steadq1-...@192.0.2.7:7745\n  \
                  stead quorum override --reason \"site B burnt down\""
)]
pub(super) struct Quorum {
    #[command(subcommand)]
    command: Option<What>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Enrol the cluster at the quorum server that printed this token
    Enrol {
        /// What `stead quorum-server enrol` printed there
        token: String,
    },
    /// Do without a quorum server from now on
    Forget,
    /// Go on with exactly half of the voters, since you know that the others are off
    Override(Overrule),
}

/// The word of somebody who has looked: the other half is off, and stays off. Two halves that both
/// go on serve the same addresses and write apart.
#[derive(Debug, Args)]
struct Overrule {
    /// Why the others are known to be off; kept with the cluster
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long the word counts: 1min to 24h
    #[arg(long = "for", default_value = "30min", value_name = "TIME")]
    span: String,
    /// A second word: the other half may have decided what this one never heard of, and is never
    /// let in again as it is
    #[arg(long)]
    force: bool,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

impl Overrule {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { reason, span, force, yes } = self;
        let time = read_duration(&span)
            .map_err(|problem| anyhow!("--for: {problem}; nothing was changed"))?;
        let look = Request::Override { seconds: None, force, reason: reason.clone() };
        let first: OverrideAnswer = context.ask(&look)?;
        let absent = first.absent.join(", ");
        if !yes {
            if !context.interactive {
                bail!("nobody can be asked; nothing was changed. If you mean it, add --yes");
            }
            if let (Some(why), true) = (&first.refused, force) {
                println!("What breaks ties says: {why}. What the other half decided is lost here.");
            }
            let question = format!("Are {absent} off, and will they stay off?");
            if !context.confirms(&question)? {
                println!("Nothing was changed.");
                return Ok(Exit::Failed);
            }
        }
        let seconds = Some(time.as_micros().div_ceil(1_000_000));
        let answer: OverrideAnswer = context.ask(&Request::Override { seconds, force, reason })?;
        match answer.grant {
            Some(number) => println!("This half goes on without {absent} ({number})."),
            None => println!("The word is given; this half has not gone on yet."),
        }
        if let Some(next) = answer.next {
            println!("Next: {next}");
        }
        Ok(if answer.grant.is_some() { Exit::Done } else { Exit::Failed })
    }
}

impl Quorum {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { command, json } = self;
        let answer: ChangeAnswer = match command {
            None => return show(context, json),
            Some(_) if json => {
                return Err(anyhow!("--json goes with `stead quorum` alone; nothing was changed"));
            }
            Some(What::Override(word)) => return word.run(context),
            Some(What::Enrol { token }) => {
                let answer = context.ask(&Request::Enrol { token })?;
                println!("Enrolled: ties are broken by that server.");
                answer
            }
            Some(What::Forget) => {
                let answer: ChangeAnswer = context.ask(&Request::Unenrol)?;
                println!(
                    "{}",
                    match answer.index {
                        Some(_) =>
                            "Forgotten: the cluster is enrolled at no quorum server any more.",
                        None => "The cluster is enrolled at no quorum server; nothing was changed.",
                    }
                );
                answer
            }
        };
        if let Some(next) = answer.next {
            println!("Next: {next}");
        }
        Ok(Exit::Done)
    }
}

fn show(context: &Context, json: bool) -> anyhow::Result<Exit> {
    let status: StatusReport = context.ask(&Request::Status { watch: false })?;
    if json {
        print_json(&status.quorum)?;
    } else {
        print(&shown(&status.quorum, context.out))?;
    }
    Ok(Exit::Done)
}

pub(super) fn shown(quorum: &QuorumReport, look: Look) -> String {
    let row = |module: &crate::api::report::ModuleReport| -> Vec<Cell> {
        vec![
            module.module.as_str().into(),
            module.verdict.as_str().into(),
            module.reason.as_str().into(),
        ]
    };
    let rows: Vec<_> = quorum.modules.iter().map(row).collect();
    let mut text = format!(
        "{}: {} of {} voters are here; {} of them may fail\n\n",
        quorum.verdict, quorum.present, quorum.voters, quorum.spare
    );
    text.push_str(&table(look, &["MODULE", "ANSWER", "WHY"], &rows));
    text.push_str(&match &quorum.breaker {
        None => "\nNothing breaks ties: if exactly half of the voters is lost, everything stops, \
                 until an operator says that it is off (stead quorum override).\n"
            .to_owned(),
        Some(breaker) => format!("\n{}\n", breaks(breaker)),
    });
    if quorum.grant > 0 {
        text.push_str(&format!("Newest grant: {}", quorum.grant));
        if quorum.out.is_empty() {
            text.push_str("; everybody votes\n");
        } else {
            text.push_str(&format!("; without a vote until back: {}\n", quorum.out.join(", ")));
        }
    }
    for word in &quorum.overrides {
        text.push_str(&format!(
            "Override {} on {} at {}, without {}{}: {}\n",
            word.grant,
            word.by,
            word.at,
            word.without.join(", "),
            if word.forced { ", forced" } else { "" },
            word.reason
        ));
    }
    text
}

/// One line about what breaks ties.
fn breaks(breaker: &BreakerReport) -> String {
    let at = if breaker.at.is_empty() {
        return "Ties: a quorum server is configured, and the cluster is enrolled at none"
            .to_owned();
    } else {
        breaker.at.join(", ")
    };
    if breaker.module == Module::Fence.name() {
        let how = match (&breaker.trouble, breaker.answers) {
            (Some(trouble), _) => format!("that would fail: {trouble}"),
            (None, Some(_)) => "that works, as was seen".to_owned(),
            (None, None) => "whether that works is not known: stead fence rehearse".to_owned(),
        };
        return format!("Ties: the other half is switched off, by {at}; {how}");
    }
    let how = match breaker.answers {
        _ if breaker.distrusted => "it waits to be told what was granted before".to_owned(),
        Some(true) => match breaker.round_trip_us {
            Some(micros) => format!("it answers this node in {:.1} ms", micros as f64 / 1_000.0),
            None => "it answers this node".to_owned(),
        },
        Some(false) => {
            let why = breaker.trouble.as_deref().unwrap_or("no answer in time");
            format!("it does not answer this node: {why}")
        }
        None => "this node has not asked it yet".to_owned(),
    };
    format!("Ties: {} at {at}; {how}", breaker.module)
}
