//! What the soaks came to, as the book prints it.

use std::path::Path;

use serde_json::Value;
use stead_sim::cover::Phase;
use stead_sim::fault::Kind;

use super::CliError;
use super::soak;
use super::total::Total;

/// The command. Says whether every soak held.
pub fn report(path: &Path) -> Result<bool, CliError> {
    let cores = soak::load(path)?;
    if cores.is_empty() {
        println!("nothing was soaked yet: stead-sim soak --state {}", path.display());
        return Ok(true);
    }
    let mut held = true;
    for (core, entry) in &cores {
        let this = if core == soak::CORE { " (the present source)" } else { "" };
        let Some(total) = entry.get("total").and_then(Total::from_json) else {
            let why = format!("what stands under {core} is no soak");
            return Err(CliError::Content { path: path.into(), why });
        };
        let failures = entry.get("failures").and_then(Value::as_array).map_or(0, Vec::len);
        held &= failures == 0;
        println!("core {core}{this}: {} seeds, {failures} failed", total.seeds);
        println!(
            "{:.1} virtual hours, {} faults, {} moves of an address, {} snapshots, {} ties broken, \
             {} lulls served, {:.0} times as fast as real time on one processor\n",
            total.virtual_hours(),
            Kind::ALL.map(|kind| total.cover.of(kind)).iter().sum::<u64>(),
            total.moved,
            total.cover.snapshots,
            total.cover.ties,
            total.lulls,
            total.virtual_hours() * 3_600.0 / total.seconds.max(1e-9),
        );
        table(&total);
        for (name, (times, longest)) in &total.excused {
            let longest = *longest as f64 / 1e3;
            println!("excused, {name}: {times} times, for {longest:.1} ms at most");
        }
        println!();
    }
    Ok(held)
}

fn table(total: &Total) {
    let phases = Phase::ALL.map(Phase::name).join(" | ");
    println!("| fault | all | {phases} |");
    println!("|---{}|", "|---:".repeat(Phase::ALL.len() + 1));
    for kind in Kind::ALL {
        let cells = Phase::ALL.map(|phase| total.cover.cell(kind, phase).to_string());
        println!("| {} | {} | {} |", kind.name(), total.cover.of(kind), cells.join(" | "));
    }
    println!();
}
