//! What an agent knows of the world at a moment, and what it says of what happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_edge::chain;

use super::config::Config;
use super::file::{Outcome, Snapshot};
use super::known::{Known, LearnError, Learned};
use super::status::{FileState, FileStatus, ServiceStatus, SourceState, SourceStatus, Status};
use super::watch::{Heard, Source, What};
use crate::knowledge::{CLOCK_TOLERANCE, Document, Envelope, Refusal, Stamp, write_file};
use crate::notify::{Message, Notifier};

/// The version of the status.
const VERSION: u32 = 1;
/// Where a document is from that was on the disk.
const KEPT: &str = "kept";

/// All that is known.
pub(super) struct Agent {
    config: Config,
    known: Known,
    sources: Vec<SourceStatus>,
    services: BTreeMap<String, ServiceStatus>,
    files: Vec<FileStatus>,
    notifier: Notifier,
    /// The last document that was to be handed on could not be.
    unpublished: bool,
}

impl Agent {
    pub(super) fn new(config: Config, known: Known, notifier: Notifier) -> Self {
        let now = Stamp::now();
        let mut sources = Vec::new();
        for url in &config.watch {
            sources.extend(config.services.iter().map(|service| SourceStatus {
                url: url.to_string(),
                service: service.clone(),
                state: SourceState::Trying,
                since: now,
                error: None,
                refused: None,
            }));
        }
        let followed = known.documents().map(|envelope| envelope.document());
        let followed = followed.filter(|it| config.services.contains(&it.service));
        let services = followed
            .map(|document| {
                let (document, from) = (document.clone(), KEPT.to_owned());
                let service = document.service.clone();
                (service, ServiceStatus { document, from, received: now, expired: false })
            })
            .collect();
        let waiting = |target| FileStatus {
            target,
            state: FileState::Waiting,
            at: now,
            error: None,
            failures: 0,
            tried: BTreeMap::new(),
        };
        let files = config.files.iter().map(|file| waiting(file.target.clone())).collect();
        Self { config, known, sources, services, files, notifier, unpublished: false }
    }

    /// What is listened to, each with its number.
    pub(super) fn sources(&self) -> Vec<Source> {
        let pairs = self.config.watch.iter().flat_map(|url| {
            self.config.services.iter().map(move |service| (url.clone(), service.clone()))
        });
        let source = |(number, (url, service))| {
            let (token, poll) = (self.config.token.clone(), self.config.poll);
            Source { number, url, service, token, poll }
        };
        pairs.enumerate().map(source).collect()
    }

    /// The documents that files are made of.
    pub(super) fn snapshot(&self) -> Snapshot {
        let followed = self.known.documents();
        let followed = followed.filter(|it| self.services.contains_key(&it.document().service));
        let pair = |it: &Arc<Envelope>| (it.document().service.clone(), it.clone());
        Arc::new(followed.map(pair).collect())
    }

    /// Hands on what is known, as the files of a web server that knows nothing of any of this. What
    /// can't be written is tried again with the next document, which comes within minutes.
    pub(super) fn publish(&mut self, envelope: &Envelope) {
        let Some(folder) = &self.config.publish else { return };
        let (written, service) = (write_file(envelope, folder), &envelope.document().service);
        let failed_before = std::mem::replace(&mut self.unpublished, written.is_err());
        if let Err(error) = written {
            let error = chain(&error);
            // Each story is told once.
            if failed_before {
                return;
            }
            tracing::error!(service, error, "a document is not published");
            let subject = format!("where {service} is could not be published");
            let message = Message::new("publish-failed", subject, error).with("service", service);
            self.notifier.send(&message);
        }
    }

    /// Hands on all that was known before.
    pub(super) fn publish_all(&mut self) {
        self.snapshot().values().for_each(|envelope| self.publish(envelope));
    }

    pub(super) fn into_notifier(self) -> Notifier {
        self.notifier
    }

    /// Whether files have to be looked at.
    pub(super) fn on_heard(&mut self, heard: Heard) -> bool {
        let Some(source) = self.sources.get_mut(heard.number) else { return false };
        match heard.what {
            What::State(state, error) => {
                on_state(source, state, error);
                false
            }
            What::Said(bytes) => match self.known.learn(&source.service, &bytes) {
                Ok(Learned::Nothing) => {
                    source.refused = None;
                    false
                }
                Ok(Learned::News { envelope, rolled }) => {
                    source.refused = None;
                    let from = source.url.clone();
                    self.publish(&envelope);
                    self.on_news(&envelope, from, rolled);
                    true
                }
                Err(LearnError::Refused(refusal)) => {
                    on_refused(source, &refusal);
                    false
                }
                Err(LearnError::Kept(error)) => {
                    let error = chain(&error);
                    tracing::error!(service = source.service, url = source.url, error, "not kept");
                    source.refused = Some(error);
                    false
                }
            },
        }
    }

