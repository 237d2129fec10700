//! Sealing heartbeats: who may speak, and that nobody else can.
//!
//! ```text
//! magic 4 | cluster 8 | to 8 | from 8 | incarnation 8 | salt 16 | sequence 8 | link 1 | sealed …
//! ```
//!
//! Everything before `sealed` is in the clear and authenticated. Each start of a guard has a key of
//! its own: HKDF-SHA-256 (RFC 5869) of the cluster's secret over sender, incarnation and a random
//! salt, for AES-256-GCM. The salt keeps keys apart even if a disk was restored and an incarnation
//! comes twice. The nonce is addressee, link and sequence number, so it never repeats under one key
//! although one number goes to several links.
//!
//! Replays are not refused here: the lease machine looks only at numbers newer than all before, and
//! believes that a sender lives only if it names a datagram of this very start.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use stead_core::id::{ClusterId, Incarnation, NodeId, Sequence};
use stead_core::lease::{Heartbeat, LinkId};

use crate::identity::SECRET_LENGTH;
use crate::tail;

/// The first bytes of every datagram; the last one is the format's version.
const MAGIC: [u8; 4] = *b"std\x01";
const HEADER: usize = 4 + 8 + 8 + 8 + 8 + 16 + 8 + 1;
/// The longest datagram that is looked at.
pub const LONGEST: usize = 512;

type SaltBytes = [u8; 16];

/// Why a datagram was not taken.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    thiserror::Error,
    serde::Serialize,
    serde::Deserialize,
)]
pub enum Rejected {
    /// It is none of ours.
    #[error("not a heartbeat of stead")]
    Foreign,
    /// Its format is of another version.
    #[error("a heartbeat of another version of stead")]
    Version,
    /// It belongs to another cluster.
    #[error("a heartbeat of another cluster")]
    OtherCluster,
    /// It is meant for another node.
    #[error("a heartbeat for another node")]
    OtherAddressee,
    /// Its sender is no member.
    #[error("a heartbeat of a node that is no member")]
    Stranger,
    /// Its seal does not open: wrong secret, or damaged.
    #[error("a heartbeat whose seal does not open (another secret?)")]
    Seal,
}

