//! URLs that are asked without a library for names and certificates: where they lead.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use thiserror::Error;

/// The port of HTTP.
const HTTP: u16 = 80;

/// A URL that can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum UrlError {
    #[error("it is no URL like http://10.0.0.9:8080/path")]
    Form,
    #[error("https needs a program that knows the certificates")]
    Https,
    #[error("its host is a name, and names are looked up over a network that has to be outlived")]
    Name,
}

/// Where a URL leads: the address, the host with its port, and the path.
///
/// # Errors
/// See [`UrlError`].
pub(crate) fn place(url: &str) -> Result<(SocketAddr, String, String), UrlError> {
    let uri: Uri = url.parse().map_err(|_| UrlError::Form)?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(UrlError::Https),
        Some(_) | None => return Err(UrlError::Form),
    }
    let authority = uri.authority().filter(|it| !it.as_str().contains('@'));
    let authority = authority.ok_or(UrlError::Form)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = host.parse().map_err(|_| UrlError::Name)?;
    let port = match authority.port() {
        Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or(UrlError::Form)?,
        None => HTTP,
    };
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    Ok((SocketAddr::new(ip, port), authority.as_str().to_owned(), path.to_owned()))
}
