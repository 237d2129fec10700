//! Secrets: one line in a file that nobody but its owner may read, and shown nowhere.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use thiserror::Error;

/// The longest secret, in bytes.
const LONGEST: u64 = 4 * 1024;
/// The rights of everybody but the owner.
const OF_OTHERS: u32 = 0o077;
/// What stands where one was.
const BLANK: &str = "[secret]";

/// A value that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BLANK)
    }
}

/// Why a file holds no secret. The value is in none of these, and nothing was changed.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It can't be read.
    #[error("can't read the secret in {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is a folder, a device or a pipe.
    #[error("{} is no file with a secret", .0.display())]
    NotAFile(PathBuf),
    /// Others may use it.
    #[error(
        "others than its owner may use {path} (its mode is {mode:o}): chmod 600 {path}",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is another user's.
    #[error(
        "{path} belongs to user {owner}, who could put another secret there: chown root {path}",
        path = path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It does not hold one line of text.
    #[error("{} is not one line of text of at most {LONGEST} bytes", .0.display())]
    NotALine(PathBuf),
}

impl Secret {
    /// The one line of a file that belongs to root or to who we are.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let unreadable = |error| SecretError::Unreadable(path.to_owned(), error);
        // A pipe that nobody writes to must not hold us.
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if !meta.is_file() {
            return Err(SecretError::NotAFile(path.to_owned()));
        }
        if ![0, geteuid().as_raw()].contains(&meta.uid()) {
            return Err(SecretError::Owner { path: path.to_owned(), owner: meta.uid() });
        }
        if meta.mode() & OF_OTHERS != 0 {
            return Err(SecretError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o7777 });
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let fits = bytes.len() as u64 <= LONGEST;
        bytes.pop_if(|byte| *byte == b'\n');
        let text = String::from_utf8(bytes).ok().filter(|text| {
            fits && !text.is_empty() && !text.contains(|c: char| c.is_control() && c != '\t')
        });
        text.map(Self).ok_or_else(|| SecretError::NotALine(path.to_owned()))
    }

    /// The value.
    #[must_use]
    pub fn tell(&self) -> &str {
        &self.0
    }

    /// A text without it.
    #[must_use]
    pub fn blanked(&self, text: &str) -> String {
        text.replace(&self.0, BLANK)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(content: &[u8], mode: u32) -> Result<Secret, SecretError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Secret::read(&path)
    }

    #[test]
    fn a_secret_is_one_line_that_nobody_else_may_read() {
        let secret = read(b"open sesame\n", 0o600).unwrap();
        assert_eq!(secret.tell(), "open sesame");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(secret.blanked("say open sesame"), "say [secret]");
        for mode in [0o640, 0o604, 0o620] {
            assert!(matches!(read(b"a", mode), Err(SecretError::Exposed { .. })), "{mode:o}");
        }
        for bad in [&b""[..], b"\n", b"a\nb", b"a\n\n", b"a\0", b"\xff", &[b'x'; 4_097]] {
            assert!(matches!(read(bad, 0o600), Err(SecretError::NotALine(_))), "{bad:?}");
        }
        assert!(matches!(Secret::read(Path::new("/")), Err(SecretError::NotAFile(_))));
        assert!(matches!(Secret::read(Path::new("/no")), Err(SecretError::Unreadable(..))));
    }
}
