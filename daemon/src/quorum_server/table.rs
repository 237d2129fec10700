//! All clusters and tokens in memory, and every rule about who is answered.
//!
//! No disk, clock, socket or chance in here. Each change comes back as a [`Write`], and each answer
//! with the number of the last write that it rests on: it may leave when that is on the disk.

use std::collections::{BTreeMap, HashMap};

use stead_core::id::ClusterId;
use stead_core::quorum::ask::Answer;
use stead_core::quorum::register::{Challenge, Register};
use stead_core::state::Digest;
use stead_log::transport::KeyHash;

use super::limits::{CLUSTERS, SPENT, TOKENS};
use super::record::{Cause, Moment, Record, Seen, TokenRecord, TokenState};
use super::wire::{Enrol, Refused, Request, Unfit};
use crate::api::token::digest_of;

/// The number of a write, counted from 1 since the start.
pub type Written = u64;

/// Something to be put on the disk; nothing where it shall be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A cluster.
    Cluster(ClusterId, Option<Box<Record>>),
    /// When a cluster was heard.
    Seen(ClusterId, Option<Seen>),
    /// A token.
    Token(Digest, Option<TokenRecord>),
}

/// A cluster in memory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is on the disk, or on its way there.
    pub record: Record,
    /// What is noted now and then.
    pub seen: Seen,
    /// That note is older than [`Entry::seen`], and it waits to be made anew.
    unnoted: bool,
    /// The last write of the record.
    written: Written,
}

/// What a request came to.
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub answer: Result<Answer, Refused>,
    /// It leaves when this is on the disk.
    pub after: Written,
    /// The list of members is another now: who is not on it has to go.
    pub members: Option<Vec<KeyHash>>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Table {
    clusters: HashMap<ClusterId, Entry>,
    tokens: BTreeMap<Digest, TokenRecord>,
    /// Those whose note is old, each once.
    unnoted: Vec<ClusterId>,
    writes: Vec<Write>,
    written: Written,
}

/// What an operator asked for can't be done; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// There is no such cluster.
    #[error("this server knows no such cluster")]
    NoCluster,
    /// There is no such token.
    #[error("this server has no such open token")]
    NoToken,
    /// It is revoked already.
    #[error("it is revoked already")]
    Already,
    /// There are too many open tokens.
    #[error("there are {TOKENS} open tokens already")]
    TooManyTokens,
}

