//! Names: BIND is the authoritative server, on the client's host; each node has addresses of its
//! own, and the name has those of the holder. The client asks that server before each question, so
//! that no cache is in the figures: what caches add is the record's time to live, at most.
//!
//! No peer: who else writes names when a service moves does it with a script of somebody's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ::stead::demo::fleet::{Family, Fleet, client_address};
use stead_linux::durable::write_atomically;

use super::ask::{Asker, Seek, Seeker};
use super::stead::{Between, own_addresses};
use crate::error::{BenchError, Step};
use crate::subject::SERVICE;
use crate::tools::{PATIENCE, Tools, write};

/// The program, and the Debian package that brings it.
pub(super) const PROGRAM: &str = "named";
pub(super) const PACKAGE: &str = "bind9";
/// How long a record may be kept, in seconds: the least that stead writes.
pub(super) const TTL: u32 = 1;
const DOMAIN: &str = "shop.test";
const NAME: &str = "www.shop.test";
const DNS: u16 = 53;
/// For this trial alone.
const KEY: &str = "key \"ha\" { algorithm hmac-sha256; secret \
                   \"c3RlYWQgc3RlYWQgc3RlYWQgc3RlYWQgc3RlYWQhISE=\"; };\n";

/// A name server with the zone.
pub(super) struct Names {
    folder: PathBuf,
}

impl Names {
    pub(super) fn lay(fleet: &Fleet, tools: &Tools) -> Result<Self, BenchError> {
        let names = Self { folder: fleet.folder().join("named") };
        let server = client_address(Family::V4);
        write(
            &names.folder.join("zone"),
            &format!(
                "$TTL 60\n@ SOA ns.{DOMAIN}. admin.{DOMAIN}. 1 60 60 600 60\n@ NS ns\n\
                 ns A {server}\n"
            ),
        )?;
        let key = names.key();
        write_atomically(&key, KEY.as_bytes(), 0o600)
            .map_err(io::Error::other)
            .step(|| format!("cannot write {}", key.display()))?;
        let file = names.folder.join("named.conf");
        write(&file, &names.server())?;
        let mut command = Command::new(PROGRAM);
        command.args(["-g", "-u", "root", "-c"]).arg(&file);
        fleet.client().spawn(command, &names.folder.join("log"))?;
        let probe = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
        let socket = fleet.client().run(probe)?.step(|| "cannot ask the name server".to_owned())?;
        tools.wait_until("the name server answers", PATIENCE, || {
            let what = || "the name server does not answer".to_owned();
            let wait = Some(Duration::from_millis(200));
            socket.set_read_timeout(wait).step(what)?;
            let question = question(0, &format!("ns.{DOMAIN}"), Family::V4);
            socket.send_to(&question, (server, DNS)).step(what)?;
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).step(what)?;
            Ok(answer.get(..length).and_then(|it| found(it, Family::V4)).is_some())
        })?;
        Ok(names)
    }

    fn key(&self) -> PathBuf {
        self.folder.join("ha.key")
    }

    /// What the name server is told.
    fn server(&self) -> String {
        let (at, address) = (self.folder.display(), client_address(Family::V4));
        format!(
            "{KEY}options {{ directory \"{at}\"; pid-file none; session-keyfile none; listen-on \
             {{ {address}; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};\n\
             controls {{ }};\nzone \"{DOMAIN}\" {{ type primary; file \"zone\"; allow-update {{ \
             key ha; }}; }};\n"
        )
    }
}

impl Between for Names {
    fn services(&self) -> String {
        let (server, key) = (client_address(Family::V4), self.key().display().to_string());
        format!(
            "\n[services.{SERVICE}]\naddresses = [{}]\nnames = [\"{NAME}\"]\n\n[zones.shop]\n\
             domain = \"{DOMAIN}\"\nservers = [\"{server}\"]\nkey = {key:?}\nttl = \"{TTL}s\"\n\
             moving-ttl = \"{TTL}s\"\n",
            own_addresses(),
        )
    }

    fn ask(&self, fleet: &Fleet, family: Family) -> Result<Box<dyn Asker>, BenchError> {
        Seeker::start(fleet.client(), family, move || Lookup::of(family))
    }
}

/// So many questions are waited for at once: those of a quarter of a second, as a client would.
const OPEN: u16 = 125;

