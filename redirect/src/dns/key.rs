//! Keys that are shared with name servers.

use std::fmt;
use std::path::Path;

use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use stead_edge::private;

use super::{KeyError, Name};

/// How far two clocks may differ, in seconds: what RFC 8945 section 10 recommends.
const FUDGE: u16 = 300;

/// How messages are signed (RFC 8945 section 6); what was broken since is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Algorithm {
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    fn wire(self) -> TsigAlgorithm {
        match self {
            Self::HmacSha256 => TsigAlgorithm::HmacSha256,
            Self::HmacSha384 => TsigAlgorithm::HmacSha384,
            Self::HmacSha512 => TsigAlgorithm::HmacSha512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A secret that a name server knows as well.
#[derive(Clone)]
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    signer: TSigner,
}

impl Key {
    /// Reads what `tsig-keygen` wrote, from a file that nobody but its owner may read: root, or who
    /// we are.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes = private::read(path)?;
        let malformed = |what| KeyError::Malformed { path: path.to_owned(), what };
        Self::parse(&bytes).map_err(malformed)
    }

    /// `key "ha" { algorithm hmac-sha256; secret "base64"; };`
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = str::from_utf8(bytes).map_err(|_| "it is no text")?;
        let words = words(text)?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let ["key", name, "{", fields @ .., "}", ";"] = words.as_slice() else {
            return Err("it begins with key \"NAME\" { and ends with };");
        };
        let name = name.parse().map_err(|_| "the key's name is no name")?;
        let (mut algorithm, mut secret) = (None, None);
        for field in fields.chunks(3) {
            match field {
                ["algorithm", value, ";"] if algorithm.is_none() => algorithm = Some(*value),
                ["secret", value, ";"] if secret.is_none() => secret = Some(*value),
                _ => return Err("between { and } stand algorithm and secret, once each, with ;"),
            }
        }
        let algorithm = algorithm.ok_or("it names no algorithm")?;
        let mut known = Algorithm::ALL.into_iter();
        let algorithm = known
            .find(|it| it.name().eq_ignore_ascii_case(algorithm.trim_end_matches('.')))
            .ok_or("the algorithm is none of hmac-sha256, hmac-sha384 and hmac-sha512")?;
        let secret = secret.ok_or("it has no secret")?;
        let secret = data_encoding::BASE64.decode(secret.as_bytes());
        let secret = secret.map_err(|_| "the secret is no base64")?;
        Self::new(name, algorithm, secret)
    }

    fn new(name: Name, algorithm: Algorithm, secret: Vec<u8>) -> Result<Self, &'static str> {
        if secret.is_empty() {
            return Err("the secret is empty");
        }
        let signer = TSigner::new(secret, algorithm.wire(), name.wire().clone(), FUDGE);
        let signer = signer.map_err(|_| "the algorithm is not known here")?;
        Ok(Self { name, algorithm, signer })
    }

    /// By which the server knows it.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn signer(&self) -> &TSigner {
        &self.signer
    }
}

/// Without its secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {} [secret])", self.name, self.algorithm)
    }
}

/// The words of BIND's language: braces, semicolons, and what stands between, in quotes or not.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = |from: usize, end: &str| {
            let inside = rest.get(from..).unwrap_or_default();
            inside.split_once(end)
        };
        if rest.starts_with("/*") {
            rest = after(2, "*/").ok_or("a comment has no end")?.1;
        } else if rest.starts_with("//") || first == '#' {
            rest = after(1, "\n").map_or("", |(_, rest)| rest);
        } else if first == '"' {
            let (word, behind) = after(1, "\"").ok_or("a quoted word has no end")?;
            words.push(word.to_owned());
            rest = behind;
        } else if "{};".contains(first) {
            words.push(first.to_string());
            rest = rest.get(1..).unwrap_or_default();
        } else {
            let ends = |c: char| c.is_whitespace() || "{};\"".contains(c);
            let (word, behind) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            words.push(word.to_owned());
            rest = behind;
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use stead_edge::private::PrivateError;

    use super::*;

    const GOOD: &str = "key \"ha\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n";

    #[test]
    fn a_key_is_read_as_it_is_generated_and_as_people_write_it() {
        let written =
            "// ours\nkey ha. { /* { */ secret \"c2VjcmV0\"; # x\n algorithm HMAC-SHA256 ; };";
        for text in [GOOD, written] {
            let key = Key::parse(text.as_bytes()).unwrap();
            assert_eq!(
                (key.name.to_string().as_str(), key.algorithm),
                ("ha", Algorithm::HmacSha256)
            );
            assert_eq!(key.signer.key(), b"secret");
            assert_eq!(format!("{key:?}"), "Key(ha hmac-sha256 [secret])");
        }
        for (from, to, wanted) in [
            ("key", "kez", "it begins with key \"NAME\" { and ends with };"),
            ("\"ha\"", "\"h a\"", "the key's name is no name"),
            ("sha256", "md5", "the algorithm is none of hmac-sha256, hmac-sha384 and hmac-sha512"),
            ("c2VjcmV0", "c2VjcmV", "the secret is no base64"),
            ("c2VjcmV0", "", "the secret is empty"),
            ("0\"", "0", "a quoted word has no end"),
            ("algorithm hmac-sha256;", "", "it names no algorithm"),
            ("algorithm", "/*", "a comment has no end"),
            (
                "secret",
                "algorithm",
                "between { and } stand algorithm and secret, once each, with ;",
            ),
        ] {
            let text = GOOD.replace(from, to);
            assert_eq!(Key::parse(text.as_bytes()).map(|_| ()), Err(wanted), "{text}");
        }
    }

    #[test]
    fn a_key_is_in_a_file_that_nobody_else_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, GOOD).unwrap();
        let read = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Key::read(&path)
        };
        assert!(read(0o600).is_ok() && read(0o400).is_ok());
        for mode in [0o640, 0o604, 0o620] {
            let Err(KeyError::File(PrivateError::Exposed { mode: it, .. })) = read(mode) else {
                panic!("{mode:o} is refused");
            };
            assert_eq!(it, mode);
        }
        assert!(matches!(Key::read(folder.path()), Err(KeyError::File(PrivateError::NotAFile(_)))));
        let nowhere = folder.path().join("nowhere");
        assert!(matches!(Key::read(&nowhere), Err(KeyError::File(PrivateError::Unreadable(..)))));
        fs::write(&path, "x".repeat(4_097)).unwrap();
        assert!(matches!(read(0o600), Err(KeyError::File(PrivateError::TooLong(_)))));
        fs::write(&path, GOOD.replace("c2VjcmV0", "??")).unwrap();
        let text = read(0o600).unwrap_err().to_string();
        assert!(text.ends_with("the secret is no base64") && !text.contains("??"), "{text}");
    }
}
