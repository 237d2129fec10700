//! BIRD 2: its control socket, what it says there, and the file of ours that it includes.
//!
//! [`control`] carries questions and numbered answers, [`read`] understands them, [`file`] writes
//! what BIRD may announce, and has BIRD read it. Deliberately absent: `birdc`, which is made for
//! people; `configure soft`, which would leave announced what may be announced no longer.

pub(super) mod control;
mod file;
pub(super) mod read;

use std::collections::BTreeMap;
use std::path::Path;

pub(super) use control::Control;
pub use control::ControlError;
pub use file::ConfigureError;
pub(super) use file::{configure, explain};

use super::{Bfd, MOST_NEIGHBOURS, Neighbour, Prefix, Session, Watched};
use read::Speaker;

/// "Network not found", of a prefix that is in no table.
const NOT_FOUND: u16 = 8001;
/// "Protocol is not up", of one that went down since it was asked for.
const NOT_UP: u16 = 8004;
/// What was asked is not understood: a name that is defined nowhere, a protocol that carries no
/// such family, no BFD at all.
const UNKNOWN: u16 = 9001;

pub(super) async fn watch(control: &Path, prefixes: &[Prefix]) -> Result<Watched, ControlError> {
    let mut control = Control::open(control).await?;
    // From here on nothing that is asked can change anything.
    control.ask("restrict").await?;
    let version = read::version(&control.ask("show status").await?);
    let configured = file::loaded(&mut control).await?.is_some();
    let mut speakers = read::speakers(&control.ask("show protocols all").await?);
    speakers.truncate(MOST_NEIGHBOURS);
    let sessions = match absent_is_none(control.ask("show bfd sessions").await)? {
        Some(reply) => read::bfd(&reply),
        None => BTreeMap::new(),
    };
    let neighbours = speakers.into_iter().map(|it| neighbour(it, &sessions)).collect();
    let mut watched = Watched { version, configured, neighbours, ..Watched::default() };
    if configured {
        for &prefix in prefixes {
            follow(&mut control, &mut watched, prefix).await?;
        }
    }
    Ok(watched)
}

fn neighbour(speaker: Speaker, sessions: &BTreeMap<String, Bfd>) -> Neighbour {
    let plain = speaker.address.split('%').next().unwrap_or_default();
    let bfd = sessions.get(plain).copied().unwrap_or(Bfd::Off);
    Neighbour {
        name: speaker.name,
        session: Session::read(&speaker.state),
        since: speaker.since,
        last_error: speaker.last_error,
        hold: speaker.hold,
        retained: speaker.retained,
        bfd,
        address: speaker.address,
    }
}

/// Where one prefix goes: from the kernel into a table, from there to neighbours.
async fn follow(
    control: &mut Control,
    watched: &mut Watched,
    prefix: Prefix,
) -> Result<(), ControlError> {
    let ours = format!("{prefix} where {}()", file::FILTER);
    let learnt = control.ask(&format!("show route table all {ours}")).await;
    if !absent_is_none(learnt)?.is_some_and(|reply| read::has_route(&reply, prefix)) {
        return Ok(());
    }
    watched.learnt.insert(prefix);
    let up = watched.neighbours.iter().filter(|it| it.session == Session::Established);
    let mut to = Vec::new();
    for neighbour in up {
        let Some(symbol) = read::symbol(&neighbour.name) else { continue };
        let sent = control.ask(&format!("show route {ours} export {symbol}")).await;
        if absent_is_none(sent)?.is_some_and(|reply| read::has_route(&reply, prefix)) {
            to.push(neighbour.name.clone());
        }
    }
    watched.exported.insert(prefix, to);
    Ok(())
}

/// That there is no such thing is an answer.
fn absent_is_none<T>(answer: Result<T, ControlError>) -> Result<Option<T>, ControlError> {
    match answer {
        Ok(reply) => Ok(Some(reply)),
        Err(ControlError::Refused { code: NOT_FOUND | NOT_UP | UNKNOWN, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
