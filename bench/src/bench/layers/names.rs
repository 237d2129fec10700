//! Names: BIND is the authoritative server, on the client's host; each node has addresses of its
//! own, and the name has those of the holder. The client asks that server before each question, so
//! that no cache is in the figures: what caches add is the record's time to live, at most.
//!
//! No peer: who else writes names when a service moves does it with a script of somebody's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ::stead::demo::fleet::{Family, Fleet, client_address};
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use stead_lab::prober::{Prober, Seek};
use stead_linux::durable::write_atomically;

use super::seeker;
use super::stead::{Between, own_addresses};
use crate::error::{BenchError, Step};
use crate::subject::SERVICE;
use crate::tools::{PATIENCE, PORT, Tools, write};

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
            let question = question(0, &format!("ns.{DOMAIN}"), Family::V4).step(what)?;
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

    fn ask(&self, fleet: &Fleet, family: Family) -> Result<Prober, BenchError> {
        seeker(fleet.client(), family, move || Lookup::of(family))
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
        let question = question(self.number, NAME, self.family)?;
        // One that is lost is as one without an answer.
        let _ = self.socket.send(&question);
        Ok(())
    }

    fn found(&mut self) -> Option<SocketAddr> {
        let mut answer = [0; 512];
        while let Ok(length) = self.socket.recv(&mut answer) {
            let said = answer.get(..length).and_then(|it| found(it, self.family));
            let in_time = |number: u16| self.number.wrapping_sub(number) < OPEN;
            if let Some((_, address)) = said.filter(|(number, _)| in_time(*number)) {
                return Some(SocketAddr::new(address, PORT));
            }
        }
        None
    }

    fn socket(&self) -> Option<&UdpSocket> {
        Some(&self.socket)
    }
}

/// A question for the addresses of a name, with that number.
fn question(number: u16, name: &str, family: Family) -> io::Result<Vec<u8>> {
    let kind = match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    };
    let mut message = Message::query();
    message.metadata.id = number;
    message.metadata.recursion_desired = false;
    let name = Name::from_ascii(name).map_err(io::Error::other)?;
    message.add_query(Query::query(name, kind));
    message.to_vec().map_err(io::Error::other)
}

/// The number of the question that this answers, and the first address of that family in it.
fn found(answer: &[u8], family: Family) -> Option<(u16, IpAddr)> {
    let answer = Message::from_vec(answer).ok()?;
    let head = &answer.metadata;
    if head.message_type != MessageType::Response || head.response_code != ResponseCode::NoError {
        return None;
    }
    let address = answer.answers.iter().find_map(|record| match (&record.data, family) {
        (RData::A(address), Family::V4) => Some(IpAddr::V4(address.0)),
        (RData::AAAA(address), Family::V6) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    Some((head.id, address?))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use hickory_proto::rr::Record;

    use super::*;

    /// The answer that a server gives: the question, and a record behind it.
    fn answer(number: u16, family: Family, data: RData) -> Message {
        let question = question(number, NAME, family).expect("written");
        let mut message = Message::from_vec(&question).expect("read");
        message.metadata.message_type = MessageType::Response;
        let name = message.queries[0].name().clone();
        message.add_answer(Record::from_rdata(name, TTL, data));
        message
    }

    fn bytes(message: &Message) -> Vec<u8> {
        message.to_vec().expect("written")
    }

    #[test]
    fn an_answer_has_the_number_of_its_question_and_an_address() {
        let wanted = Ipv4Addr::new(10, 77, 0, 101);
        let four = bytes(&answer(7, Family::V4, RData::A(wanted.into())));
        assert_eq!(found(&four, Family::V4), Some((7, wanted.into())));
        assert_eq!(found(&four, Family::V6), None);
        let wanted = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x65);
        let six = bytes(&answer(8, Family::V6, RData::AAAA(wanted.into())));
        assert_eq!(found(&six, Family::V6), Some((8, wanted.into())));
    }

    #[test]
    fn a_question_half_an_answer_and_an_error_have_none() {
        let asked = question(7, NAME, Family::V4).expect("written");
        assert_eq!(found(&asked, Family::V4), None);
        let mut whole = answer(7, Family::V4, RData::A(Ipv4Addr::LOCALHOST.into()));
        let all = bytes(&whole);
        for length in 0..all.len() {
            assert_eq!(found(&all[..length], Family::V4), None, "{length}");
        }
        whole.metadata.response_code = ResponseCode::Refused;
        assert_eq!(found(&bytes(&whole), Family::V4), None);
    }
}
