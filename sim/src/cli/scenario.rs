//! One seed or one script at a time.

use std::fs;
use std::path::{Path, PathBuf};

use stead_sim::scenario::{self, Script};
use stead_sim::shrink;
use stead_sim::swarm::{self, Seed};

use super::CliError;

/// What divides a script from what happens.
const RULE: &str = "----\n";

/// Tells a seed again.
pub fn replay(seed: u64) -> Result<bool, CliError> {
    let it = Seed::new(seed);
    println!("{:#?}\n{:#?}", it.plan, it.mix);
    let (outcome, world) = swarm::play(&it, |world| world.tracing = true);
    for line in &world.trace {
        println!("{}", world.line(0, line));
    }
    for host in &world.hosts {
        println!("{}: node {}, {}", host.name, host.id.0, host.disk);
        println!("   {:?}", host.guard.as_ref().map(|guard| &guard.lease));
    }
    let moved = outcome.moved;
    println!("digest {:016x}, {} steps, {moved} moves", outcome.digest, outcome.steps);
    match outcome.verdict {
        None => {
            println!("seed {seed} holds");
            Ok(true)
        }
        Some(verdict) => {
            println!("seed {seed} fails: {}: {}", verdict.judge, verdict.what);
            Ok(false)
        }
    }
}

/// Makes a seed short.
pub fn shrink(seed: u64) -> Result<bool, CliError> {
    let script = shrink::shrink(seed)?;
    print!("{script}{RULE}");
    Ok(false)
}

/// Plays files.
pub fn play(files: &[PathBuf], update: bool) -> Result<bool, CliError> {
    let mut all_as_written = true;
    for path in files {
        let as_written = play_one(path, update)?;
        all_as_written &= as_written;
        println!("{}: {}", path.display(), if as_written { "as written" } else { "differs" });
    }
    Ok(all_as_written)
}

fn play_one(path: &Path, update: bool) -> Result<bool, CliError> {
    let file = |source| CliError::File { path: path.into(), source };
    let content = |why: String| CliError::Content { path: path.into(), why };
    let text = fs::read_to_string(path).map_err(file)?;
    let (script, expected) = text.split_once(RULE).unwrap_or((&text, ""));
    let read = Script::read(script).map_err(|error| content(error.to_string()))?;
    let played = scenario::play(&read).map_err(|error| content(error.to_string()))?;
    let happened = played.transcript();
    if happened == expected {
        return Ok(true);
    }
    if update {
        fs::write(path, format!("{script}{RULE}{happened}")).map_err(file)?;
        return Ok(true);
    }
    print!("{happened}");
    Ok(false)
}
