//! `operations`: a hundred things done to a cluster by chance, with the outside watching.
//!
//! What it is for: what nobody thought of. Operations are drawn by a seed, come in groups of up to
//! three that overlap, and are undone; then everything has to heal by itself, or by what an
//! operator would type. All the time a client asks each service, and each node is asked whether it
//! answers for the address.
//!
//! Happy path: [`stage`] brings up three nodes with three services, one of them of two programs and
//! an agent with switches; [`draw`] says what is done. After each group, all nodes have to be well,
//! all services served, and every process there exactly as often as it should be. A group is a row;
//! [`tables`] makes tables of them.
//!
//! Failures: two nodes that answered at once, or something that does not heal, is a row with its
//! reason, and the run ends there: what comes after it would say nothing.
//!
//! Deliberately absent: a judgement about how long services may be away. Several things fail at
//! once; each row says what was done and how long clients waited.

mod draw;
mod play;
mod stage;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_lab::prober::now;

use crate::error::{BenchError, Step};
use crate::measure::ms;
use crate::report::{Results, Row, spread, table};
use crate::tools::Tools;

use draw::{Operation, draw};
use play::Player;
use stage::{SERVICES, Stage};
use stead_lab::Chance;

/// The bench's name.
pub const NAME: &str = "operations";
/// So many at once.
const AT_ONCE: u64 = 3;
/// Two answered: there is nothing worse.
const DOUBLE: &str = "two nodes answered";

