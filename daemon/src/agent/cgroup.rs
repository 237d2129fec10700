//! Control groups (version 2): the one fence around a program that none of its children can leave
//! by accident.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stead_linux::process::{Identity, Process, Signal};

/// How the names of all groups begin.
pub(crate) const PREFIX: &str = "stead-";
/// What the kernel tells of a group.
const EVENTS: &str = "cgroup.events";
/// A group as young as this is never taken for one that was left.
const YOUNG: Duration = Duration::from_secs(60);

/// Where groups can be made: the group that the daemon itself is in.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    folder: PathBuf,
}

/// The group of one program.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    folder: PathBuf,
}

impl Groups {
    /// `None` where version 2 is not mounted, or does not show our own group.
    pub(crate) fn detect() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        folder_of(own).map(|folder| Self { folder })
    }

    /// Removes groups that were left empty by nodes of this machine that are gone without a restart
    /// of it (demonstrations, tests). What is not empty the kernel keeps; what is young may be
    /// empty only until its program enters.
    pub(super) fn tidy(&self) {
        for folder in folders(&self.folder).unwrap_or_default() {
            let name = folder.file_name().and_then(|name| name.to_str());
            let ours = name.is_some_and(|name| name.starts_with(PREFIX));
            let changed = fs::metadata(&folder).and_then(|meta| meta.modified());
            let age = changed.ok().and_then(|changed| changed.elapsed().ok());
            if ours && age.is_some_and(|age| age > YOUNG) {
                let _ = remove_below(&folder);
            }
        }
    }

    /// The groups whose names begin so.
    pub(crate) fn beginning_with(&self, prefix: &str) -> Vec<Group> {
        let ours = |folder: &PathBuf| {
            let name = folder.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(prefix))
        };
        let found = folders(&self.folder).unwrap_or_default();
        found.into_iter().filter(ours).map(|folder| Group { folder }).collect()
    }

    /// Makes a group, or takes the one of that name.
    pub(crate) fn create(&self, name: &str) -> io::Result<Group> {
        let folder = self.folder.join(name);
        make(&folder)?;
        let kind = fs::read_to_string(folder.join("cgroup.type"))?;
        if kind.trim() == "domain" {
            return Ok(Group { folder });
        }
        let _ = fs::remove_dir(&folder);
        let text = format!("groups below {} can't hold processes", self.folder.display());
        Err(io::Error::other(text))
    }
}

/// Where the group lies of which the kernel says that it has that path.
fn folder_of(path: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (root, mount) = mounts.lines().find_map(version_2)?;
    let below = Path::new(path).strip_prefix(root).ok()?;
    // Outside of what we may see, the kernel shows the way there with "..".
    let plain = |part: std::path::Component<'_>| part.as_os_str() != "..";
    below.components().all(plain).then(|| Path::new(mount).join(below))
}

/// The root and the place of a writable mount of version 2; the fields are those of proc(5).
fn version_2(line: &str) -> Option<(&str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let mut before = before.split(' ').skip(3);
    let (root, mount, options) = (before.next()?, before.next()?, before.next()?);
    let writable = options.split(',').any(|option| option == "rw");
    // A backslash begins an escaped character; no such mount has one in practice.
    let fits = after.next()? == "cgroup2" && writable && !mount.contains('\\');
    fits.then_some((root, mount))
}

