//! A server that a message is posted to, as an object of JSON.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use stead_edge::http::{HttpError, Url, ask};
use stead_edge::private::{Secret, SecretError};
use thiserror::Error;
use tokio::time::timeout;

use super::message::Message;

/// How much of an answer is read, in bytes: it only has to be one.
const ANSWER: usize = 64 * 1024;

/// Where messages are posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The place.
    pub url: Url,
    /// The file with the value of a header, and that header.
    pub secret: Option<(HeaderName, PathBuf)>,
}

impl Webhook {
    /// The header that a secret stands in, if none is named.
    pub(super) const HEADER: HeaderName = AUTHORIZATION;
}

/// A message was not posted, or nobody said that it arrived.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// There is no secret; nothing was sent.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secret can't stand in a header; nothing was sent.
    #[error("the secret in {} can't stand in a header; nothing was sent", .0.display())]
    Header(PathBuf),
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer is no success.
    #[error("it answers {0}")]
    Refused(StatusCode),
    /// There was no answer in time.
    #[error("no answer within {0:?}; it may have arrived")]
    Late(Duration),
}

/// Tells it once.
pub(super) async fn tell(
    webhook: &Webhook,
    message: &Message,
    within: Duration,
) -> Result<(), WebhookError> {
    let mut request = Request::post("/").header(CONTENT_TYPE, "application/json");
    if let Some((name, path)) = &webhook.secret {
        let secret = Secret::read(path)?;
        let value = HeaderValue::from_bytes(secret.tell().as_bytes());
        let mut value = value.map_err(|_| WebhookError::Header(path.clone()))?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    let posted = async {
        let answer = ask(&webhook.url, request, message.json().into()).await?;
        let status = answer.status();
        // Whoever answers more than that has answered.
        match answer.whole(ANSWER).await {
            Ok(_) | Err(HttpError::TooLong(_)) => {}
            Err(error) if !status.is_success() => drop(error),
            Err(error) => return Err(error.into()),
        }
        if status.is_success() { Ok(()) } else { Err(WebhookError::Refused(status)) }
    };
    timeout(within, posted).await.unwrap_or(Err(WebhookError::Late(within)))
}