    fn on_news(&mut self, envelope: &Envelope, from: String, rolled: bool) {
        let document = envelope.document();
        let service = document.service.clone();
        let before = self.services.get(&service).map(|it| &it.document);
        let moved = before.is_none_or(|before| place(before) != place(document));
        tracing::info!(
            service,
            state = %document.state,
            node = document.node,
            epoch = document.order.epoch,
            sequence = document.order.sequence,
            from,
            moved,
            "a document"
        );
        if rolled {
            let count = self.known.trust().keys().count();
            tracing::info!(from, count, "other keys are believed from now on");
        }
        if moved {
            self.notifier.send(&moved_message(document, &from));
        }
        let (document, received) = (document.clone(), Stamp::now());
        let status = ServiceStatus { document, from, received, expired: false };
        self.services.insert(service, status);
    }

    /// Looks at what has expired. Whether anything did just now.
    pub(super) fn on_time(&mut self) -> bool {
        let now = Stamp::now();
        let mut any = false;
        for (service, status) in &mut self.services {
            let over = status.document.valid_until.after(CLOCK_TOLERANCE) < now;
            if over && !status.expired {
                let until = status.document.valid_until.to_string();
                tracing::warn!(service, until, "what is known is expired; no server has news");
                let subject = format!("nobody says any more where {service} is");
                let text = format!(
                    "What is known of {service} was valid until {until}. Files stay as they are. \
                     Look whether the watched servers can be reached."
                );
                let message = Message::new("expired", subject, text).with("service", service);
                self.notifier.send(&message);
            }
            any |= over != status.expired;
            status.expired = over;
        }
        any
    }

    pub(super) fn on_outcome(&mut self, outcome: Outcome) {
        let Some(before) = self.files.get_mut(outcome.number) else { return };
        let (now, target) = (outcome.status, before.target.display().to_string());
        match &now.error {
            Some(error) => {
                let failures = now.failures;
                let state = now.state;
                tracing::error!(file = target, ?state, failures, error, "a file is not current");
                // Each story is told once: the attempts in between are in the status.
                if before.error.is_none() {
                    let subject = format!("{target} could not be brought up to date");
                    let message = Message::new("file-failed", subject, error.clone());
                    self.notifier.send(&message.with("file", target));
                }
            }
            None if outcome.changed => {
                tracing::info!(file = target, "a file is up to date");
                if before.error.is_some() {
                    let subject = format!("{target} is up to date again");
                    let message = Message::new("file-current", subject.clone(), subject);
                    self.notifier.send(&message.with("file", target));
                }
            }
            None => {}
        }
        *before = now;
    }

    pub(super) fn status(&self) -> Status {
        Status {
            version: VERSION,
            cluster: self.config.cluster.clone(),
            process: std::process::id(),
            at: Stamp::now(),
            trust: self.known.trust().keys().collect(),
            sources: self.sources.clone(),
            services: self.services.clone(),
            files: self.files.clone(),
            ways: self.notifier.state(),
        }
    }
}

/// What has to differ for a service to have moved.
pub(super) fn place(document: &Document) -> impl PartialEq + '_ {
    let Document { state, node, site, addresses, names, .. } = document;
    (*state, node, site, addresses, names)
}

fn moved_message(document: &Document, from: &str) -> Message {
    let (service, state) = (&document.service, document.state.to_string());
    let node = document.node.as_deref().unwrap_or("-");
    let subject = match &document.node {
        Some(node) => format!("{service} is {state} on {node}"),
        None => format!("{service} is {state}"),
    };
    let addresses: Vec<_> = document.addresses.iter().map(ToString::to_string).collect();
    let addresses = addresses.join(" ");
    let text = format!("{subject} ({addresses}), {}. Heard from {from}.", document.order);
    Message::new("moved", subject, text)
        .with("service", service)
        .with("state", state)
        .with("node", node)
        .with("addresses", addresses)
}

fn on_state(source: &mut SourceStatus, state: SourceState, error: Option<String>) {
    if source.state == state && source.error == error {
        return;
    }
    let (url, service) = (&source.url, &source.service);
    match &error {
        Some(error) => tracing::warn!(url, service, error, "a server is away"),
        None => tracing::info!(url, service, state = ?state, "a server is heard"),
    }
    if source.state != state {
        source.since = Stamp::now();
    }
    source.state = state;
    source.error = error;
}

fn on_refused(source: &mut SourceStatus, refusal: &Refusal) {
    let said = chain(refusal);
    if source.refused.as_ref() != Some(&said) {
        let (url, service) = (&source.url, &source.service);
        tracing::warn!(url, service, refused = said, "a document is not believed");
    }
    source.refused = Some(said);
}
