//! Runs seeds for a while, and goes on where the last soak of the same core ended.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::CliError;
use super::run;
use super::total::Total;

/// The source of `core` that this program was built from.
pub const CORE: &str = env!("STEAD_CORE_HASH");

/// What is in the file: by the hash of core, what its seeds came to.
pub fn load(path: &Path) -> Result<Map<String, Value>, CliError> {
    if !path.exists() {
        return Ok(Map::new());
    }
    let text =
        fs::read_to_string(path).map_err(|source| CliError::File { path: path.into(), source })?;
    let content = |why: String| CliError::Content { path: path.into(), why };
    match serde_json::from_str(&text) {
        Ok(Value::Object(cores)) => Ok(cores),
        Ok(_) => Err(content("line 1, column 1: an object of soaks was expected".into())),
        Err(error) => Err(content(error.to_string())),
    }
}

/// Written beside and moved over, so that an interruption leaves the old counts.
fn save(path: &Path, cores: &Map<String, Value>) -> Result<(), CliError> {
    let file = |source| CliError::File { path: path.into(), source };
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{:#}\n", Value::Object(cores.clone()))).map_err(file)?;
    fs::rename(&beside, path).map_err(file)
}

/// The command.
pub fn soak(path: &Path, minutes: u64, jobs: usize, chunk: u64) -> Result<bool, CliError> {
    let until = Instant::now() + Duration::from_secs(minutes * 60);
    let mut held = true;
    loop {
        let mut cores = load(path)?;
        let known = cores.get(CORE).cloned().unwrap_or_else(|| json!({"next": 0}));
        let next = known.get("next").and_then(Value::as_u64).unwrap_or(0);
        let mut total = known.get("total").and_then(Total::from_json).unwrap_or_default();
        let more = run::seeds(next..next + chunk, jobs, false, None);
        let mut failures =
            known.get("failures").and_then(Value::as_array).cloned().unwrap_or_default();
        for (seed, judge, what) in &more.failed {
            held = false;
            failures.push(json!({"seed": seed, "judge": judge, "what": what}));
        }
        total.merge(more);
        let entry = json!({
            "next": next + chunk, "failures": failures, "total": total.to_json(),
        });
        cores.insert(CORE.to_string(), entry);
        save(path, &cores)?;
        println!(
            "core {CORE}: {} seeds, {:.1} virtual hours, {} failures so far",
            total.seeds,
            total.virtual_hours(),
            failures.len()
        );
        if Instant::now() >= until {
            return Ok(held);
        }
    }
}