impl Group {
    /// The group that an earlier run of the daemon made.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The group that others made, by the kernel's path of it; `None` where version 2 is not
    /// mounted, or does not show it.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        folder_of(path).map(|folder| Self { folder })
    }

    /// Makes a group at the kernel's path, or takes the one that is there; `None` as in
    /// [`Group::of_path`].
    pub(crate) fn made(path: &str) -> io::Result<Option<Self>> {
        let Some(group) = Self::of_path(path) else { return Ok(None) };
        make(&group.folder)?;
        Ok(Some(group))
    }

    /// Makes a group within it, or takes the one of that name.
    pub(crate) fn below(&self, name: &str) -> io::Result<Self> {
        let folder = self.folder.join(name);
        make(&folder)?;
        Ok(Self { folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the file through which a process enters.
    pub(crate) fn door(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.folder.join("cgroup.procs"))
    }

    /// The processes in it and in groups below it; none if the group is gone.
    pub(crate) fn members(&self) -> io::Result<Vec<i32>> {
        let mut members = Vec::new();
        members_below(&self.folder, &mut members)?;
        Ok(members)
    }

    /// Kills all that is in it, also what is being forked at this moment (from Linux 5.14; before,
    /// one by one).
    pub(crate) fn kill(&self) {
        if fs::write(self.folder.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        for pid in self.members().unwrap_or_default() {
            let process = Identity::of(pid).and_then(Process::find);
            if let Ok(Some(process)) = process {
                // Gone is what it shall be; what was refused is seen by whoever counts the members.
                let _ = process.signal(Signal::SIGKILL);
            }
        }
    }

    /// Whether the kernel can do to it what [`Group::seal`] does (from Linux 5.14).
    pub(crate) fn can_be_sealed(&self) -> bool {
        ["cgroup.kill", "cgroup.freeze"].iter().all(|file| self.folder.join(file).exists())
    }

    /// Ends all that is in it or in groups below it, and lets nothing run there any more: what
    /// somebody puts there later stands still before its first step. A group that is gone is
    /// sealed. Only [`Group::unseal`] takes that back.
    ///
    /// # Errors
    /// The kernel's; then it may still run. It may also be that what was killed takes a moment.
    pub(crate) fn seal(&self) -> io::Result<()> {
        let write = |file: &str| gone_is_none(fs::write(self.folder.join(file), "1"));
        // In this order there is no moment in which anything could come in and run.
        let frozen = write("cgroup.freeze");
        write("cgroup.kill")?;
        frozen?;
        if self.is_populated()? {
            return Err(io::Error::other(format!("{} is not empty yet", self.folder.display())));
        }
        Ok(())
    }

    /// Whether it is sealed, as far as that lasts: what is put there stands still.
    pub(crate) fn is_sealed(&self) -> bool {
        let told = fs::read_to_string(self.folder.join("cgroup.freeze"));
        told.is_ok_and(|told| told.trim() == "1")
    }

    /// Lets run what is in it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn unseal(&self) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.freeze"), "0")
    }

    /// Whether a process is in it or in a group below it, whosever process namespace it lives in.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn is_populated(&self) -> io::Result<bool> {
        let events = gone_is_none(fs::read_to_string(self.folder.join(EVENTS)))?;
        Ok(events.is_some_and(|events| events.lines().any(|line| line == "populated 1")))
    }

    /// The file that the kernel touches when the last process leaves.
    pub(crate) fn events(&self) -> PathBuf {
        self.folder.join(EVENTS)
    }

    /// Removes it with the groups below it. They must be empty; what is gone is fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_below(&self.folder)
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn members_below(folder: &Path, members: &mut Vec<i32>) -> io::Result<()> {
    let Some(text) = gone_is_none(fs::read_to_string(folder.join("cgroup.procs")))? else {
        return Ok(());
    };
    // Zero is a process outside of our process namespace, which we can neither see nor kill here.
    let pids = text.lines().filter_map(|line| line.parse::<i32>().ok());
    members.extend(pids.filter(|pid| *pid != 0));
    for below in folders(folder)? {
        members_below(&below, members)?;
    }
    Ok(())
}

fn remove_below(folder: &Path) -> io::Result<()> {
    for below in folders(folder)? {
        remove_below(&below)?;
    }
    gone_is_none(fs::remove_dir(folder)).map(|_| ())
}

fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(entries) = gone_is_none(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if gone_is_none(entry.file_type())?.is_some_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // What reading a file of a group says that was removed after the file was opened.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_mount_is_found() {
        let line = "38 31 0:38 /x /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(version_2(line), Some(("/x", "/sys/fs/cgroup/unified")));
        for other in [
            "38 31 0:38 / /sys/fs/cgroup ro,relatime - cgroup2 cgroup2 rw",
            "38 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup cgroup rw,cpu",
            "38 31 0:38 / /sys/fs/cgroup",
            "",
        ] {
            assert_eq!(version_2(other), None, "{other}");
        }
    }
}
