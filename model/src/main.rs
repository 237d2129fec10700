//! `stead-model`: searches, counts, and tells what it found.
//!
//! Happy path: the searches of the book, or one with other bounds, each a line of a table. With
//! `--without RULE` the search goes where that rule is needed, and the shortest way to what it
//! keeps away is told.
//!
//! Exit status 0: nothing was found. 1: a counterexample. 2: the command could not be carried out,
//! or a search was given up.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use stead_model::rules::{Rule, Without};
use stead_model::search::{Cost, Found, search};
use stead_model::ties::cases::{self, Case};
use stead_model::ties::{Bounds, Ties, outcome, standing};

/// Which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The register, the tie vote and the log.
    Ties,
}

/// The protocol in every order of events, within bounds.
#[derive(Debug, Parser)]
#[command(name = "stead-model", version, about)]
struct Cli {
    /// Which model; both, if none is named.
    part: Option<Part>,
    /// Only with so many voters at first.
    #[arg(long)]
    voters: Option<u8>,
    /// Leave a rule out; may be given several times.
    #[arg(long, value_name = "RULE")]
    without: Vec<Rule>,
    /// The searches that take minutes as well.
    #[arg(long)]
    long: bool,
    /// Other bounds than those of the book: the highest term.
    #[arg(long)]
    terms: Option<u8>,
    /// The longest log.
    #[arg(long)]
    entries: Option<u8>,
    /// The highest number of the register.
    #[arg(long)]
    numbers: Option<u8>,
    /// How many nodes more may be given votes.
    #[arg(long)]
    spare: Option<u8>,
    /// How many questions may be doubled and late.
    #[arg(long)]
    late: Option<u8>,
    /// How often the register may be restored.
    #[arg(long)]
    restores: Option<u8>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// After how many states a search is given up.
    #[arg(long, default_value_t = 50_000_000)]
    most: usize,
}

impl Cli {
    fn bounds(&self, bounds: Bounds) -> Bounds {
        Bounds {
            terms: self.terms.unwrap_or(bounds.terms),
            entries: self.entries.unwrap_or(bounds.entries),
            numbers: self.numbers.unwrap_or(bounds.numbers),
            spare: self.spare.unwrap_or(bounds.spare),
            late: self.late.unwrap_or(bounds.late),
            restores: self.restores.unwrap_or(bounds.restores),
            ..bounds
        }
    }

    /// What is searched: where the rule falls that is left out, or the cases of the book.
    fn cases(&self) -> Vec<Case> {
        let fall = match &self.without[..] {
            [rule] => cases::falls(*rule),
            _ => None,
        };
        if let Some(bounds) = fall.filter(|bounds| self.voters.is_none_or(|it| it == bounds.voters))
        {
            return vec![Case { name: "where it falls", bounds, long: false }];
        }
        let wanted = self.voters.map_or_else(|| vec![2, 4], |voters| vec![voters]);
        let all = wanted.into_iter().flat_map(cases::all);
        all.filter(|case| self.long || !case.long).collect()
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let cost = Cost { threads: cli.threads.max(1), states: cli.most };
    let without: Without = cli.without.iter().copied().collect();
    let mut worst = 0;
    println!("{:>6}  {:<24}{:>12}{:>7}{:>9}  verdict", "voters", "ties", "states", "depth", "s");
    if cli.cases().is_empty() {
        eprintln!("stead-model: no search with that many voters");
        worst = 2;
    }
    for case in cli.cases() {
        let bounds = cli.bounds(case.bounds);
        if let Err(error) = bounds.check() {
            eprintln!("stead-model: {error}");
            return ExitCode::from(2);
        }
        let ties = Ties::new(bounds, without.clone());
        let found = search(ties, cost, |it| standing(&it.state), |it| outcome(&it.state));
        worst = worst.max(tell(&case, &found, &without));
    }
    ExitCode::from(worst)
}

fn tell(case: &Case, found: &Found, without: &Without) -> u8 {
    let (verdict, code) = match &found.counterexample {
        Some(_) => (format!("{without}: a counterexample"), 1),
        None if found.complete => (format!("{without}: safe"), 0),
        None => (format!("{without}: given up"), 2),
    };
    let (voters, seconds) = (case.bounds.voters, found.took.as_secs_f64());
    let (states, depth, name) = (found.states, found.depth, case.name);
    println!("{voters:>6}  {name:<24}{states:>12}{depth:>7}{seconds:>9.1}  {verdict}");
    if let Some(counterexample) = &found.counterexample {
        for (at, step) in counterexample.steps.iter().enumerate() {
            println!("{:>4}. {}\n      {}", at + 1, step.what, step.standing);
        }
        println!("      => {}", counterexample.outcome);
    }
    code
}
