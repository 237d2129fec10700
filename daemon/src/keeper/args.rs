//! What the daemon tells a keeper, on its command line: the same binary reads what it wrote.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::PathBuf;

use stead_core::id::Epoch;

use super::{COMMAND, Form};

/// Stands for what is not there.
const NONE: &str = "-";

/// Everything that a keeper has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// The descriptor of the guard's page.
    pub page: RawFd,
    /// The descriptor on which it says how the start went.
    pub report: RawFd,
    /// The epoch of the program.
    pub epoch: Epoch,
    /// The form that is asked for, and no other; if none, the better one that is to be had.
    pub form: Option<Form>,
    /// The folder of the program's control group.
    pub group: Option<PathBuf>,
    /// The note that tells the next daemon of the program.
    pub note: PathBuf,
    /// The program, and its arguments.
    pub command: Vec<OsString>,
}

impl Args {
    /// The command line, without the keeper's own name.
    #[must_use]
    pub fn write(self) -> Vec<OsString> {
        let form = self.form.map_or(NONE.to_owned(), |form| form.to_string());
        let group = self.group.map_or_else(|| NONE.into(), PathBuf::into_os_string);
        let numbers = [self.page.to_string(), self.report.to_string(), self.epoch.0.to_string()];
        let mut words: Vec<OsString> = vec![COMMAND.into()];
        words.extend(numbers.map(OsString::from));
        words.extend([form.into(), group, self.note.into_os_string()]);
        words.extend(self.command);
        words
    }

    /// Reads it, without its first word; nothing if it is none.
    pub(super) fn read(words: &[OsString]) -> Option<Self> {
        let [page, report, epoch, form, group, note, command @ ..] = words else { return None };
        let text = |word: &OsStr| word.to_str().map(str::to_owned);
        let form = match text(form)?.as_str() {
            NONE => None,
            form => Some(form.parse().ok()?),
        };
        Some(Self {
            page: text(page)?.parse().ok()?,
            report: text(report)?.parse().ok()?,
            epoch: Epoch(text(epoch)?.parse().ok()?),
            form,
            group: Some(group).filter(|group| *group != NONE).map(PathBuf::from),
            note: note.into(),
            command: Some(command.to_vec()).filter(|command| !command.is_empty())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (form, group) in [(None, None), (Some(Form::Group), Some("/sys/fs/cgroup/x".into()))] {
            let command = vec!["/bin/sh".into(), "-c".into(), "-".into()];
            let note = "/run/stead/programs/web.note".into();
            let args = Args { page: 5, report: 7, epoch: Epoch(9), form, group, note, command };
            let words = args.clone().write();
            assert_eq!(Args::read(&words[1..]), Some(args));
            for cut in 0..8 {
                assert_eq!(Args::read(&words[1..cut.max(1)]), None, "{cut}");
            }
        }
    }
}
