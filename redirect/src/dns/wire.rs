//! Messages: what is asked, and whether an answer is one to it.
//!
//! Deliberately absent: sockets, so that any bytes can be tried on it.

use std::time::{SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{Record, TSigVerifier};

use super::{Fault, Key, Kind, Name};

/// The longest answer by UDP, in bytes: it passes every path in one piece (RFC 9715).
pub(super) const LONGEST_DATAGRAM: u16 = 1_232;

/// A message to a server, ready to be sent.
pub(super) struct Request {
    asked: Message,
    bytes: Vec<u8>,
    key: Option<(Key, TSigVerifier)>,
    signed_at: u64,
}

/// An answer that is not taken.
#[derive(Debug)]
pub(super) enum Unfit {
    /// To another question, or nobody's.
    Stray,
    /// To ours as it seems, but not to be believed.
    Wrong(Fault),
}

impl Request {
    /// What a name says. `recursive`: the server may ask others.
    pub(super) fn question(
        name: &Name,
        kind: Kind,
        recursive: bool,
        key: Option<&Key>,
    ) -> Result<Self, Fault> {
        let mut message = Message::query();
        message.metadata.recursion_desired = recursive;
        message.add_query(Query::query(name.wire().clone(), kind.wire()));
        let mut edns = Edns::new();
        edns.set_max_payload(LONGEST_DATAGRAM);
        message.set_edns(edns);
        Self::finish(message, key)
    }

    /// An update of a zone (RFC 2136 section 2).
    pub(super) fn change(
        zone: &Name,
        prerequisites: Vec<Record>,
        changes: Vec<Record>,
        key: &Key,
    ) -> Result<Self, Fault> {
        // As a query it gets a random number.
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.add_query(Query::query(zone.wire().clone(), Kind::Soa.wire()));
        message.answers = prerequisites;
        message.authorities = changes;
        Self::finish(message, Some(key))
    }

    fn finish(mut message: Message, key: Option<&Key>) -> Result<Self, Fault> {
        let unwritable = |error: hickory_proto::ProtoError| Fault::Unwritable(error.to_string());
        let signed_at = now();
        let mut signing = None;
        if let Some(key) = key {
            let verifier = message.finalize(key.signer(), signed_at).map_err(unwritable)?;
            signing = verifier.map(|verifier| (key.clone(), verifier));
        }
        let bytes = message.to_vec().map_err(unwritable)?;
        if bytes.len() > usize::from(u16::MAX) {
            return Err(Fault::Unwritable(format!("{} bytes", bytes.len())));
        }
        Ok(Self { asked: message, bytes, key: signing, signed_at })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_update(&self) -> bool {
        self.asked.metadata.op_code == OpCode::Update
    }

    /// Whether these bytes carry the number of this request.
    pub(super) fn is_answered_by(&self, bytes: &[u8]) -> bool {
        bytes.get(..2) == Some(self.asked.metadata.id.to_be_bytes().as_slice())
    }

    /// The answer in these bytes. To a signed request only a signed one counts, except for
    /// refusals: a server that does not know us can't sign them, and they claim nothing.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Message, Unfit> {
        if !self.is_answered_by(bytes) {
            return Err(Unfit::Stray);
        }
        // Before the signature is looked at: the library adds up numbers of records there that
        // nobody has compared with the length yet.
        let answer = Message::from_vec(bytes).map_err(|_| Unfit::Wrong(Fault::Garbled))?;
        let (ours, its) = (&self.asked.metadata, &answer.metadata);
        if its.message_type != MessageType::Response || its.op_code != ours.op_code {
            return Err(Unfit::Stray);
        }
        // An update's answer may leave it out (RFC 2136 section 3.8), and an error as well.
        let may_be_silent = self.is_update() || is_refusal(its.response_code);
        if !(answer.queries == self.asked.queries || answer.queries.is_empty() && may_be_silent) {
            return Err(Unfit::Stray);
        }
        self.verify(bytes, &answer).map_err(Unfit::Wrong)?;
        Ok(answer)
    }

    fn verify(&mut self, bytes: &[u8], answer: &Message) -> Result<(), Fault> {
        let Some((key, verifier)) = &mut self.key else { return Ok(()) };
        let Some(signature) = answer.signature() else {
            let refused = is_refusal(answer.metadata.response_code);
            return if refused { Ok(()) } else { Err(Fault::Unsigned) };
        };
        let name = key.name().clone();
        match signature.data.error {
            Some(TsigError::BadKey) => {
                let algorithm = key.algorithm().to_string();
                return Err(Fault::KeyUnknown { key: name, algorithm });
            }
            Some(TsigError::BadSig) => return Err(Fault::BadSignature { key: name }),
            Some(TsigError::BadTime | TsigError::BadTrunc | TsigError::Unknown(_)) | None => {}
        }
        // The library subtracts them.
        let sane = signature.data.time >= u64::from(signature.data.fudge);
        if !sane || verifier.verify(bytes).is_err() {
            return Err(Fault::AnswerSignature);
        }
        match signature.data.error {
            Some(TsigError::BadTime) => {
                let server = signature
                    .data
                    .other
                    .iter()
                    .fold(0, |sum: u64, byte| sum.wrapping_shl(8) | u64::from(*byte));
                Err(Fault::BadTime { server, ours: self.signed_at })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a code says that a server did not look at what was asked.
fn is_refusal(code: ResponseCode) -> bool {
    let answers = [
        ResponseCode::NoError,
        ResponseCode::NXDomain,
        ResponseCode::YXDomain,
        ResponseCode::YXRRSet,
        ResponseCode::NXRRSet,
    ];
    !answers.contains(&code)
}

/// What a refusal means; `None` if it is none.
pub(super) fn fault_of(answer: &Message, zone: &Name) -> Option<Fault> {
    let code = answer.metadata.response_code;
    if !is_refusal(code) {
        return None;
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the library, which may learn more")]
    Some(match code {
        ResponseCode::Refused => Fault::Refused,
        ResponseCode::NotAuth | ResponseCode::NotZone => {
            Fault::NotAuthoritative { zone: zone.clone() }
        }
        ResponseCode::NotImp => Fault::NotImplemented,
        _ => Fault::Failed { rcode: rcode(code) },
    })
}

/// As the registry of codes has it.
pub(super) fn rcode(code: ResponseCode) -> String {
    let known = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
        "NXRRSET", "NOTAUTH", "NOTZONE",
    ];
    let number = u16::from(code);
    known.get(usize::from(number)).map_or_else(|| format!("RCODE {number}"), ToString::to_string)
}

/// Seconds since 1970: signatures carry them.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}