/// So many operations, by that seed. Ends with the first thing that does not heal.
///
/// # Errors
/// The cluster can't be brought up, something did not heal, two nodes answered, the end was asked
/// for, or results can't be written.
pub fn run(tools: &Tools, seed: u64, count: u32, results: &mut Results) -> Result<(), BenchError> {
    // Its mounts end with its thread.
    let trial = || {
        let folder = tempfile::tempdir().step(|| "cannot make a folder".to_owned())?;
        groups(tools, seed, count, folder.path(), results)
    };
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name(NAME.to_owned());
        let thread =
            named.spawn_scoped(scope, trial).step(|| "cannot start a thread".to_owned())?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn groups(
    tools: &Tools,
    seed: u64,
    count: u32,
    folder: &std::path::Path,
    results: &mut Results,
) -> Result<(), BenchError> {
    let stage = Stage::build(tools, folder)?;
    let mut player = Player::new(tools, &stage);
    let mut chance = Chance::new(seed);
    let names: Vec<&'static str> = SERVICES.iter().map(|(name, _)| *name).collect();
    let (mut done, mut run) = (0, 0);
    while done < count {
        let many = u32::try_from(chance.between(1, AT_ONCE)).unwrap_or(1).min(count - done);
        let group: Vec<Operation> =
            (0..many).map(|_| draw(&mut chance, stage.fleet.nodes().len(), &names)).collect();
        (done, run) = (done + many, run + 1);
        let row = Row {
            bench: NAME.to_owned(),
            subject: "stead".to_owned(),
            config: format!("seed {seed}"),
            run,
            ..Row::default()
        };
        let row = one(&mut player, &stage, &mut chance, &group, row)?;
        let over = row.error.clone();
        results.add(row)?;
        if let Some(over) = over {
            // everything is still as it was left: the last words of its parts say why
            let words = last_words(&stage);
            let text = format!("seed {seed}, group {run}: {over}\n{words}");
            return Err(BenchError::Nothing(text));
        }
    }
    Ok(())
}

/// One group of operations, and what came of it.
fn one(
    player: &mut Player<'_>,
    stage: &Stage,
    chance: &mut Chance,
    group: &[Operation],
    row: Row,
) -> Result<Row, BenchError> {
    let began = now();
    let said = player.perform(group, chance)?;
    let mended = now();
    let healed = player.heal();
    let mut outages = BTreeMap::new();
    let (mut worst, mut double) = (0.0_f64, 0.0_f64);
    for (name, watch) in &stage.watches {
        let seen = watch.seen_since(began);
        outages.insert(*name, seen.outage_ms);
        (worst, double) = (worst.max(seen.outage_ms), double.max(seen.double_ms));
    }
    let healed_ms = ms(std::time::Duration::from_micros(now() - mended));
    let kinds: Vec<&str> = group.iter().map(|it| it.act.kind()).collect();
    let mut row = Row { outage_ms: Some(worst), double_ms: Some(double), ..row };
    row = row.with("operations", said).with("kinds", kinds).with("outages_ms", json!(outages));
    row = row.with("healed_ms", healed_ms).with("typed", player.typed());
    if double > 0.0 {
        row.error = Some(DOUBLE.to_owned());
    }
    match healed {
        Ok(()) => Ok(row),
        Err(error) if error.is_interruption() => Err(error),
        Err(error) => Ok(Row { error: Some(error.told()), ..row }),
    }
}

/// The ends of the logs of all parts.
fn last_words(stage: &Stage) -> String {
    use stead::demo::fleet::Part;
    let mut words = String::new();
    for node in stage.fleet.nodes() {
        for part in [Part::Guard, Part::Daemon] {
            let text = std::fs::read_to_string(node.log(part)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default();
            words.push_str(&format!("{} of {}:\n{}\n", part.name(), node.name(), last.join("\n")));
        }
        let status = node.stead(&["status"]).map(|it| it.stdout + &it.stderr);
        words.push_str(&status.unwrap_or_else(|error| error.to_string()));
    }
    words
}

/// The tables: a line for each seed, and one for each kind of operation that came alone.
pub(crate) fn tables(rows: &[&Row]) -> String {
    let list = |row: &Row, key: &str| -> Vec<String> {
        let all = row.more.get(key).and_then(Value::as_array);
        let all = all.into_iter().flatten().filter_map(Value::as_str);
        all.map(str::to_owned).collect()
    };
    let mut seeds: Vec<&str> = rows.iter().map(|row| row.config.as_str()).collect();
    seeds.dedup();
    let figures = |name: String, of: &[&&Row]| {
        let gaps = spread(of.iter().filter_map(|row| row.outage_ms));
        let healed = spread(of.iter().filter_map(|row| row.number("healed_ms")));
        let shown = |number: Option<f64>| number.map_or("-".to_owned(), |it| format!("{it:.0}"));
        let double: f64 = of.iter().filter_map(|row| row.double_ms).sum();
        let count: usize = of.iter().map(|row| list(row, "operations").len()).sum();
        let failed = of.iter().filter(|row| row.error.is_some()).count();
        let (median, max) = (gaps.as_ref().map(|it| it.median), gaps.map(|it| it.max));
        let cells = [shown(median), shown(max), shown(healed.map(|it| it.max))];
        let rest = [format!("{double:.1}"), failed.to_string()];
        [vec![name, count.to_string()], cells.to_vec(), rest.to_vec()].concat()
    };
    let seed_lines = seeds.iter().map(|seed| {
        let of: Vec<&&Row> = rows.iter().filter(|row| row.config == *seed).collect();
        figures((*seed).to_owned(), &of)
    });
    let mut kinds: Vec<String> = rows.iter().flat_map(|row| list(row, "kinds")).collect();
    kinds.sort();
    kinds.dedup();
    let kind_lines = kinds.iter().filter_map(|kind| {
        let alone = |row: &&&Row| list(row, "kinds") == [kind.as_str()];
        let of: Vec<&&Row> = rows.iter().filter(alone).collect();
        (!of.is_empty()).then(|| figures(kind.clone(), &of))
    });
    let rest = ["operations", "gap ms median", "max", "healed ms max", "two answered ms", "failed"];
    let head = |first: &'static str| [&[first], &rest[..]].concat();
    let (seeds, kinds) = (seed_lines.collect(), kind_lines.collect());
    format!("{}{}", table(&head("seed"), seeds), table(&head("alone"), kinds))
}
