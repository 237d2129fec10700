//! A mail to people.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use serde::Deserialize;
use stead_edge::private::{Secret, SecretError};
use thiserror::Error;
use tokio::time::timeout;

use super::message::Message;

/// The port between mail servers (RFC 5321), and those at which mail is handed in (RFC 6409, 8314).
const PORTS: [(Tls, u16); 3] = [(Tls::None, 25), (Tls::Starttls, 587), (Tls::Tls, 465)];
/// The longest file of certificates, in bytes.
const AUTHORITY: u64 = 1024 * 1024;
/// Receivers of one mail.
const RECEIVERS: usize = 100;

/// How a conversation with a mail server is kept from others. There is no "if possible": who is in
/// between could say that it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Not at all: for a server on this machine or next to it.
    None,
    /// From the second line on (RFC 3207).
    #[default]
    Starttls,
    /// From the first byte on (RFC 8314).
    Tls,
}

/// To whom, and through which server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mail {
    /// The mail server: its address, or a name that is looked up at each attempt.
    pub server: String,
    /// Its port, if not the usual one.
    pub port: Option<u16>,
    /// Who writes.
    pub from: Mailbox,
    /// Who is written to.
    pub to: Vec<Mailbox>,
    /// How it is kept from others.
    #[serde(default)]
    pub tls: Tls,
    /// The name that the server's certificate is for, if that is not `server`.
    pub certificate: Option<String>,
    /// A file with the certificates that are believed (PEM), beside those of this machine.
    pub authority: Option<PathBuf>,
    /// The user that we are to the server.
    pub user: Option<String>,
    /// The file with that user's password.
    pub secret: Option<PathBuf>,
}

/// A mail was not handed over, or nobody said that it was.
#[derive(Debug, Error)]
pub enum MailError {
    /// There is no password; nothing was sent.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The certificates can't be read; nothing was sent.
    #[error("can't read certificates in {}; nothing was sent", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// TLS can't be prepared; nothing was sent.
    #[error("TLS can't be prepared; nothing was sent")]
    Tls(#[source] smtp::Error),
    /// It can't be written as a mail; nothing was sent.
    #[error("it can't be written as a mail; nothing was sent")]
    Form(#[source] lettre::error::Error),
    /// The server can't be reached, or refuses.
    #[error("the mail server at {at} did not take it")]
    Server {
        /// The server and its port.
        at: String,
        /// Why not.
        #[source]
        source: smtp::Error,
    },
    /// It took too long.
    #[error("the mail server at {at} took longer than {within:?}; it may have taken it")]
    Late {
        /// The server and its port.
        at: String,
        /// How long it had.
        within: Duration,
    },
}

impl Mail {
    /// What is wrong with it, if anything is.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        if self.to.is_empty() || self.to.len() > RECEIVERS {
            return Some("`to` names nobody, or more than a hundred");
        }
        if self.user.is_some() != self.secret.is_some() {
            return Some("`user` and `secret` (the file with the password) go together");
        }
        // A password in clear is everybody's.
        (self.tls == Tls::None && self.user.is_some())
            .then_some("`user` needs tls = \"starttls\" or \"tls\"")
    }

    fn port(&self) -> u16 {
        let usual = PORTS.into_iter().find(|(tls, _)| *tls == self.tls).map(|(_, port)| port);
        self.port.or(usual).unwrap_or(25)
    }

    fn parameters(&self) -> Result<TlsParameters, MailError> {
        let name = self.certificate.clone().unwrap_or_else(|| self.server.clone());
        let mut builder = TlsParameters::builder(name);
        if let Some(path) = &self.authority {
            let failed = |source| MailError::Authority { path: path.clone(), source };
            let length = fs::metadata(path).map_err(failed)?.len();
            if length > AUTHORITY {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
            let pem = fs::read(path).map_err(failed)?;
            let authority = Certificate::from_pem(&pem).map_err(MailError::Tls)?;
            builder = builder.add_root_certificate(authority);
        }
        builder.build().map_err(MailError::Tls)
    }
}

/// Hands it over once.
pub(super) async fn tell(
    mail: &Mail,
    message: &Message,
    within: Duration,
) -> Result<(), MailError> {
    let (server, port) = (mail.server.as_str(), mail.port());
    let at = format!("{server}:{port}");
    let written = written(mail, message)?;
    let secret = mail.secret.as_deref().map(Secret::read).transpose()?;
    let credentials = mail.user.clone().zip(secret);
    let credentials =
        credentials.map(|(user, secret)| Credentials::new(user, secret.tell().to_owned()));
    let tls = match mail.tls {
        Tls::None => None,
        Tls::Starttls | Tls::Tls => Some(mail.parameters()?),
    };
    let handed = async {
        let us = ClientId::default();
        let first = if mail.tls == Tls::Tls { tls.clone() } else { None };
        let connect =
            AsyncSmtpConnection::connect_tokio1((server, port), Some(within), &us, first, None);
        let mut connection = connect.await?;
        if mail.tls == Tls::Starttls
            && let Some(tls) = tls
        {
            connection.starttls(tls, &us).await?;
        }
        if let Some(credentials) = &credentials {
            connection.auth(smtp::authentication::DEFAULT_MECHANISMS, credentials).await?;
        }
        connection.send(written.envelope(), &written.formatted()).await?;
        // It has the mail; whether it hears that we go is its own affair.
        let _ = connection.quit().await;
        Ok(())
    };
    match timeout(within, handed).await {
        Ok(result) => result.map_err(|source| MailError::Server { at, source }),
        Err(_) => Err(MailError::Late { at, within }),
    }
}

fn written(mail: &Mail, message: &Message) -> Result<lettre::Message, MailError> {
    let since = Duration::from_millis(u64::try_from(message.at.unix_millis()).unwrap_or(0));
    let domain = mail.from.email.domain();
    let mut builder = lettre::Message::builder()
        .from(mail.from.clone())
        .subject(message.line())
        .date(UNIX_EPOCH + since)
        // The same at each attempt, so that readers see one that arrived twice once.
        .message_id(Some(format!("<{}@{domain}>", message.id())))
        .header(ContentType::TEXT_PLAIN);
    for receiver in &mail.to {
        builder = builder.to(receiver.clone());
    }
    let mut text = format!("{}\n\n", message.text.trim_end());
    for (name, value) in &message.fields {
        text.push_str(&format!("{name}: {value}\n"));
    }
    builder.body(text).map_err(MailError::Form)
}
