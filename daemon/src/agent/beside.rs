//! Control groups beside a program's own: of what others run for it (units, containers).
//!
//! systemd and container engines start what they are asked to outside of the keeper's process
//! namespace and of the program's control group. So whoever asks them writes down, before that, in
//! which group it will run: one path a line, in a file beside the program's note. The keeper reads
//! it when the lease has ended, and the daemon when it stops what is left; both then *seal* each
//! group ([`Group::seal`]): all in it is killed, and what is put there later, by a manager
//! that had been asked before or by itself, does not run. For that nobody has to answer but the
//! kernel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cgroup::Group;

/// How the names of these files end.
const ENDING: &str = "beside";
/// No list is longer. Bytes: a hundred resources with the longest path that the kernel takes.
const LONGEST: u64 = 1024 * 1024;

/// Where the list of a program lies, by its note.
pub(crate) fn path(note: &Path) -> PathBuf {
    note.with_extension(ENDING)
}

/// The groups that are written down.
///
/// # Errors
/// The file can't be read, or is none.
pub(crate) fn read(note: &Path) -> io::Result<Vec<Group>> {
    let path = path(note);
    let length = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        meta => meta?.len(),
    };
    if length > LONGEST {
        return Err(io::Error::other(format!("{} is too long", path.display())));
    }
    let text = fs::read_to_string(&path)?;
    let lines = text.lines().filter(|line| line.starts_with('/'));
    Ok(lines.map(|line| Group::at(line.into())).collect())
}

/// Writes the groups down, in the place of those that were; whoever reads sees the one or the
/// other.
///
/// # Errors
/// The file can't be written, or a path is more than a line.
pub(crate) fn write<'a>(note: &Path, groups: impl Iterator<Item = &'a Path>) -> io::Result<()> {
    let mut text = String::new();
    for group in groups {
        let line = group.to_str().filter(|line| line.starts_with('/') && !line.contains('\n'));
        text.push_str(line.ok_or_else(|| io::Error::other("no path of a control group"))?);
        text.push('\n');
    }
    let path = path(note);
    if text.is_empty() {
        return remove(&path);
    }
    let new = path.with_extension("beside-new");
    fs::write(&new, text)?;
    fs::rename(&new, &path)
}

/// Seals all that are written down. One that can't be does not keep the others from it.
///
/// # Errors
/// Not all could be, or something in them has not ended yet.
pub(crate) fn seal(note: &Path) -> io::Result<()> {
    let sealed = read(note)?.iter().map(Group::seal).collect::<Vec<_>>();
    sealed.into_iter().collect()
}

/// Whether there are any, or nobody can tell.
pub(crate) fn is_used(note: &Path) -> bool {
    !read(note).is_ok_and(|groups| groups.is_empty())
}

/// Whether anything runs in them. Who can't see must not say that nothing does.
pub(crate) fn is_populated(note: &Path) -> bool {
    let Ok(groups) = read(note) else { return true };
    groups.iter().any(|group| group.is_populated().unwrap_or(true))
}

/// Forgets them. They must be sealed.
///
/// # Errors
/// The file can't be removed.
pub(crate) fn forget(note: &Path) -> io::Result<()> {
    remove(&path(note))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_and_a_damaged_list_is_no_empty_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let note = folder.path().join("web.note");
        let read_back = || -> Vec<PathBuf> {
            let groups = read(&note).expect("readable");
            groups.iter().map(|group| group.folder().to_owned()).collect()
        };
        assert!(read_back().is_empty() && !is_populated(&note));
        let groups = [Path::new("/sys/a\\x2db.slice"), Path::new("/sys/c d")];
        write(&note, groups.into_iter()).expect("written");
        assert_eq!(read_back(), groups);
        seal(&note).expect("what is gone is sealed");
        for wrong in ["/sys/a\n/sys/b", "sys", ""] {
            write(&note, [Path::new(wrong)].into_iter()).expect_err("refused");
            assert_eq!(read_back(), groups, "{wrong}: nothing was changed");
        }
        fs::write(path(&note), b"/sys/\xff\n").expect("written");
        read(&note).expect_err("no text");
        assert!(is_populated(&note), "nobody knows");
        write(&note, std::iter::empty()).expect("removed");
        assert!(!path(&note).exists());
    }
}
