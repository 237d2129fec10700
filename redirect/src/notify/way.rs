//! The ways that messages go, as they stand in a file.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use serde::Deserialize;
use stead_edge::http::Url;
use thiserror::Error;

use super::mail::{self, Mail, MailError};
use super::message::Message;
use super::program;
use super::webhook::{self, Webhook, WebhookError};
use crate::lasting::Lasting;
use crate::program::{Command, RunError};

/// How long an attempt may take, if nothing else is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(30);

/// One way that a message may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A program is run.
    Program(Command),
    /// It is posted.
    Webhook(Webhook),
    /// It is written to somebody.
    Mail(Mail),
}

/// A way and what goes it. In a file it is a table `[[notify]]`:
///
/// ```toml
/// [[notify]]
/// name = "chat"
/// kinds = ["moved", "file-failed"]                       # all, if it is left out
/// timeout = "10s"                                        # of one attempt
/// webhook = "http://10.0.0.9:8080/stead"                 # or program = ["/usr/local/bin/tell"]
/// secret = "/etc/stead/chat.secret"                      # value of `header` (Authorization)
///
/// [[notify]]
/// mail = { server = "10.0.0.25", from = "stead@example.com", to = ["ops@example.com"] }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct WaySettings {
    /// What it is called in events; its kind, if it has no name.
    pub name: String,
    /// The kinds of messages that go it. All, if it is empty.
    pub kinds: Vec<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The way itself.
    pub way: Way,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    name: Option<String>,
    #[serde(default)]
    kinds: Vec<String>,
    timeout: Option<Lasting>,
    program: Option<Command>,
    webhook: Option<Url>,
    header: Option<String>,
    secret: Option<PathBuf>,
    mail: Option<Mail>,
}

/// A table that is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WayError {
    /// It has none, or several.
    #[error("it needs one of `program`, `webhook` and `mail`")]
    One,
    /// Only a webhook has these.
    #[error("only a webhook has a `header` and a `secret` beside it; a mail's stand in its table")]
    Secret,
    /// A header without a value.
    #[error("`header` needs the file with its value: `secret`")]
    NoSecret,
    /// It can't be the name of a header.
    #[error("`header` is none of HTTP")]
    Header,
    /// Something about the mail.
    #[error("{0}")]
    Mail(&'static str),
}

impl TryFrom<Table> for WaySettings {
    type Error = WayError;

    fn try_from(table: Table) -> Result<Self, WayError> {
        if table.webhook.is_none() && (table.header.is_some() || table.secret.is_some()) {
            return Err(WayError::Secret);
        }
        let (kind, way) = match (table.program, table.webhook, table.mail) {
            (Some(command), None, None) => ("program", Way::Program(command)),
            (None, Some(url), None) => {
                let header = table.header.map(|name| name.parse::<HeaderName>()).transpose();
                let header = header.map_err(|_| WayError::Header)?;
                let secret = match (header, table.secret) {
                    (Some(_), None) => return Err(WayError::NoSecret),
                    (header, Some(file)) => Some((header.unwrap_or(Webhook::HEADER), file)),
                    (None, None) => None,
                };
                ("webhook", Way::Webhook(Webhook { url, secret }))
            }
            (None, None, Some(mail)) => match mail.refusal() {
                Some(wrong) => return Err(WayError::Mail(wrong)),
                None => ("mail", Way::Mail(mail)),
            },
            _ => return Err(WayError::One),
        };
        Ok(Self {
            name: table.name.unwrap_or_else(|| kind.to_owned()),
            kinds: table.kinds,
            timeout: table.timeout.map_or(USUAL_TIMEOUT, |it| it.0),
            way,
        })
    }
}

/// A message did not go its way. What its receiver knows of it, the cause says.
#[derive(Debug, Error)]
pub enum NotifyError {
    /// The program.
    #[error(transparent)]
    Program(#[from] RunError),
    /// The webhook.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The mail.
    #[error(transparent)]
    Mail(#[from] MailError),
}

impl WaySettings {
    /// Whether messages of that kind go it.
    pub(super) fn takes(&self, message: &Message) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&message.kind)
    }

    /// Tells it once, now.
    ///
    /// # Errors
    /// See [`NotifyError`].
    pub async fn tell(&self, message: &Message) -> Result<(), NotifyError> {
        match &self.way {
            Way::Program(command) => program::tell(command, message, self.timeout).await?,
            Way::Webhook(webhook) => webhook::tell(webhook, message, self.timeout).await?,
            Way::Mail(mail) => mail::tell(mail, message, self.timeout).await?,
        }
        Ok(())
    }
}
