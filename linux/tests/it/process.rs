//! Programs started on their own, and messages between processes.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use nix::sys::signal::Signal;
use stead_linux::namespace::NetNs;
use stead_linux::process::{
    Identity, Process, ProcessError, Running, Spec, peer_of, session_members, signal_session, spawn,
};
use stead_linux::seqpacket::{Connection, LONGEST, Listener, Received, SeqpacketError};

use crate::pair::PATIENCE;

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::yield_now();
    }
}

/// Ends a program with all its session even if the test fails.
struct Ended(Running);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.signal_group(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn shell(script: &str, output: Option<File>) -> Ended {
    let mut spec = Spec::new("sh", &["-c", script]);
    spec.output = output;
    Ended(spawn(spec).expect("started"))
}

#[test]
fn a_program_shares_nothing_but_its_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("output");
    let secret = File::create(folder.path().join("secret")).expect("made");
    let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(&secret, flags).expect("would be inherited");
    let script = "ls -l /proc/self/fd; cut -d' ' -f 5,6 /proc/self/stat; echo $$ >&2; cat";
    let mut run = shell(script, Some(File::create(&path).expect("made")));
    let pid = run.0.identity().pid;
    assert!(run.0.wait().expect("ended").success());
    let mut said = String::new();
    File::open(&path).expect("there").read_to_string(&mut said).expect("text");
    assert!(said.contains(&format!("{pid} {pid}")), "group and session are its own: {said}");
    assert!(said.ends_with(&format!("{pid}\n")), "errors too: {said}");
    assert!(!said.contains("/secret"), "{said}");
}

#[test]
fn errors_go_their_own_way_if_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let (output, errors) = (folder.path().join("output"), folder.path().join("errors"));
    let mut spec = Spec::new("sh", &["-c", "echo said; echo complained >&2"]);
    spec.output = Some(File::create(&output).expect("made"));
    spec.errors = Some(File::create(&errors).expect("made"));
    assert!(spawn(spec).expect("started").wait().expect("ended").success());
    assert_eq!(fs::read_to_string(output).expect("text"), "said\n");
    assert_eq!(fs::read_to_string(errors).expect("text"), "complained\n");
}

#[test]
fn a_program_reads_what_it_is_given_and_nothing_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    for (given, read) in [(Some("told\n"), "told\n"), (None, "")] {
        let path = folder.path().join("output");
        let mut spec = Spec::new("cat", &[]);
        spec.output = Some(File::create(&path).expect("made"));
        spec.input = given.map(|text| {
            let input = folder.path().join("input");
            fs::write(&input, text).expect("written");
            File::open(input).expect("there")
        });
        assert!(spawn(spec).expect("started").wait().expect("ended").success());
        assert_eq!(fs::read_to_string(path).expect("text"), read);
    }
}

#[test]
fn a_program_can_live_in_another_network() {
    let ns = NetNs::create().expect("these tests need root");
    let file = ns.run(|| File::open("/proc/thread-self/ns/net")).expect("inside").expect("open");
    let mut spec = Spec::new("sleep", &["600"]);
    spec.network = Some(OwnedFd::from(file));
    let run = Ended(spawn(spec).expect("started"));
    let pid = run.0.identity().pid;
    wait_until("it is inside", || ns.processes().expect("readable").contains(&pid));
}

#[test]
fn a_missing_program_is_an_error_and_no_child() {
    let refused = spawn(Spec::new("/no/such/program", &[]));
    assert!(matches!(refused, Err(ProcessError::Spawn { .. })));
}

