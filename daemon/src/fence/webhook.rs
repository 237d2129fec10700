//! A device behind HTTP: an action is posted to it, and it answers with the state.

use std::io;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::output::{Kept, lines};
use super::secret::{Hidden, Secret};
use super::step::{Action, Said};
use crate::url;

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
    let (at, host, path) = url::place(url).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(at).await;
    let stream = stream.map_err(|error: io::Error| format!("no connection to {at}: {error}"))?;
    let failed = |error: hyper::Error| format!("no answer from {host}: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let body = serde_json::to_vec(asked).map_err(|error| error.to_string())?;
    let mut request = Request::post(path)
        .header(HOST, &host)
        .header(USER_AGENT, concat!("stead/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .header(CONTENT_TYPE, "application/json");
    if let Some(secret) = secret {
        let value = HeaderValue::from_bytes(secret.tell().as_bytes());
        let mut value = value.map_err(|_| "the secret can't stand in a header".to_owned())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| format!("{host} can't be asked: {error}"))?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        Ok((status, whole(answer.into_body()).await.map_err(failed)?))
    };
    // It moves nothing unless it is run, and is of no use once there is an answer.
    tokio::pin!(connection, answered);
    tokio::select! {
        answer = &mut answered => answer,
        Err(error) = &mut connection => Err(failed(error)),
    }
}

/// The answer as far as anyone reads it: what is longer is none.
async fn whole(mut body: Incoming) -> Result<String, hyper::Error> {
    let (mut kept, mut length) = (Kept::default(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        length += data.len();
        kept.add(data);
        if length > LONGEST {
            break;
        }
    }
    Ok(kept.text())
}
