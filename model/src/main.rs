//! `stead-model`: searches, counts, and tells what it found.
//!
//! Happy path: the searches of the book, each a line of a table. With `--without RULE` the search
//! goes where that rule is needed, and the shortest way to what it keeps away is told; with
//! `--where RULE` it goes to the same place with all rules in force.
//!
//! Exit status 0: nothing was found. 1: a counterexample. 2: the command could not be carried out,
//! or a search was given up.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use stead_model::lease::{self, Leases};
use stead_model::rules::{Rule, Without};
use stead_model::search::{Cost, Found, search};
use stead_model::ties::{self, Ties};

/// Which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The register, the tie vote and the log.
    Ties,
    /// The guards, and the proof that a lease is over.
    Lease,
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
    /// Search where that rule is needed, with all in force.
    #[arg(long = "where", value_name = "RULE", conflicts_with = "without")]
    at: Option<Rule>,
    /// The searches that take minutes as well.
    #[arg(long)]
    long: bool,
    /// Only searches with these words in their name, however long.
    #[arg(long, value_name = "WORDS", conflicts_with = "at")]
    case: Option<String>,
    /// Other bounds for ties than those of the book: the highest term.
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
    /// After how many states, seen again or not, a search is given up.
    #[arg(long, default_value_t = 1_000_000_000)]
    most: usize,
}

impl Cli {
    fn bounds(&self, bounds: ties::Bounds) -> ties::Bounds {
        ties::Bounds {
            terms: self.terms.unwrap_or(bounds.terms),
            entries: self.entries.unwrap_or(bounds.entries),
            numbers: self.numbers.unwrap_or(bounds.numbers),
            spare: self.spare.unwrap_or(bounds.spare),
            late: self.late.unwrap_or(bounds.late),
            restores: self.restores.unwrap_or(bounds.restores),
            ..bounds
        }
    }

    /// The one rule whose place is searched, if it is about one and no case is named.
    fn rule(&self) -> Option<Rule> {
        match &self.without[..] {
            [] => self.at,
            [rule] if self.case.is_none() => Some(*rule),
            _ => None,
        }
    }

    fn wants(&self, name: &str, long: bool) -> bool {
        match &self.case {
            Some(words) => name.contains(words),
            None => self.long || !long,
        }
    }

    fn ties(&self) -> Vec<ties::cases::Case> {
        let few = |voters| self.voters.is_none_or(|it| it == voters);
        if let Some(rule) = self.rule() {
            let found = ties::cases::falls(rule).filter(|bounds| few(bounds.voters));
            if let Some(bounds) = found {
                return vec![ties::cases::Case { name: "where it falls", bounds, long: false }];
            }
            if lease::cases::falls(rule).is_some() {
                return Vec::new();
            }
        }
        let all = [2, 4].into_iter().filter(|voters| few(*voters)).flat_map(ties::cases::all);
        all.filter(|case| self.wants(case.name, case.long)).collect()
    }

    fn leases(&self) -> Vec<lease::cases::Case> {
        if let Some(rule) = self.rule() {
            let found = lease::cases::falls(rule).into_iter();
            let case = |bounds| lease::cases::Case { name: "where it falls", bounds, long: false };
            return found.map(case).collect();
        }
        let all = lease::cases::all(self.voters);
        all.filter(|case| self.wants(case.name, case.long)).collect()
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let cost = Cost { threads: cli.threads.max(1), states: cli.most };
    let without: Without = cli.without.iter().copied().collect();
    let mut worst = 0;
    println!("{:<7}{:>6}  {:<28}{:>11}{:>6}{:>8}", "", "voters", "", "states", "depth", "s");
    if cli.part != Some(Part::Lease) {
        for case in cli.ties() {
            let bounds = cli.bounds(case.bounds);
            if let Err(error) = bounds.check() {
                eprintln!("stead-model: {error}");
                return ExitCode::from(2);
            }
            let model = Ties::new(bounds, without.clone());
            let (told, outcome) = (ties::standing, ties::outcome);
            let found = search(model, cost, |it| told(&it.state), |it| outcome(&it.state));
            worst = worst.max(tell("ties", bounds.voters, case.name, &found, &without));
        }
    }
    if cli.part != Some(Part::Ties) {
        for case in cli.leases() {
            let model = Leases::new(case.bounds, without.clone());
            let found = search(model, cost, lease::standing, lease::outcome);
            worst = worst.max(tell("lease", case.bounds.voters, case.name, &found, &without));
        }
    }
    ExitCode::from(worst)
}

fn tell(part: &str, voters: u8, name: &str, found: &Found, without: &Without) -> u8 {
    let (verdict, code) = match &found.counterexample {
        Some(_) => ("a counterexample", 1),
        None if found.complete => ("safe", 0),
        None => ("given up", 2),
    };
    let (states, depth, seconds) = (found.states, found.depth, found.took.as_secs_f64());
    println!(
        "{part:<7}{voters:>6}  {name:<28}{states:>11}{depth:>6}{seconds:>8.1}  {without}: {verdict}"
    );
    if let Some(counterexample) = &found.counterexample {
        for (at, step) in counterexample.steps.iter().enumerate() {
            println!("{:>4}. {}\n      {}", at + 1, step.what, step.standing);
        }
        println!("      => {}", counterexample.outcome);
    }
    code
}
