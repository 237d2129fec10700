//! What the server counts, and how Prometheus is shown it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base2histogram::Histogram;
use stead_core::quorum::ask::Question;
use stead_core::quorum::register::Refusal;

use super::admission::TurnedAway;
use super::wire::{Refused, ToServer};
use crate::metrics::family::families;
use crate::metrics::process;
use crate::metrics::text::Text;

families! {
    BUILD: Gauge "stead_quorum_server_build_info" ["version"]
        "Always 1; the version of the quorum server.";
    CLUSTERS: Gauge "stead_quorum_server_clusters" ["state"]
        "Clusters that are known: trusted, distrusted (nothing is granted yet) or revoked.";
    TOKENS: Gauge "stead_quorum_server_open_tokens" []
        "Tokens that can be used to enrol a cluster.";
    OPEN: Gauge "stead_quorum_server_connections" []
        "Connections that there are, those of strangers included.";
    ACCEPTED: Counter "stead_quorum_server_connections_total" []
        "Connections that said who they are.";
    TURNED_AWAY: Counter "stead_quorum_server_connections_refused_total" ["reason"]
        "Connections that were closed before they said who they are, by reason.";
    QUESTIONS: Counter "stead_quorum_server_questions_total" ["kind"]
        "Questions that were read, by kind.";
    GRANTS: Counter "stead_quorum_server_grants_total" []
        "Questions for a grant that were answered with one, repeated ones included.";
    REFUSALS: Counter "stead_quorum_server_refusals_total" ["reason"]
        "Questions that were refused, by reason.";
    COMMITS: Counter "stead_quorum_server_commits_total" []
        "Durable writes to the disk.";
    CHANGES: Counter "stead_quorum_server_changes_total" []
        "Changes that went into these writes.";
    WRITE_TIME: Counter "stead_quorum_server_commit_seconds_total" []
        "Time that durable writes took together.";
    WRITE_QUANTILE: Gauge "stead_quorum_server_commit_seconds" ["quantile"]
        "How long that part of all durable writes took at most; rounded down to a power of two.";
    CPU: Counter "stead_quorum_server_cpu_seconds_total" []
        "Processor time of the quorum server since it started.";
    RESIDENT: Gauge "stead_quorum_server_resident_memory_bytes" []
        "Memory of the quorum server that is in RAM.";
}

/// Why a connection never got to a question, beside [`TurnedAway`].
const CLOSED: [&str; 5] = ["gave-up", "gave-way", "garbage", "tls", "too-slow"];
const KINDS: [&str; 6] = ["ask", "enrol", "hear", "keep-alive", "take", "trust"];
const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.99, "0.99"), (0.999, "0.999")];