#[test]
fn a_process_is_known_again_and_no_other_is_taken_for_it() {
    let mut run = shell("exec sleep 600", None);
    let identity = run.0.identity();
    let found = Process::find(identity).expect("readable").expect("it runs");
    assert!(!found.has_ended().expect("readable"));
    let other = Identity { start: identity.start + 1, ..identity };
    assert!(Process::find(other).expect("readable").is_none(), "another start, another process");
    assert!(matches!(run.0.try_wait(), Ok(None)));
    found.signal(Signal::SIGTERM).expect("sent");
    run.0.wait().expect("ended");
    assert!(found.has_ended().expect("readable"));
    assert!(matches!(found.signal(Signal::SIGTERM), Err(ProcessError::Gone(_))));
    assert!(matches!(found.signal_group(Signal::SIGTERM), Err(ProcessError::Gone(_))));
    assert!(Process::find(identity).expect("readable").is_none());
    let nobody = Identity { pid: -1, start: 0 };
    assert!(matches!(Process::find(nobody), Err(ProcessError::Number(-1))));
}

#[test]
fn a_group_is_ended_as_a_whole() {
    let mut run = shell("sleep 600 & sleep 600 & wait", None);
    let session = run.0.identity().pid;
    let members = || session_members(session).expect("readable");
    wait_until("all three run", || members().len() == 3);
    run.0.signal_group(Signal::SIGKILL).expect("sent");
    run.0.wait().expect("ended");
    wait_until("none is left", || members().is_empty());
}

#[test]
fn what_a_dead_leader_left_is_found_and_ended() {
    let mut run = shell("sleep 600 & sleep 600 &", None);
    let session = run.0.identity().pid;
    run.0.wait().expect("ended");
    assert!(matches!(run.0.signal_group(Signal::SIGKILL), Err(ProcessError::Gone(_))));
    wait_until("none is left", || {
        signal_session(session, Signal::SIGKILL).expect("signalled") == 0
    });
    assert!(matches!(signal_session(0, Signal::SIGKILL), Err(ProcessError::Number(0))));
}

#[test]
fn messages_stay_whole_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guard.sock");
    let listener = Listener::bind(&path).expect("free");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(matches!(Listener::bind(&path), Err(SeqpacketError::InUse(_))));
    // The attempt above left a connection behind that has ended already.
    let ended = listener.accept().expect("accepts").expect("one waits");
    assert_eq!(ended.receive(&mut [0; 8]).expect("readable"), Received::Closed);
    assert!(listener.accept().expect("accepts").is_none());

    let near = Connection::connect(&path).expect("somebody listens");
    let far = listener.accept().expect("accepts").expect("one waits");
    let peer = peer_of(&far.as_fd()).expect("a Unix socket");
    assert_eq!(u32::try_from(peer.pid), Ok(std::process::id()));
    let long = vec![7; LONGEST];
    assert!(near.send(b"first").expect("sent") && near.send(&long).expect("sent"));
    let mut buffer = vec![0; LONGEST];
    assert_eq!(far.receive(&mut buffer).expect("readable"), Received::Message(5));
    assert_eq!(&buffer[..5], b"first");
    assert_eq!(far.receive(&mut buffer).expect("readable"), Received::Message(LONGEST));
    assert_eq!(far.receive(&mut buffer).expect("readable"), Received::Nothing);
    assert!(near.send(b"too long for you").expect("sent"));
    assert!(matches!(far.receive(&mut [0; 4]), Err(SeqpacketError::Length(16))));
    assert!(matches!(near.send(b""), Err(SeqpacketError::Length(0))));
    assert!(matches!(near.send(&vec![0; LONGEST + 1]), Err(SeqpacketError::Length(_))));
    while near.send(b"until it is full").expect("sent") {}
    drop(far);
    assert!(matches!(near.send(b"anybody?"), Err(SeqpacketError::Closed)));
}

#[test]
fn a_socket_left_by_the_dead_is_replaced_and_a_file_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guard.sock");
    drop(Listener::bind(&path).expect("free"));
    assert!(path.exists());
    drop(Listener::bind(&path).expect("replaced"));
    let file = folder.path().join("precious");
    fs::write(&file, b"data").expect("written");
    assert!(matches!(Listener::bind(&file), Err(SeqpacketError::NotASocket(_))));
    assert_eq!(fs::read(&file).expect("there"), b"data");
}
