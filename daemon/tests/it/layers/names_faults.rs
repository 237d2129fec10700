//! Names that their servers do not take: each fault has words of its own where an operator looks,
//! what clients have beside the name goes on, and what is mended converges without anybody's help.
//! And what a name can't do at all: move a connection that a client keeps.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use socket2::SockRef;
use stead::demo::fleet::{Fleet, PATIENCE, WEB_PORT};
use stead_lab::Host;

use super::names_bed::{
    KEY, PRIMARY, SECONDARY, Server, bind, cache, dig, dig_at, look_up, secondary, secret,
};
use super::{
    move_to, program, wait_answers, wait_elsewhere, wait_runs, wait_seen, wait_trouble, wait_well,
};
use crate::cluster::{Must, three, wait_for};

const NAME: &str = "www.shop.test";
/// The address that goes where the service goes, by ARP.
const AT: &str = "10.77.0.100";
/// How long a client of its own accord waits for a sign of life on its connection.
const GIVES_UP: Duration = Duration::from_secs(5);

/// A cluster whose `web` has an address that moves, one of its node's own, and a name for both.
struct Site {
    fleet: Fleet,
    primary: Server,
    second: Server,
    key: PathBuf,
}

impl Site {
    /// With the service on node1, and all name servers saying so.
    fn new(name: &str) -> Self {
        let fleet = Fleet::start(three(name)).must();
        let (primary, second) = (bind(&fleet, PRIMARY), secondary(&fleet));
        let key = primary.folder.join("ha.key");
        secret(&key, KEY);
        let own = |number: u8| {
            format!("{{ ip = \"10.77.0.10{number}\", prefix = 24, on = [\"node{number}\"] }}")
        };
        let text = format!(
            "{}\n[services.web]\nprefer = [\"node1\"]\naddresses = [\"{AT}/24\", {}]\n\
             names = [\"{NAME}\"]\n{}\n[zones.shop]\ndomain = \"shop.test\"\n\
             servers = [\"{PRIMARY}\", \"{SECONDARY}\"]\nkey = {:?}\nttl = \"60s\"\n\
             moving-ttl = \"2s\"\n",
            fleet.plan().configuration(),
            [1, 2, 3].map(own).join(", "),
            program(AT),
            key.display().to_string(),
        );
        fleet.apply("node1", &text).must();
        wait_runs(&fleet, "node1");
        wait_seen(&fleet, "node1", "dns");
        let site = Self { fleet, primary, second, key };
        site.assert_says(PRIMARY, "node1");
        site.assert_says(SECONDARY, "node1");
        site
    }

    /// A name server leads clients to that node.
    #[track_caller]
    fn assert_says(&self, server: &str, node: &str) {
        assert_eq!(dig_at(&self.fleet, server, NAME), led_to(node), "as {server} says it");
    }

    /// Clients are served at the address that moves, and by that layer all is well.
    #[track_caller]
    fn assert_address_serves(&self, node: &str) {
        wait_answers(&self.fleet, AT);
        wait_well(&self.fleet, node, "arp");
    }

    /// All name servers lead to that node, and clients that look there find the service.
    #[track_caller]
    fn wait_converged(&self, node: &str) {
        wait_well(&self.fleet, node, "dns");
        self.assert_says(PRIMARY, node);
        self.assert_says(SECONDARY, node);
        for address in dig(&self.fleet, NAME) {
            wait_answers(&self.fleet, &address);
        }
    }
}

/// What a name says when the service is on that node.
fn led_to(node: &str) -> [String; 2] {
    [AT.to_owned(), own_address(node)]
}

fn own_address(node: &str) -> String {
    format!("10.77.0.10{}", node.trim_start_matches("node"))
}

#[test]
fn a_key_that_is_wrong_is_told_apart_from_an_unknown_one_and_can_be_mended() {
    let site = Site::new("wrong-key");
    let fleet = &site.fleet;
    secret(&site.key, &KEY.replace("c3RlYWQg", "QUFBQUFB"));
    move_to(fleet, "node2");
    let words = format!("{PRIMARY}:53 has another secret under the name of our key ha");
    wait_trouble(fleet, "node2", "dns", &[NAME, &words, "compare the two key files"]);
    site.assert_address_serves("node2");
    site.assert_says(PRIMARY, "node1");

    secret(&site.key, &KEY.replace("\"ha\"", "\"nobody\""));
    let words = format!("{PRIMARY}:53 does not know the key nobody");
    wait_trouble(fleet, "node2", "dns", &[NAME, &words]);
    site.assert_address_serves("node2");

    secret(&site.key, KEY);
    site.wait_converged("node2");
    site.assert_address_serves("node2");
}

#[test]
fn an_update_that_is_refused_is_told_and_can_be_permitted() {
    let site = Site::new("refused");
    let fleet = &site.fleet;
    site.primary.permit(fleet, "stranger");
    fleet.silence_then_kill("node1").must();
    let by = wait_elsewhere(fleet, "node1");
    let words = format!("{PRIMARY}:53 refuses it; permit the key to update the zone");
    wait_trouble(fleet, &by, "dns", &[NAME, &words]);
    site.assert_address_serves(&by);
    site.assert_says(PRIMARY, "node1");

    site.primary.permit(fleet, "ha");
    site.wait_converged(&by);
    site.assert_address_serves(&by);
}