/// A key failed in a way that only a broken library can explain.
#[derive(Debug, thiserror::Error)]
#[error("the cryptographic library failed at {0}")]
pub struct SealError(&'static str);

/// Opens and seals for one start of a guard.
pub struct Sealer {
    cluster: [u8; 8],
    me: NodeId,
    incarnation: Incarnation,
    secret: [u8; SECRET_LENGTH],
    salt: SaltBytes,
    own: LessSafeKey,
    /// The key of each sender's newest start that opened something.
    keys: BTreeMap<NodeId, (Incarnation, SaltBytes, LessSafeKey)>,
}

impl Sealer {
    /// Makes the key of this start.
    ///
    /// # Errors
    /// The system has no randomness, or the library failed; nothing was sent.
    pub fn new(
        cluster: ClusterId,
        me: NodeId,
        incarnation: Incarnation,
        secret: [u8; SECRET_LENGTH],
    ) -> Result<Self, SealError> {
        let mut salt = SaltBytes::default();
        getrandom::fill(&mut salt).map_err(|_| SealError("drawing a salt"))?;
        let own = derive(&secret, me, incarnation, &salt)?;
        let mut tag = [0; 8];
        tag.copy_from_slice(&cluster.0[..8]);
        Ok(Self { cluster: tag, me, incarnation, secret, salt, own, keys: BTreeMap::new() })
    }

    /// Seals a heartbeat for one addressee on one link.
    ///
    /// # Errors
    /// The library failed; nothing was sent.
    pub fn seal(
        &self,
        to: NodeId,
        link: LinkId,
        heartbeat: &Heartbeat,
    ) -> Result<Vec<u8>, SealError> {
        let body = tail::append(heartbeat, Vec::new());
        let body = body.map_err(|_| SealError("encoding a heartbeat"))?;
        self.seal_bytes(to, link, heartbeat.sequence, body)
    }

    /// Seals whatever it is given; each sequence number may be used once for a link.
    pub(super) fn seal_bytes(
        &self,
        to: NodeId,
        link: LinkId,
        sequence: Sequence,
        mut body: Vec<u8>,
    ) -> Result<Vec<u8>, SealError> {
        let header = Header {
            cluster: self.cluster,
            to,
            from: self.me,
            incarnation: self.incarnation,
            salt: self.salt,
            sequence,
            link,
        };
        let mut bytes = header.encode();
        let nonce = header.nonce();
        self.own
            .seal_in_place_append_tag(nonce, Aad::from(&bytes[..]), &mut body)
            .map_err(|_| SealError("sealing a heartbeat"))?;
        bytes.extend(body);
        Ok(bytes)
    }

    /// Opens a datagram.
    ///
    /// # Errors
    /// Says why it is none that counts. Nothing was changed.
    pub fn open(&mut self, bytes: &[u8]) -> Result<(LinkId, Heartbeat), Rejected> {
        let header = Header::decode(bytes)?;
        if header.cluster != self.cluster {
            return Err(Rejected::OtherCluster);
        }
        if header.to != self.me || header.from == self.me {
            return Err(Rejected::OtherAddressee);
        }
        let mut body = bytes[HEADER..].to_vec();
        let aad = Aad::from(&bytes[..HEADER]);
        let known = self.keys.get(&header.from);
        let known = known.filter(|(of, salt, _)| (*of, *salt) == (header.incarnation, header.salt));
        let opened = if let Some((_, _, key)) = known {
            key.open_in_place(header.nonce(), aad, &mut body).map_err(|_| Rejected::Seal)?
        } else {
            let key = derive(&self.secret, header.from, header.incarnation, &header.salt)
                .map_err(|_| Rejected::Seal)?;
            let opened =
                key.open_in_place(header.nonce(), aad, &mut body).map_err(|_| Rejected::Seal)?;
            self.keys.insert(header.from, (header.incarnation, header.salt, key));
            opened
        };
        let heartbeat: Heartbeat = tail::read(opened).map_err(|_| Rejected::Version)?;
        let named = (heartbeat.from, heartbeat.incarnation, heartbeat.sequence);
        if named != (header.from, header.incarnation, header.sequence) {
            return Err(Rejected::Seal);
        }
        Ok((header.link, heartbeat))
    }
}

/// The key of one start of a node's guard.
fn derive(
    secret: &[u8; SECRET_LENGTH],
    node: NodeId,
    incarnation: Incarnation,
    salt: &SaltBytes,
) -> Result<LessSafeKey, SealError> {
    let node = node.0.to_be_bytes();
    let incarnation = incarnation.0.to_be_bytes();
    let info: [&[u8]; 3] = [b"stead heartbeat 1", &node, &incarnation];
    let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(secret);
    let okm = pseudorandom.expand(&info, &AES_256_GCM).map_err(|_| SealError("deriving a key"))?;
    Ok(LessSafeKey::new(UnboundKey::from(okm)))
}

struct Header {
    cluster: [u8; 8],
    to: NodeId,
    from: NodeId,
    incarnation: Incarnation,
    salt: SaltBytes,
    sequence: Sequence,
    link: LinkId,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LONGEST);
        bytes.extend(MAGIC);
        bytes.extend(self.cluster);
        bytes.extend(self.to.0.to_be_bytes());
        bytes.extend(self.from.0.to_be_bytes());
        bytes.extend(self.incarnation.0.to_be_bytes());
        bytes.extend(self.salt);
        bytes.extend(self.sequence.0.to_be_bytes());
        bytes.push(self.link);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        if bytes.len() < HEADER || bytes.len() > LONGEST || bytes[..3] != MAGIC[..3] {
            return Err(Rejected::Foreign);
        }
        if bytes[3] != MAGIC[3] {
            return Err(Rejected::Version);
        }
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            word
        };
        let mut salt = SaltBytes::default();
        salt.copy_from_slice(&bytes[36..52]);
        Ok(Self {
            cluster: word(4),
            to: NodeId(u64::from_be_bytes(word(12))),
            from: NodeId(u64::from_be_bytes(word(20))),
            incarnation: Incarnation(u64::from_be_bytes(word(28))),
            salt,
            sequence: Sequence(u64::from_be_bytes(word(52))),
            link: bytes[60],
        })
    }

    /// Addressee (its low 24 bits), link, sequence number. Node numbers are given one by one, so
    /// they never reach that size; [`Sealer::seal`]'s caller sends to members only.
    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..3].copy_from_slice(&self.to.0.to_be_bytes()[5..]);
        nonce[3] = self.link;
        nonce[4..].copy_from_slice(&self.sequence.0.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_core::id::Term;
    use stead_core::lease::LogTail;
    use stead_core::time::Span;

    fn sealer(cluster: u8, me: u64, secret: u8) -> Sealer {
        let secret = [secret; SECRET_LENGTH];
        Sealer::new(ClusterId([cluster; 16]), NodeId(me), Incarnation(7), secret).unwrap()
    }

    fn heartbeat(from: u64, sequence: u64) -> Heartbeat {
        Heartbeat {
            from: NodeId(from),
            incarnation: Incarnation(7),
            sequence: Sequence(sequence),
            term: Term(3),
            coordinator: true,
            released: false,
            daemon_alive: true,
            hears_coordinator: true,
            slack: Span::from_millis(10),
            log_tail: LogTail::default(),
            receipt: None,
            echo: None,
            earlier_coordinator: Span::from_millis(5),
            more: Default::default(),
            later: Default::default(),
        }
    }

    #[test]
    fn what_a_member_sealed_opens_for_its_addressee_only() {
        let (one, mut two, mut three) = (sealer(1, 1, 9), sealer(1, 2, 9), sealer(1, 3, 9));
        let sent = heartbeat(1, 5);
        let bytes = one.seal(NodeId(2), 1, &sent).unwrap();
        assert!(bytes.len() <= LONGEST);
        assert_eq!(two.open(&bytes), Ok((1, sent)));
        assert_eq!(two.open(&bytes), Ok((1, sent)), "the cached key opens as well");
        assert_eq!(three.open(&bytes), Err(Rejected::OtherAddressee));
        assert_eq!(sealer(1, 2, 8).open(&bytes), Err(Rejected::Seal));
        assert_eq!(sealer(2, 2, 9).open(&bytes), Err(Rejected::OtherCluster));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let (one, mut two) = (sealer(1, 1, 9), sealer(1, 2, 9));
        let bytes = one.seal(NodeId(2), 0, &heartbeat(1, 5)).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(two.open(&damaged).is_err(), "byte {at}");
        }
        for length in 0..bytes.len() {
            assert!(two.open(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_forged_name_does_not_open() {
        let (one, mut two) = (sealer(1, 1, 9), sealer(1, 2, 9));
        let bytes = one.seal(NodeId(2), 0, &heartbeat(3, 5)).unwrap();
        assert_eq!(two.open(&bytes), Err(Rejected::Seal));
    }
}
