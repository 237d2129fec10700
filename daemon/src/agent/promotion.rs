//! The file that says what is promoted, for the next run of the daemon: the epoch of the assignment
//! alone. It is there from before the promotion until nothing is promoted any more.

use std::fs;
use std::io;
use std::path::Path;

use stead_core::id::Epoch;
use stead_linux::durable::write_atomically;

/// What a file that can't be understood is taken for: later than whatever it was.
pub(super) const UNKNOWN: Epoch = Epoch(u64::MAX);

/// Says that something may be promoted from here on.
pub(super) fn write(path: &Path, epoch: Epoch) -> io::Result<()> {
    let written = write_atomically(path, epoch.to_string().as_bytes(), 0o600);
    written.map_err(io::Error::other)
}

/// What may be promoted; nothing if nothing is. A file that can't be understood is no excuse: the
/// newest epoch of all stands for it, which is stopped before anything else.
pub(super) fn read(path: &Path) -> io::Result<Option<Epoch>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().parse().map_or(UNKNOWN, Epoch))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_counts_as_promoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db.promoted");
        assert_eq!(read(&path).expect("it can be looked for"), None);
        write(&path, Epoch(17)).expect("it can be written");
        assert_eq!(read(&path).expect("it can be read"), Some(Epoch(17)));
        fs::write(&path, "1x").expect("it can be damaged");
        assert_eq!(read(&path).expect("it can be read"), Some(UNKNOWN));
    }
}
