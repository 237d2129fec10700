//! A node's key: made once, kept in one file, known to the others by its hash.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The SHA-256 of a public key, as it stands in a certificate (its SubjectPublicKeyInfo, RFC 5280
/// section 4.1.2.7, in DER). Trust between members is this and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of the key in a certificate, or `None` if that can't be read.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            certificate.tbs_certificate.subject_pki.raw,
        );
        digest.as_ref().try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not the 64 hexadecimal digits of a key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a key's hash: 64 hexadecimal digits are expected")]
pub struct NotAKeyHash;

impl FromStr for KeyHash {
    type Err = NotAKeyHash;

    fn from_str(text: &str) -> Result<Self, NotAKeyHash> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAKeyHash);
        }
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NotAKeyHash)?;
        }
        Ok(Self(hash))
    }
}

/// A node's key with a certificate over it, ready for use.
#[derive(Clone)]
pub struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    hash: KeyHash,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.hash)
    }
}

/// The key could not be made or read. Nothing was changed, unless it says so.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// There is a key already; it was left alone.
    #[error("{} exists already: it is this node's identity", .0.display())]
    Exists(PathBuf),
    /// The key can be read by others than its owner.
    #[error(
        "{} may be read by others (mode {mode:o}): chmod 600, or make a new identity",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file can't be used.
    #[error("can't use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file's contents are no key, or no certificate can be made for it.
    #[error("no usable key: {0}")]
    Unusable(String),
}

const KEY_FILE: &str = "node.key";
/// A key is a few hundred bytes.
const KEY_FILE_BYTES: u64 = 64 << 10;

fn unusable(error: impl fmt::Display) -> IdentityError {
    IdentityError::Unusable(error.to_string())
}

impl Identity {
    /// The file of a key in that folder.
    #[must_use]
    pub fn file(dir: &Path) -> PathBuf {
        dir.join(KEY_FILE)
    }

    /// Makes a key and keeps it in `dir`, in a file that only its owner can read.
    ///
    /// # Errors
    /// There is one already, or the directory can't be written.
    pub fn generate(dir: &Path) -> Result<Self, IdentityError> {
        let path = Self::file(dir);
        let file = |source| IdentityError::File { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(file)?;
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(unusable)?;
        // Whole or not at all: written aside, then linked to its name, which fails if that exists.
        let aside = dir.join(format!("{KEY_FILE}.{}", std::process::id()));
        let written = write_secret(&aside, key.serialize_pem().as_bytes())
            .and_then(|()| fs::hard_link(&aside, &path))
            .and_then(|()| File::open(dir)?.sync_all());
        // What is left aside is of no use; if it can't be removed, the next attempt replaces it.
        drop(fs::remove_file(&aside));
        match written {
            Ok(()) => Self::from_key(&key),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(IdentityError::Exists(path))
            }
            Err(error) => Err(file(error)),
        }
    }

    /// Reads the key that [`Identity::generate`] made in `dir`.
    ///
    /// # Errors
    /// There is none, others may read it, or it is damaged.
    pub fn load(dir: &Path) -> Result<Self, IdentityError> {
        let path = Self::file(dir);
        let file = |source| IdentityError::File { path: path.clone(), source };
        let opened = File::open(&path).map_err(file)?;
        let mode = opened.metadata().map_err(file)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path, mode });
        }
        let mut pem = String::new();
        opened.take(KEY_FILE_BYTES).read_to_string(&mut pem).map_err(file)?;
        Self::from_key(&rcgen::KeyPair::from_pem(&pem).map_err(unusable)?)
    }

    /// A certificate made elsewhere, in DER, with its key in PKCS #8 DER. Its dates and names are
    /// for others to look at.
    ///
    /// # Errors
    /// The key can't be used, or is not the certificate's.
    pub fn with_certificate(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, IdentityError> {
        let hash = KeyHash::of_certificate(&certificate)
            .ok_or_else(|| IdentityError::Unusable("the certificate can't be read".into()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let chain = vec![CertificateDer::from(certificate)];
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(unusable)?;
        Ok(Self { certified: Arc::new(certified), hash })
    }

    /// The certificate is made anew at each start: nothing about it is ever looked at but its key.
    fn from_key(key: &rcgen::KeyPair) -> Result<Self, IdentityError> {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "stead node");
        let certificate = parameters.self_signed(key).map_err(unusable)?;
        Self::with_certificate(certificate.der().to_vec(), key.serialize_der())
    }

    /// The key itself, to sign what others shall believe by it.
    #[must_use]
    pub fn signer(&self) -> Arc<dyn rustls::sign::SigningKey> {
        self.certified.key.clone()
    }

    /// What the others know this node by.
    #[must_use]
    pub fn key(&self) -> KeyHash {
        self.hash
    }
}

fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}
