//! What is answered to a request.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
    WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use stead_edge::private::Secret;
use tokio::sync::{Semaphore, watch};

use super::events::{Said, stream};
use crate::knowledge::document::{Order, Whereabouts, is_name};
use crate::knowledge::shelf::Shelf;

/// What is listed of a service.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    service: &'a str,
    state: Whereabouts,
    node: Option<&'a str>,
    #[serde(flatten)]
    order: Order,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked<'a> {
    List,
    One(&'a str),
    Stream(&'a str),
    Nothing,
}

impl<'a> Asked<'a> {
    fn of(path: &'a str) -> Self {
        let Some(rest) = path.strip_prefix("/where") else { return Self::Nothing };
        let Some(rest) = rest.strip_prefix('/') else {
            return if rest.is_empty() { Self::List } else { Self::Nothing };
        };
        match rest.split_once('/') {
            None if rest.is_empty() => Self::List,
            None if is_name(rest) => Self::One(rest),
            Some((service, "stream")) if is_name(service) => Self::Stream(service),
            None | Some(_) => Self::Nothing,
        }
    }
}

/// Whoever stands at it is answered.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    shelf: Shelf,
    token: Option<Secret>,
    watchers: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl Counter {
    pub(super) fn new(
        shelf: Shelf,
        token: Option<Secret>,
        watchers: usize,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self { shelf, token, watchers: Arc::new(Semaphore::new(watchers)), ending }
    }

    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Said> {
        if !self.may_ask(request) {
            let mut refusal = said(StatusCode::UNAUTHORIZED, "a token is asked for\n");
            refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return refusal;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = said(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match Asked::of(request.uri().path()) {
            Asked::List => self.list(),
            Asked::One(service) => self.one(service, request),
            Asked::Stream(service) => self.stream(service, request.method() == Method::HEAD),
            Asked::Nothing => said(StatusCode::NOT_FOUND, "services are at /where\n"),
        }
    }

    fn may_ask<B>(&self, request: &Request<B>) -> bool {
        let Some(token) = &self.token else { return true };
        let header = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let told = header.and_then(|value| value.split_at_checked("Bearer ".len()));
        told.is_some_and(|(scheme, told)| {
            scheme.eq_ignore_ascii_case(b"Bearer ")
                && verify_slices_are_equal(told, token.tell().as_bytes()).is_ok()
        })
    }

    fn list(&self) -> Response<Said> {
        let all = self.shelf.all();
        let documents = all.iter().map(|envelope| envelope.document());
        let listed: Vec<_> = documents
            .map(|document| Listed {
                service: &document.service,
                state: document.state,
                node: document.node.as_deref(),
                order: document.order,
            })
            .collect();
        // Numbers and names have a form in JSON.
        let mut text = serde_json::to_vec(&listed).unwrap_or_default();
        text.push(b'\n');
        answered("application/json", text.into())
    }

    fn one<B>(&self, service: &str, request: &Request<B>) -> Response<Said> {
        let Some(envelope) = self.shelf.get(service) else { return unknown() };
        let tag = format!("\"{}\"", envelope.tag());
        let known = request.headers().get_all(IF_NONE_MATCH).iter();
        let known = known.filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
        let body = Bytes::copy_from_slice(envelope.text().as_bytes());
        // Comparison is weak (RFC 9110 section 13.1.2): a cache on the way may have marked it so.
        let is_known = known.any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag);
        let mut answer = if is_known {
            let mut answer = Response::new(Said::Whole(None));
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        } else {
            answered("text/plain; charset=utf-8", body)
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            answer.headers_mut().insert(ETAG, tag);
        }
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer
    }

    fn stream(&self, service: &str, head: bool) -> Response<Said> {
        let Some(news) = self.shelf.watch(service) else { return unknown() };
        let Ok(place) = self.watchers.clone().try_acquire_owned() else {
            let text = "too many wait here already; ask now and then\n";
            return said(StatusCode::SERVICE_UNAVAILABLE, text);
        };
        let body = if head { Said::Whole(None) } else { stream(news, self.ending.clone(), place) };
        let mut answer = Response::new(body);
        let kind = HeaderValue::from_static("text/event-stream");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

fn unknown() -> Response<Said> {
    said(StatusCode::NOT_FOUND, "nothing is known of such a service\n")
}

fn answered(kind: &'static str, body: Bytes) -> Response<Said> {
    let mut answer = Response::new(Said::Whole(Some(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn said(status: StatusCode, text: &'static str) -> Response<Said> {
    let mut answer = answered("text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_list_a_service_or_nothing() {
        for (path, asked) in [
            ("/where", Asked::List),
            ("/where/", Asked::List),
            ("/where/web", Asked::One("web")),
            ("/where/web/stream", Asked::Stream("web")),
            ("/where/stream", Asked::One("stream")),
            ("/whereabouts", Asked::Nothing),
            ("/where/../x", Asked::Nothing),
            ("/where/%2e", Asked::Nothing),
            ("/where/web/", Asked::Nothing),
            ("/where/web/stream/", Asked::Nothing),
            ("/", Asked::Nothing),
            ("", Asked::Nothing),
        ] {
            assert_eq!(Asked::of(path), asked, "{path}");
        }
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_to_ask_now_and_then() {
        let shelf = Shelf::new();
        shelf.put(crate::knowledge::tests::envelope(1)).unwrap();
        let (_end, ending) = watch::channel(false);
        let counter = Counter::new(shelf, None, 1, ending);
        let request = Request::get("/where/web/stream").body(()).unwrap();
        let first = counter.answer(&request);
        assert!(first.status() == StatusCode::OK && first.body().is_stream());
        assert_eq!(counter.answer(&request).status(), StatusCode::SERVICE_UNAVAILABLE);
        let once = Request::get("/where/web").body(()).unwrap();
        assert_eq!(counter.answer(&once).status(), StatusCode::OK);
        // The place is free as soon as the first has gone.
        drop(first);
        while counter.watchers.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(counter.answer(&request).status(), StatusCode::OK);
    }
}