/// Counts by one word of a fixed list.
#[derive(Debug, Default)]
struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    fn of(words: &[&'static str]) -> Self {
        Self(Mutex::new(words.iter().map(|word| (*word, 0)).collect()))
    }

    fn count(&self, word: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += 1;
    }

    fn show(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Numbers {
    accepted: AtomicU64,
    turned_away: Counts,
    questions: Counts,
    grants: AtomicU64,
    refusals: Counts,
    changes: AtomicU64,
    writes: Mutex<(Histogram, Duration)>,
}

impl Default for Numbers {
    fn default() -> Self {
        let turned: Vec<_> = CLOSED.into_iter().chain(ALL_TURNED_AWAY.map(turned_away)).collect();
        let refused: Vec<_> = REFUSED.into_iter().chain(BY_REGISTER).collect();
        Self {
            accepted: AtomicU64::default(),
            turned_away: Counts::of(&turned),
            questions: Counts::of(&KINDS),
            grants: AtomicU64::default(),
            refusals: Counts::of(&refused),
            changes: AtomicU64::default(),
            writes: Mutex::default(),
        }
    }
}

/// The state of things that are looked at, not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stock {
    pub trusted: u64,
    pub distrusted: u64,
    pub revoked: u64,
    pub tokens: u64,
    pub connections: u64,
}

impl Numbers {
    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn turned_away(&self, why: TurnedAway) {
        self.turned_away.count(turned_away(why));
    }

    /// For one of the words that are no [`TurnedAway`].
    pub(super) fn closed(&self, why: &'static str) {
        debug_assert!(CLOSED.contains(&why), "{why}");
        self.turned_away.count(why);
    }

    pub(super) fn asked(&self, what: &ToServer) {
        self.questions.count(match what {
            ToServer::Enrol(_) => "enrol",
            ToServer::KeepAlive { .. } => "keep-alive",
            ToServer::Request(request) => match request.question {
                Question::Ask { .. } => "ask",
                Question::Hear { .. } => "hear",
                Question::Trust { .. } => "trust",
                Question::Take { .. } => "take",
            },
        });
    }

    pub(super) fn granted(&self) {
        self.grants.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, why: &Refused) {
        self.refusals.count(refused(why));
    }

    pub(super) fn refused_by_register(&self, why: &Refusal) {
        self.refusals.count(match why {
            Refusal::Taken(_) => "taken",
            Refusal::Stale => "stale",
            Refusal::Distrusted(_) => "distrusted",
            Refusal::NotAHalf => "not-a-half",
        });
    }

    /// A durable write of so many changes took so long.
    pub(super) fn written(&self, changes: usize, took: Duration) {
        self.changes.fetch_add(changes as u64, Ordering::Relaxed);
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.0.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        writes.1 = writes.1.saturating_add(took);
    }

    /// How many durable writes there were.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).0.total()
    }

    /// Everything, as text.
    pub(super) fn expose(&self, stock: Stock) -> String {
        let mut text = Text::default();
        text.count(&BUILD, &[env!("CARGO_PKG_VERSION")], 1);
        text.count(&CLUSTERS, &["trusted"], stock.trusted);
        text.count(&CLUSTERS, &["distrusted"], stock.distrusted);
        text.count(&CLUSTERS, &["revoked"], stock.revoked);
        text.count(&TOKENS, &[], stock.tokens);
        text.count(&OPEN, &[], stock.connections);
        text.count(&ACCEPTED, &[], self.accepted.load(Ordering::Relaxed));
        for (family, counts) in [
            (&TURNED_AWAY, &self.turned_away),
            (&QUESTIONS, &self.questions),
            (&REFUSALS, &self.refusals),
        ] {
            for (word, count) in counts.show() {
                text.count(family, &[word], count);
            }
        }
        text.count(&GRANTS, &[], self.grants.load(Ordering::Relaxed));
        text.count(&CHANGES, &[], self.changes.load(Ordering::Relaxed));
        let (writes, time) = self.writes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        text.count(&COMMITS, &[], writes.total());
        text.put(&WRITE_TIME, &[], time.as_secs_f64());
        for (part, name) in QUANTILES {
            let took = Duration::from_micros(writes.percentile(part));
            text.put(&WRITE_QUANTILE, &[name], took.as_secs_f64());
        }
        if let Some(usage) = process::usage(std::process::id()) {
            text.put(&CPU, &[], usage.cpu);
            text.count(&RESIDENT, &[], usage.resident);
        }
        text.finish(ALL)
    }
}

const ALL_TURNED_AWAY: [TurnedAway; 3] =
    [TurnedAway::Full, TurnedAway::AddressFull, TurnedAway::AddressFast];

fn turned_away(why: TurnedAway) -> &'static str {
    match why {
        TurnedAway::Full => "full",
        TurnedAway::AddressFull => "address-full",
        TurnedAway::AddressFast => "address-fast",
    }
}

/// What [`refused`] says.
const REFUSED: [&str; 13] = [
    "version",
    "unreadable",
    "unfit",
    "not-enrolled",
    "not-a-member",
    "revoked",
    "other-cluster",
    "too-fast",
    "token-unknown",
    "token-used",
    "token-expired",
    "token-revoked",
    "full",
];
const BY_REGISTER: [&str; 4] = ["taken", "stale", "distrusted", "not-a-half"];

fn refused(why: &Refused) -> &'static str {
    match why {
        Refused::Version(_) => "version",
        Refused::Unreadable => "unreadable",
        Refused::Unfit(_) => "unfit",
        Refused::NotEnrolled => "not-enrolled",
        Refused::NotAMember => "not-a-member",
        Refused::Revoked => "revoked",
        Refused::OtherCluster => "other-cluster",
        Refused::TooFast => "too-fast",
        Refused::TokenUnknown => "token-unknown",
        Refused::TokenUsed => "token-used",
        Refused::TokenExpired => "token-expired",
        Refused::TokenRevoked => "token-revoked",
        Refused::Full => "full",
    }
}
