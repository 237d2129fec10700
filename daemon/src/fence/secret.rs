//! Secrets: read when they are needed, told on standard input, and blanked out of whatever comes
//! back.

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
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BLANK)
    }
}

/// Why a file holds no secret. The value is in none of these.
#[derive(Debug, Error)]
pub(super) enum SecretError {
    #[error("can't read the secret in {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} is no file with a secret", .0.display())]
    NotAFile(PathBuf),
    #[error(
        "others than its owner may use {path} (its mode is {mode:o}): chmod 600 {path}",
        path = path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "{path} belongs to user {owner}, who could put another secret there: chown root {path}",
        path = path.display()
    )]
    Owner { path: PathBuf, owner: u32 },
    #[error("{} is empty; write the secret into it, on one line", .0.display())]
    Empty(PathBuf),
    #[error("{} is longer than any secret ({LONGEST} bytes)", .0.display())]
    TooLong(PathBuf),
    #[error("{} has more than one line; a secret is one line", .0.display())]
    SeveralLines(PathBuf),
    #[error("the secret in {} is no text, or has characters that no line can hold", .0.display())]
    NotText(PathBuf),
}

impl Secret {
    /// The one line of a file that nobody but its owner may read: root, or who we are.
    pub(super) fn read(path: &Path) -> Result<Self, SecretError> {
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
        if bytes.len() as u64 > LONGEST {
            return Err(SecretError::TooLong(path.to_owned()));
        }
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
    pub(super) fn tell(&self) -> &str {
        &self.0
    }
}

/// What must not be seen of what a device says.
#[derive(Clone, Debug, Default)]
pub(super) struct Hidden(Vec<Secret>);

impl Hidden {
    pub(super) fn add(&mut self, value: &str) {
        if !value.is_empty() {
            self.0.push(Secret(value.to_owned()));
            // As it stands in a URL.
            let encoded = percent_encoded(value);
            if encoded != value {
                self.0.push(Secret(encoded));
            }
        }
        // The longest first: one may be a part of another.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.0.len()));
    }

    /// The text without them.
    pub(super) fn blank(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(&secret.0, BLANK))
    }
}

fn percent_encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
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

    #[test]
    fn no_secret_is_left_in_a_text() {
        let mut hidden = Hidden::default();
        for secret in ["p&q", "p", ""] {
            hidden.add(secret);
        }
        assert_eq!(hidden.blank("url?a=p%26q -P p&q x"), "url?a=[secret] -P [secret] x");
        assert_eq!(format!("{hidden:?}"), "Hidden([[secret], [secret], [secret]])");
    }
}