/// Asks the name server, and does not wait for one answer before the next question.
struct Lookup {
    socket: UdpSocket,
    family: Family,
    number: u16,
}

impl Lookup {
    fn of(family: Family) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(SocketAddr::new(client_address(Family::V4), DNS))?;
        Ok(Self { socket, family, number: 0 })
    }
}

impl Seek for Lookup {
    /// Every second millisecond: what a question costs the name server, the nodes lack.
    const EVERY: Duration = Duration::from_millis(2);

    fn begin(&mut self) -> io::Result<()> {
        self.number = self.number.wrapping_add(1);
        // One that is lost is as one without an answer.
        let _ = self.socket.send(&question(self.number, NAME, self.family));
        Ok(())
    }

    fn found(&mut self) -> Option<IpAddr> {
        let mut answer = [0; 512];
        while let Ok(length) = self.socket.recv(&mut answer) {
            let said = answer.get(..length).and_then(|it| found(it, self.family));
            let in_time = |number: u16| self.number.wrapping_sub(number) < OPEN;
            if let Some((_, address)) = said.filter(|(number, _)| in_time(*number)) {
                return Some(address);
            }
        }
        None
    }

    fn socket(&self) -> Option<&UdpSocket> {
        Some(&self.socket)
    }
}

/// The type of an address record.
fn kind(family: Family) -> u16 {
    match family {
        Family::V4 => 1,
        Family::V6 => 28,
    }
}

/// A question for the addresses of a name (RFC 1035, 4.1).
fn question(number: u16, name: &str, family: Family) -> Vec<u8> {
    let mut out = number.to_be_bytes().to_vec();
    // no flags, one question, nothing else
    out.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.bytes());
    }
    out.push(0);
    out.extend(kind(family).to_be_bytes());
    out.extend([0, 1]);
    out
}

/// The number of the question that this answers, and the first address in it.
fn found(answer: &[u8], family: Family) -> Option<(u16, IpAddr)> {
    let mut rest = Rest(answer);
    let (number, flags) = (rest.number()?, rest.number()?);
    let [questions, answers] = [rest.number()?, rest.number()?];
    rest.take(4)?;
    // an answer, without an error
    if flags & 0x8000 == 0 || flags & 0xf != 0 {
        return None;
    }
    for _ in 0..questions {
        rest.name()?;
        rest.take(4)?;
    }
    for _ in 0..answers {
        rest.name()?;
        let is = rest.number()?;
        rest.take(6)?;
        let length = rest.number()?;
        let data = rest.take(length.into())?;
        if is == kind(family) {
            let address = match family {
                Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
                Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
            };
            return Some((number, address));
        }
    }
    None
}

/// What of a message was not read yet.
struct Rest<'m>(&'m [u8]);

impl<'m> Rest<'m> {
    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Passes over a name: labels, and at its end nothing or a pointer to where it goes on.
    fn name(&mut self) -> Option<()> {
        loop {
            match *self.take(1)?.first()? {
                0 => return Some(()),
                length @ 1..=63 => self.take(length.into()).map(drop)?,
                _ => return self.take(1).map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer that a server gives: the question, and the records behind it.
    fn answer(number: u16, family: Family, data: &[u8]) -> Vec<u8> {
        let mut out = question(number, NAME, family);
        out[2] = 0x84;
        out[7] = 1;
        // the name is where the question has it
        out.extend([0xc0, 12]);
        out.extend(kind(family).to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 1]);
        out.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn an_answer_has_the_number_of_its_question_and_an_address() {
        let four = answer(7, Family::V4, &[10, 77, 0, 101]);
        assert_eq!(found(&four, Family::V4), Some((7, [10, 77, 0, 101].into())));
        assert_eq!(found(&four, Family::V6), None);
        let wanted = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x65);
        let six = answer(8, Family::V6, &wanted.octets());
        assert_eq!(found(&six, Family::V6), Some((8, wanted.into())));
    }

    #[test]
    fn half_an_answer_and_an_error_have_none() {
        let whole = answer(7, Family::V4, &[10, 77, 0, 101]);
        for length in 0..whole.len() {
            assert_eq!(found(&whole[..length], Family::V4), None, "{length}");
        }
        let mut refused = whole;
        refused[3] = 5;
        assert_eq!(found(&refused, Family::V4), None);
    }
}
