//! A device behind HTTP: an action is posted to it, and it answers with the state.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use stead_edge::chain;
use stead_edge::http::{self, Answer, HttpError, Url, UrlError};
use stead_edge::private::Secret;

use super::hidden::Hidden;
use super::output::{Kept, lines};
use super::step::{Action, Said};

/// The longest answer, in bytes: it is one short object.
const LONGEST: usize = 64 * 1024;

/// What is posted.
#[derive(Debug, Serialize)]
struct Asked<'a> {
    action: &'static str,
    node: &'a str,
    plug: Option<&'a str>,
}

/// What is answered.
#[derive(Debug, Deserialize)]
struct Answered {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    On,
    Off,
}

/// Asks once; it takes as long as it takes. What was said, and the last lines of the answer.
pub(super) async fn ask(
    url: &str,
    secret: Option<&Secret>,
    (node, plug, action): (&str, Option<&str>, Action),
) -> (Said, Vec<String>) {
    let mut hidden = Hidden::default();
    if let Some(secret) = secret {
        hidden.add(secret.tell());
    }
    let asked = Asked { action: action.name(), node, plug };
    match post(url, secret, &asked).await {
        Ok((status, body)) => {
            let body = hidden.blank(&body);
            (said(action, status, &body), lines(body.as_bytes(), super::LINES))
        }
        Err(reason) => (Said::Failed(hidden.blank(&reason)), Vec::new()),
    }
}

fn said(action: Action, status: StatusCode, body: &str) -> Said {
    let shown = lines(body.as_bytes(), 1);
    let shown = shown.first().map_or("nothing", String::as_str);
    if !status.is_success() {
        return Said::Failed(format!("it answers {status}: {shown}"));
    }
    let Ok(Answered { state }) = serde_json::from_str(body) else {
        let wanted = "{\"state\": \"on\"} or {\"state\": \"off\"}";
        return Said::Failed(format!("its answer is not {wanted}: {shown}"));
    };
    match (action, state) {
        (Action::Status, State::On) => Said::On,
        (Action::Status, State::Off) => Said::Off,
        (Action::On, State::On) | (Action::Off, State::Off) => Said::Done,
        (Action::On, State::Off) => Said::Failed("it answers that it is still off".to_owned()),
        (Action::Off, State::On) => Said::Failed("it answers that it is still on".to_owned()),
        (Action::Monitor | Action::List, _) => {
            Said::Failed("only agents are asked that".to_owned())
        }
    }
}

async fn post(
    url: &str,
    secret: Option<&Secret>,
    asked: &Asked<'_>,
) -> Result<(StatusCode, String), String> {
    let url: Url = url.parse().map_err(|error: UrlError| error.to_string())?;
    let body = serde_json::to_vec(asked).map_err(|error| error.to_string())?;
    let mut request = Request::builder().method(Method::POST);
    request = request.header(CONTENT_TYPE, "application/json");
    if let Some(secret) = secret {
        let value = HeaderValue::from_bytes(secret.tell().as_bytes());
        let mut value = value.map_err(|_| "the secret can't stand in a header".to_owned())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let failed = |error: HttpError| chain(&error);
    let answer = http::ask(&url, request, body.into()).await.map_err(failed)?;
    Ok((answer.status(), whole(answer).await.map_err(failed)?))
}

/// The answer as far as anyone reads it: what is longer is none.
async fn whole(mut answer: Answer) -> Result<String, HttpError> {
    let (mut kept, mut length) = (Kept::default(), 0);
    while let Some(part) = answer.part().await? {
        length += part.len();
        kept.add(&part);
        if length > LONGEST {
            break;
        }
    }
    Ok(kept.text())
}
