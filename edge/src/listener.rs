//! A port for strangers: bound however long that takes, with no more clients at once than there are
//! places, and one bounded request of HTTP from each.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The time between two attempts to bind.
const RETRY: Duration = Duration::from_secs(5);
/// The time between two attempts to accept, when there are no descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// How many may wait in the kernel.
const WAITING: i32 = 1_024;
/// How long a client may take to say what it wants.
const HEADERS: Duration = Duration::from_secs(5);
/// How many bytes it may take for that.
const REQUEST_BYTES: usize = 8 * 1024;
/// How many headers it may send.
const REQUEST_HEADERS: usize = 64;

/// Binds the address, however long that takes. The unspecified one of IPv6 is for both families,
/// also where the machine has IPv4 alone. `what` is for the log: what can be read there.
pub async fn bind(address: SocketAddr, what: &str) -> TcpListener {
    let mut told = false;
    loop {
        match listen(address) {
            Ok(listener) => {
                tracing::info!("{what} can be read at {address}");
                return listener;
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(
                        "{what} can't be read at {address}: {error}; it is tried again every {} s, \
                         and nothing else is wrong",
                        RETRY.as_secs()
                    );
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let any = address.ip().is_unspecified() && address.is_ipv6();
    match listen_at(address, any) {
        Err(error) if any && error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => {
            listen_at((Ipv4Addr::UNSPECIFIED, address.port()).into(), false)
        }
        bound => bound,
    }
}

fn listen_at(address: SocketAddr, any: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if any {
        socket.set_only_v6(false)?;
    }
    // What a former process closed a moment ago keeps nobody from it.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    TcpListener::from_std(socket.into())
}

/// Lets `attend` have each client, no more than `places` at once. `what` is for the log.
pub async fn accept<F>(
    listener: TcpListener,
    places: usize,
    what: &str,
    attend: impl Fn(TcpStream) -> F,
) -> Infallible
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    let mut told = false;
    loop {
        // First a place, then a client: those for whom there is none wait in the kernel.
        let Ok(place) = places.clone().acquire_owned().await else {
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                told = false;
                let attended = attend(stream);
                tokio::spawn(async move {
                    attended.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: others have to end first.
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("nobody can be accepted who reads {what}: {error}");
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// HTTP with one request for each connection, within bounds of time and length.
#[must_use]
pub fn one_request() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(REQUEST_BYTES)
        .max_headers(REQUEST_HEADERS)
        .keep_alive(false);
    http
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn the_address_of_all_is_for_both_families() {
        runtime().block_on(async {
            let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
            let port = listener.local_addr().unwrap().port();
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("by IPv4");
        });
    }

    #[test]
    fn who_finds_no_place_waits_until_one_is_free() {
        use tokio::io::AsyncReadExt;
        runtime().block_on(async {
            let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let at = listener.local_addr().unwrap();
            let (served, mut seen) = tokio::sync::mpsc::unbounded_channel();
            let attend = move |mut stream: TcpStream| {
                let served = served.clone();
                async move {
                    let _ = served.send(());
                    // Until the client goes.
                    let _ = stream.read(&mut [0]).await;
                }
            };
            tokio::spawn(accept(listener, 1, "a trial", attend));
            let first = TcpStream::connect(at).await.unwrap();
            seen.recv().await.unwrap();
            let _second = TcpStream::connect(at).await.unwrap();
            tokio::task::yield_now().await;
            assert!(seen.try_recv().is_err(), "there is one place");
            drop(first);
            seen.recv().await.unwrap();
        });
    }
}
