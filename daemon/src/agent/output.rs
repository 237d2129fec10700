//! What programs print: to files, since a pipe to the daemon would break with the daemon.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use stead_edge::last_of;

/// A longer file is cut down to its last part. Bytes.
const LONGEST: u64 = 1024 * 1024;
/// What is kept of it. Bytes.
const KEPT: u64 = 64 * 1024;
/// How much of a file's end is searched for its last lines. Bytes.
const END: u64 = 16 * 1024;

/// Begins a new file, readable by root alone: programs print secrets. The former run's is kept
/// beside it under the name `old`.
pub(crate) fn begin(path: &Path, old: Option<&Path>) -> io::Result<File> {
    let moved = match old {
        Some(old) => fs::rename(path, old),
        None => fs::remove_file(path),
    };
    match moved {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Cuts a file that has become too long. What is printed between the copy and the cut is lost; the
/// program goes on writing at the new end, for its descriptor appends.
pub(crate) fn trim(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() <= LONGEST {
        return Ok(());
    }
    let kept = end_of(&mut file, KEPT)?;
    file.set_len(0)?;
    file.write_all(&kept)
}

/// Goes on with a file, which is begun if it is not there. Also says how long it is.
pub(crate) fn go_on(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// The last lines of what was printed since a file had that length, oldest first. One that is
/// shorter now was cut down meanwhile.
pub(crate) fn lines_since(path: &Path, length: u64, count: usize) -> Vec<String> {
    let since = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let now = file.metadata()?.len();
        if now < length || now - length > END {
            return end_of(&mut file, END);
        }
        file.seek(SeekFrom::Start(length))?;
        let mut bytes = Vec::new();
        file.take(END).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    last_of(&since().unwrap_or_default(), count)
}

/// The last lines of a file, oldest first; none if there is no file.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let end = File::open(path).and_then(|mut file| end_of(&mut file, END));
    last_of(&end.unwrap_or_default(), count)
}

/// The end of a file, from the beginning of a line where the file is longer.
fn end_of(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(most);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    if from > 0
        && let Some(line) = bytes.iter().position(|byte| *byte == b'\n')
    {
        bytes.drain(..=line);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_keeps_its_end_and_its_writer_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("web.log");
        let mut file = begin(&path, None).expect("a file");
        let line = "x".repeat(99);
        for number in 0..20_000 {
            writeln!(file, "{number:05} {line}").expect("written");
        }
        trim(&path).expect("cut");
        let length = fs::metadata(&path).expect("there").len();
        assert!(length <= KEPT && length > KEPT - 200, "{length}");
        writeln!(file, "after\x1b[31m the cut").expect("written");
        let lines = last_lines(&path, 2);
        assert_eq!(lines, [format!("19999 {line}"), "after [31m the cut".to_owned()]);
        trim(&path).expect("nothing to do");
        assert_eq!(last_lines(&path, 2).len(), 2);
        assert!(last_lines(&folder.path().join("none"), 2).is_empty());
    }

    #[test]
    fn what_one_run_printed_is_told_apart_from_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.log");
        let (mut file, from) = go_on(&path).expect("begun");
        assert_eq!((from, lines_since(&path, from, 5)), (0, Vec::<String>::new()));
        writeln!(file, "one\ntwo").expect("written");
        assert_eq!(lines_since(&path, from, 5), ["one", "two"]);
        let (mut file, from) = go_on(&path).expect("there");
        assert!(lines_since(&path, from, 5).is_empty());
        writeln!(file, "three").expect("written");
        assert_eq!(lines_since(&path, from, 5), ["three"]);
        file.set_len(0).expect("cut down");
        writeln!(file, "4").expect("written");
        assert_eq!(lines_since(&path, from, 5), ["4"]);
        assert!(lines_since(&folder.path().join("none"), 7, 5).is_empty());
    }
}
