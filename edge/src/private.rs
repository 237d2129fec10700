//! Files that nobody but their owner may read, and secrets in them.

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
/// What stands where a secret was.
pub const BLANK: &str = "[secret]";

/// Why a file with a secret is not read. The value is in none of these, and nothing was changed.
#[derive(Debug, Error)]
pub enum PrivateError {
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
        /// The user's number.
        owner: u32,
    },
    /// Its size.
    #[error("{} is longer than any secret ({LONGEST} bytes)", .0.display())]
    TooLong(PathBuf),
}

/// What is in a file that belongs to root or to who we are, and that nobody else may use.
///
/// # Errors
/// See [`PrivateError`].
pub fn read(path: &Path) -> Result<Vec<u8>, PrivateError> {
    let unreadable = |error| PrivateError::Unreadable(path.to_owned(), error);
    // A pipe that nobody writes to must not hold us.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(PrivateError::NotAFile(path.to_owned()));
    }
    if ![0, geteuid().as_raw()].contains(&meta.uid()) {
        return Err(PrivateError::Owner { path: path.to_owned(), owner: meta.uid() });
    }
    if meta.mode() & OF_OTHERS != 0 {
        return Err(PrivateError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let fits = bytes.len() as u64 <= LONGEST;
    if fits { Ok(bytes) } else { Err(PrivateError::TooLong(path.to_owned())) }
}

/// A value that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BLANK)
    }
}

/// Why a file holds no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It is not read.
    #[error(transparent)]
    File(#[from] PrivateError),
    /// Nothing is in it.
    #[error("{} is empty; write the secret into it, on one line", .0.display())]
    Empty(PathBuf),
    /// More is in it.
    #[error("{} has more than one line; a secret is one line", .0.display())]
    SeveralLines(PathBuf),
    /// What is in it can't be said in a line.
    #[error("the secret in {} is no text, or has characters that no line can hold", .0.display())]
    NotText(PathBuf),
}

impl Secret {
    /// A value that is known already.
    #[must_use]
    pub fn of(value: String) -> Self {
        Self(value)
    }

    /// The one line of a file that nobody but its owner may read: root, or who we are.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let mut bytes = read(path)?;
        bytes.pop_if(|byte| *byte == b'\n');
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| SecretError::NotText(path.to_owned()))?;
        if text.is_empty() {
            return Err(SecretError::Empty(path.to_owned()));
        }
        if text.contains('\n') {
            return Err(SecretError::SeveralLines(path.to_owned()));
        }
        if text.contains(|c: char| c.is_control() && c != '\t') {
            return Err(SecretError::NotText(path.to_owned()));
        }
        Ok(Self(text))
    }

    /// The value.
    #[must_use]
    pub fn tell(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn read(content: &[u8], mode: u32) -> Result<String, String> {
        let (_folder, path) = file(content, mode);
        let secret = Secret::read(&path);
        let told = secret.map(|it| it.0).map_err(|error| error.to_string());
        told.map_err(|text| text.replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn a_secret_is_one_line_that_nobody_else_may_read() {
        assert_eq!(read(b"admin\n", 0o600).as_deref(), Ok("admin"));
        assert_eq!(read(" a\tb=\"\u{e9}\"".as_bytes(), 0o400).as_deref(), Ok(" a\tb=\"\u{e9}\""));
        let refused = |content: &[u8], mode| read(content, mode).unwrap_err();
        for mode in [0o640, 0o604, 0o620, 0o610] {
            assert_eq!(
                refused(b"admin", mode),
                format!(
                    "others than its owner may use FILE (its mode is {mode:o}): chmod 600 FILE"
                )
            );
        }
        assert_eq!(refused(b"\n", 0o600), "FILE is empty; write the secret into it, on one line");
        let lines = "FILE has more than one line; a secret is one line";
        assert_eq!(refused(b"a\nb", 0o600), lines);
        assert_eq!(refused(b"a\n\n", 0o600), lines);
        let text = "the secret in FILE is no text, or has characters that no line can hold";
        for bytes in [&b"a\r\n"[..], b"a\0b", b"\xff"] {
            assert_eq!(refused(bytes, 0o600), text);
        }
        assert_eq!(refused(&[b'x'; 4_097], 0o600), "FILE is longer than any secret (4096 bytes)");
        let folder = Secret::read(Path::new("/")).unwrap_err();
        assert_eq!(folder.to_string(), "/ is no file with a secret");
        let none = Secret::read(Path::new("/nowhere/secret")).unwrap_err();
        assert_eq!(none.to_string(), "can't read the secret in /nowhere/secret");
    }
}
