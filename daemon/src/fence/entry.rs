//! Letting this node in again, where a device cuts off from a storage or a network: once a boot.
//!
//! Such a device leaves the machine on, and what that has in memory it may still want to write.
//! So nobody lets a node in but itself, when it has booted. A note says which devices it asked
//! since then: a daemon that is only started anew asks them no second time.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use stead_core::state::config::{FencingConfig, Plug};

use super::attempt::within;
use super::devices::{Devices, Question};
use super::step::{Action, Said, Step};

/// What tells one boot of a machine from all others.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Why a node is not let in that was cut off since it booted.
const CUT_OFF: &str = "it has cut this machine off since that booted: boot it";
/// The longest note that is read, in bytes: a line for each device of a node.
const LONGEST: usize = 64 * 1024;

impl Devices {
    /// Asks every device that cuts this node off, and has not let it in since this boot, to let it
    /// in, and the others whether it still is; `note` is where that is remembered. What failed is
    /// asked again by the next call. To be called when the daemon starts, before anything is
    /// started that needs what was cut off.
    ///
    /// # Errors
    /// The note can't be read or written. What was asked until then stays done.
    pub async fn let_in(
        &self,
        config: &FencingConfig,
        node: &str,
        note: &Path,
    ) -> io::Result<Vec<Step>> {
        let levels = config.nodes.get(node).map_or(&[][..], |fencing| &fencing.levels);
        let mut steps = Vec::new();
        let mut plugs = Vec::new();
        for (level, of_level) in (1..).zip(levels) {
            plugs.extend(of_level.iter().map(|plug| (level, plug)));
        }
        for (level, plug) in plugs {
            let Some(device) = config.devices.get(&plug.device) else { continue };
            let cuts_off = self.cuts_off(device).await;
            if cuts_off == Ok(false) {
                continue;
            }
            let noted = is_noted(note, plug)?;
            let question = Question {
                level: Some(level),
                device: &plug.device,
                config: device,
                node,
                plug: plug.plug.as_deref(),
                action: if noted { Action::Status } else { Action::On },
                urgent: false,
            };
            if let Err(reason) = cuts_off {
                // Whoever took it for one that cuts nobody off would never ask it.
                steps.push(Step::not_asked(&question, reason));
                continue;
            }
            let (step, _) = self.ask(&question, within(device)).await;
            match step.said {
                Said::Done => add(note, plug)?,
                // It was let in, and cut off since: what it has in memory is from before that.
                Said::Off => {
                    steps.push(Step { said: Said::Failed(CUT_OFF.to_owned()), ..step });
                    continue;
                }
                // It is still in; or nobody knows, and what is started finds out.
                Said::On | Said::Failed(_) if noted => continue,
                Said::On | Said::Failed(_) => {}
            }
            steps.push(step);
        }
        Ok(steps)
    }
}

/// The line of a device in a note of this boot.
fn line(plug: &Plug) -> io::Result<String> {
    let boot = fs::read_to_string(BOOT)?;
    let plug_of = plug.plug.as_deref().unwrap_or_default();
    Ok(format!("{} {}:{}", boot.trim(), plug.device, plug_of.escape_default()))
}

fn is_noted(note: &Path, plug: &Plug) -> io::Result<bool> {
    let text = match fs::read(note) {
        Ok(bytes) if bytes.len() <= LONGEST => String::from_utf8_lossy(&bytes).into_owned(),
        // Whoever takes it for an empty one lets a node in that has not booted.
        Ok(_) => return Err(io::Error::other(format!("{} is no such note", note.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let wanted = line(plug)?;
    Ok(text.lines().any(|line| line == wanted))
}

fn add(note: &Path, plug: &Plug) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(note)?;
    file.write_all(format!("{}\n", line(plug)?).as_bytes())
}
