//! The programs of the demo's services: a small web service, and the monitor that looks after it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use stead_edge::chain;
use stead_lab::web::Service;

/// How long the monitor waits for each step.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// `stead demo-web PORT`: answers with the node's name at the service's addresses, as the daemon's
/// variables name them, until it is killed.
#[must_use]
pub fn web(port: u16) -> u8 {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let node = variable("STEAD_NODE");
    let addresses = addresses(&variable("STEAD_ADDRESSES"));
    if addresses.is_empty() {
        eprintln!("stead demo-web is the program of a service in `stead demo`: stead starts it");
        return 2;
    }
    let served = Service::bind(&addresses, port, &node).map_err(|error| chain(&error));
    let served = served.and_then(|mut service| {
        service.run(&AtomicBool::new(false)).map_err(|error| chain(&error))
    });
    if let Err(error) = served {
        eprintln!("stead demo-web: {error}");
    }
    1
}

/// `stead demo-check ADDRESS:PORT`: ends with 0 if the web service answers there.
#[must_use]
pub fn check(service: SocketAddr) -> u8 {
    match ask(service) {
        Ok(answer) if answer.starts_with("HTTP/1.0 200 ") => 0,
        Ok(answer) => {
            let line = answer.lines().next().unwrap_or_default();
            eprintln!("{service} answered: {line}");
            1
        }
        Err(error) => {
            eprintln!("{service} does not answer: {error}");
            1
        }
    }
}

fn ask(service: SocketAddr) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&service, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    connection.take(4_096).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Words separated by spaces, each an address with or without a prefix.
fn addresses(text: &str) -> Vec<IpAddr> {
    let ip = |word: &str| word.split('/').next().and_then(|ip| ip.parse().ok());
    text.split_whitespace().filter_map(ip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_prefix() {
        let read = addresses("10.0.0.1/24 fd00::1 nonsense");
        assert_eq!(read, ["10.0.0.1", "fd00::1"].map(|ip| ip.parse::<IpAddr>().expect("one")));
    }
}