#[test]
fn a_secondary_that_is_behind_or_down_is_named_while_the_primary_leads() {
    let mut site = Site::new("secondary");
    site.second.leave_behind(&site.fleet);
    move_to(&site.fleet, "node2");
    let own = own_address("node1");
    let words = format!("{SECONDARY}:53 says of {NAME} still: ");
    wait_trouble(&site.fleet, "node2", "dns", &[&words, &own]);
    site.assert_says(PRIMARY, "node2");
    site.assert_says(SECONDARY, "node1");
    wait_answers(&site.fleet, &own_address("node2"));

    site.second.kill();
    let words = format!("{SECONDARY}:53 can't be reached; see whether it runs");
    wait_trouble(&site.fleet, "node2", "dns", &[&words]);
    // Updates go on, and who asks the primary is led as well as ever.
    move_to(&site.fleet, "node3");
    wait_trouble(&site.fleet, "node3", "dns", &[&words]);
    site.assert_says(PRIMARY, "node3");
    for address in dig(&site.fleet, NAME) {
        wait_answers(&site.fleet, &address);
    }
    site.assert_address_serves("node3");

    site.second.start_again(&site.fleet);
    site.wait_converged("node3");
}

/// A connection that its client keeps, whatever becomes of the name.
struct Kept(TcpStream);

impl Kept {
    /// Fails if nobody takes it in time.
    fn open(host: &Host, address: &str) -> io::Result<Self> {
        let to = SocketAddr::new(address.parse().expect("an address"), WEB_PORT);
        let stream = host.run(|| TcpStream::connect_timeout(&to, GIVES_UP)).must()?;
        // What a careful client sets; the kernel's own patience is a quarter of an hour.
        SockRef::from(&stream).set_tcp_user_timeout(Some(GIVES_UP))?;
        Ok(Self(stream))
    }

    /// Sends a question.
    fn ask(&mut self) -> io::Result<()> {
        self.0.write_all(b"are you there\n")
    }

    /// Waits for an answer: who gave it, or why there is none.
    fn answer(&mut self, within: Duration) -> io::Result<String> {
        self.0.set_read_timeout(Some(within))?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            let mut octet = [0];
            self.0.read_exact(&mut octet)?;
            answer.push(octet[0]);
        }
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        Ok(text.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    /// Who answers on it.
    #[track_caller]
    fn is_with(&mut self) -> String {
        self.ask().must();
        self.answer(PATIENCE).must()
    }
}

/// Waits until the client's resolver leads to that node, and to no other.
#[track_caller]
fn wait_looked_up(fleet: &Fleet, node: &str) -> String {
    let address = own_address(node);
    wait_for(fleet, &format!("the resolver leads to {node}"), || {
        Ok(look_up(fleet, NAME) == [address.as_str()])
    });
    address
}

/// Each node has an address of its own, so that the one of the former holder is nobody's: who kept
/// it can't even be told by whoever has the service now.
#[test]
fn a_kept_connection_ends_with_its_node_and_who_looks_up_again_is_served() {
    let fleet = Fleet::start(three("kept")).must();
    let (primary, _cache) = (bind(&fleet, PRIMARY), cache(&fleet));
    let key = primary.folder.join("ha.key");
    secret(&key, KEY);
    let text = super::names::services(&key, &format!("\"{NAME}\""));
    // Short enough for a cache to be waited for.
    let text = text.replace("ttl = \"60s\"\n", "ttl = \"4s\"\n");
    let text = text.replace("names =", "clients = \"until-restart\"\nnames =");
    fleet.apply("node1", &(fleet.plan().configuration() + &text)).must();
    wait_runs(&fleet, "node1");
    let client = fleet.client();

    // As planned: the program ends, and the kernel of its node says so.
    let once = wait_looked_up(&fleet, "node1");
    let mut kept = Kept::open(client, &once).must();
    assert_eq!(kept.is_with(), "node1");
    let said = move_to(&fleet, "node2");
    assert!(said.contains("until they are restarted"), "{said}");
    let ended = kept.answer(PATIENCE).expect_err("the program has ended").kind();
    assert!(matches!(ended, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{ended:?}");
    let mut kept = Kept::open(client, &wait_looked_up(&fleet, "node2")).must();
    assert_eq!(kept.is_with(), "node2");
    // Who looked it up once, and never again, finds nobody there.
    assert!(Kept::open(client, &once).is_err());

    // Power is lost: nobody says anything, and a new look-up is the only way.
    fleet.silence_then_kill("node2").must();
    let by = wait_elsewhere(&fleet, "node2");
    let mut anew = Kept::open(client, &wait_looked_up(&fleet, &by)).must();
    assert_eq!(anew.is_with(), by);
    kept.ask().must();
    let silent = kept.answer(GIVES_UP / 5).expect_err("its node has no power").kind();
    assert_eq!(silent, ErrorKind::WouldBlock, "it hangs: neither an answer nor a reset");
    // Until its own patience ends; by then its kernel may know that nobody has the address.
    let ended = kept.answer(PATIENCE).expect_err("nobody is there").kind();
    assert!(matches!(ended, ErrorKind::TimedOut | ErrorKind::HostUnreachable), "{ended:?}");
    assert_eq!(anew.is_with(), by, "the new one is left alone");
}