impl Table {
    /// What was on the disk.
    #[must_use]
    pub fn new(
        clusters: impl IntoIterator<Item = (ClusterId, Record, Seen)>,
        tokens: impl IntoIterator<Item = (Digest, TokenRecord)>,
    ) -> Self {
        let entry = |(id, record, seen)| (id, Entry { record, seen, unnoted: false, written: 0 });
        Self {
            clusters: clusters.into_iter().map(entry).collect(),
            tokens: tokens.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The clusters, in no order.
    pub fn clusters(&self) -> impl Iterator<Item = (&ClusterId, &Entry)> {
        self.clusters.iter()
    }

    /// The tokens, by digest.
    pub fn tokens(&self) -> impl Iterator<Item = (&Digest, &TokenRecord)> {
        self.tokens.iter()
    }

    /// What is to be written, in order, and the number of its last.
    pub fn take_writes(&mut self) -> (Vec<Write>, Written) {
        (std::mem::take(&mut self.writes), self.written)
    }

    /// The number of the last write.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written
    }

    fn write(&mut self, write: Write) -> Written {
        self.writes.push(write);
        self.written += 1;
        self.written
    }

    fn keep(&mut self, id: ClusterId, entry: Entry) -> Written {
        let written = self.write(Write::Cluster(id, Some(Box::new(entry.record.clone()))));
        self.clusters.insert(id, Entry { written, ..entry });
        written
    }

    /// A member's cluster; the reason why not, if it is none.
    fn member(&self, id: ClusterId, key: KeyHash) -> Result<&Entry, Refused> {
        let entry = self.clusters.get(&id).ok_or(Refused::NotEnrolled)?;
        if !entry.record.members.keys.contains(&key) {
            return Err(Refused::NotAMember);
        }
        if entry.record.revoked { Err(Refused::Revoked) } else { Ok(entry) }
    }

    fn refused(&self, refused: Refused) -> Outcome {
        // It rests on what may not be written yet, such as a revocation.
        Outcome { answer: Err(refused), after: self.written, members: None }
    }

    /// Where the register stands.
    pub fn look(&mut self, id: ClusterId, key: KeyHash, now: Moment) -> Outcome {
        let (standing, after) = match self.member(id, key) {
            Ok(entry) => (entry.record.register.standing(), entry.written),
            Err(refused) => return self.refused(refused),
        };
        self.saw(id, now, None);
        Outcome { answer: Ok(Answer { standing, grant: None }), after, members: None }
    }

    /// Puts a member's question to its cluster's register.
    pub fn ask(
        &mut self,
        key: KeyHash,
        request: &Request,
        now: Moment,
        challenge: Challenge,
    ) -> Outcome {
        let id = request.cluster;
        let mut entry = match self.member(id, key) {
            Ok(entry) => entry.clone(),
            Err(refused) => return self.refused(refused),
        };
        let before = entry.record.clone();
        let record = &mut entry.record;
        if let Some(members) = &request.members
            && members.at >= record.members.at
        {
            if !members.keys.contains(&key) {
                return self.refused(Refused::Unfit(Unfit::WithoutSender));
            }
            record.members = members.clone();
        }
        let answer = record.register.answer(&request.question, challenge);
        if before.register.distrusted().is_none() && record.register.distrusted().is_some() {
            record.cause = Cause::Behind;
        }
        let other = before.members.keys != record.members.keys;
        let members = other.then(|| record.members.keys.clone());
        let after = if *record == before { entry.written } else { self.keep(id, entry) };
        self.saw(id, now, answer.grant.as_ref().map(Result::is_ok));
        Outcome { answer: Ok(answer), after, members }
    }

    /// Notes in memory that a cluster was heard, and what became of its question for a grant.
    fn saw(&mut self, id: ClusterId, now: Moment, granted: Option<bool>) {
        let Some(entry) = self.clusters.get_mut(&id) else { return };
        let seen = &mut entry.seen;
        seen.last = Some(now);
        match granted {
            Some(true) => seen.granted = seen.granted.saturating_add(1),
            Some(false) => seen.refused = seen.refused.saturating_add(1),
            None => {}
        }
        if !std::mem::replace(&mut entry.unnoted, true) {
            self.unnoted.push(id);
        }
    }

    /// Takes a cluster in, or once more, on a token.
    pub fn enrol(
        &mut self,
        key: KeyHash,
        wish: &Enrol,
        now: Moment,
        challenge: Challenge,
    ) -> Outcome {
        let digest = digest_of(&wish.secret);
        let token = match self.usable(&digest, now) {
            Ok(token) => token,
            Err(refused) => return self.refused(refused),
        };
        if !wish.members.keys.contains(&key) {
            return self.refused(Refused::Unfit(Unfit::WithoutSender));
        }
        let known = self.clusters.get(&wish.cluster).cloned();
        if known.as_ref().is_some_and(|known| known.record.revoked) {
            return self.refused(Refused::Revoked);
        }
        if known.is_none() && self.clusters.len() >= CLUSTERS {
            return self.refused(Refused::Full);
        }
        let name = token.name.clone().unwrap_or_else(|| wish.name.clone());
        let mut entry = known.unwrap_or_else(|| Entry {
            record: Record {
                name: String::new(),
                members: wish.members.clone(),
                register: Register::new(challenge),
                revoked: false,
                enrolled: now,
                cause: Cause::Enrolled,
            },
            seen: Seen::default(),
            unnoted: false,
            written: 0,
        });
        let record = &mut entry.record;
        if record.register.distrusted() != Some(challenge) {
            record.register.distrust_anew(challenge);
            record.cause = Cause::EnrolledAgain;
        }
        (record.name, record.members, record.enrolled) = (name, wish.members.clone(), now);
        let (standing, members) = (record.register.standing(), record.members.keys.clone());
        self.put_token(digest, TokenRecord { state: TokenState::Used, ..token });
        let after = self.keep(wish.cluster, entry);
        self.saw(wish.cluster, now, None);
        let answer = Ok(Answer { standing, grant: None });
        Outcome { answer, after, members: Some(members) }
    }

    /// The token with that digest, if it can be used now.
    fn usable(&self, digest: &Digest, now: Moment) -> Result<TokenRecord, Refused> {
        let token = self.tokens.get(digest).ok_or(Refused::TokenUnknown)?;
        match token.state {
            TokenState::Used => Err(Refused::TokenUsed),
            TokenState::Revoked => Err(Refused::TokenRevoked),
            TokenState::Open if token.expires <= now => Err(Refused::TokenExpired),
            TokenState::Open => Ok(token.clone()),
        }
    }

    fn put_token(&mut self, digest: Digest, token: TokenRecord) -> Written {
        self.tokens.insert(digest, token.clone());
        self.write(Write::Token(digest, Some(token)))
    }

    /// Lets one cluster in that shows the secret with that digest.
    ///
    /// # Errors
    /// There are too many open ones.
    pub fn invite(
        &mut self,
        digest: Digest,
        name: Option<String>,
        expires: Moment,
        now: Moment,
    ) -> Result<Written, NotDone> {
        let spent = |token: &TokenRecord| token.state != TokenState::Open || token.expires <= now;
        let crowded = self.tokens.len() >= TOKENS;
        let gone = |token: &TokenRecord| spent(token) && token.expires.after(SPENT) <= now;
        let forgotten = self.tokens.iter().filter(|(_, it)| gone(it) || crowded && spent(it));
        let forgotten: Vec<Digest> = forgotten.map(|(digest, _)| *digest).collect();
        for digest in forgotten {
            self.tokens.remove(&digest);
            self.write(Write::Token(digest, None));
        }
        if self.tokens.len() >= TOKENS {
            return Err(NotDone::TooManyTokens);
        }
        Ok(self.put_token(digest, TokenRecord { name, expires, state: TokenState::Open }))
    }

    /// Takes an open token back.
    ///
    /// # Errors
    /// It is none.
    pub fn revoke_token(&mut self, digest: Digest) -> Result<Written, NotDone> {
        let token = self.tokens.get(&digest).filter(|it| it.state == TokenState::Open);
        let token = token.cloned().ok_or(NotDone::NoToken)?;
        Ok(self.put_token(digest, TokenRecord { state: TokenState::Revoked, ..token }))
    }

    /// Answers a cluster no more.
    ///
    /// # Errors
    /// It is not known, or revoked already.
    pub fn revoke(&mut self, id: ClusterId) -> Result<Written, NotDone> {
        let mut entry = self.clusters.get(&id).cloned().ok_or(NotDone::NoCluster)?;
        if std::mem::replace(&mut entry.record.revoked, true) {
            return Err(NotDone::Already);
        }
        Ok(self.keep(id, entry))
    }

    /// Removes a cluster with its register.
    ///
    /// # Errors
    /// It is not known.
    pub fn forget(&mut self, id: ClusterId) -> Result<Written, NotDone> {
        self.clusters.remove(&id).ok_or(NotDone::NoCluster)?;
        self.write(Write::Cluster(id, None));
        Ok(self.write(Write::Seen(id, None)))
    }

    /// Has noted down when clusters were heard, as far as that is news, of so many at most. Returns
    /// the last write.
    pub fn note_seen(&mut self, most: usize) -> Written {
        let rest = self.unnoted.len().saturating_sub(most);
        for id in self.unnoted.split_off(rest) {
            // One that was forgotten since is nothing to note.
            let Some(entry) = self.clusters.get_mut(&id) else { continue };
            entry.unnoted = false;
            let note = Write::Seen(id, Some(entry.seen));
            self.write(note);
        }
        self.written
    }

    /// One cluster.
    #[must_use]
    pub fn get(&self, id: ClusterId) -> Option<&Entry> {
        self.clusters.get(&id)
    }
}
