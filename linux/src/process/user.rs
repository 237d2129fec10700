//! Another user that a program runs as.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Group, User as Entry, getgrouplist};

/// A user, with all its groups, looked up before the program is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: u32,
    /// Its folder.
    pub home: PathBuf,
    group: u32,
    groups: Vec<u32>,
}

impl User {
    /// The user of that name, in its own group or in that one.
    ///
    /// # Errors
    /// There is no such user or group on this machine, or nobody can tell.
    pub fn named(name: &str, group: Option<&str>) -> io::Result<Self> {
        let unknown = |what: &str, name: &str| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} `{name}` here"))
        };
        let entry = Entry::from_name(name)?.ok_or_else(|| unknown("user", name))?;
        let group = match group {
            Some(group) => Group::from_name(group)?.ok_or_else(|| unknown("group", group))?.gid,
            None => entry.gid,
        };
        let groups = getgrouplist(&CString::new(name)?, group)?;
        Ok(Self {
            name: name.to_owned(),
            id: entry.uid.as_raw(),
            home: entry.dir,
            group: group.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        })
    }

    /// Becomes it, for good. For a forked child: nothing here allocates.
    pub(super) fn become_it(&self) -> io::Result<()> {
        let done = |result: libc::c_int| {
            if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        // SAFETY: the pointer is to as many live numbers as are told.
        done(unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) })?;
        // SAFETY: no pointers.
        done(unsafe { libc::setgid(self.group) })?;
        // SAFETY: no pointers. Last, for after it nothing else would be permitted.
        done(unsafe { libc::setuid(self.id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_strangers_are_not() {
        let root = User::named("root", None).expect("there is one");
        assert_eq!((root.id, root.group), (0, 0));
        assert!(root.groups.contains(&0));
        for (user, group, said) in [
            ("no-such-user", None, "no user `no-such-user`"),
            ("root", Some("no-such-group"), "no group `no-such-group`"),
        ] {
            let error = User::named(user, group).expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
        User::named("a\0b", None).expect_err("no name");
    }
}
