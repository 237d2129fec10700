//! Guards that come, stop and go, as processes of their own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use stead_linux::gate;

use super::*;

/// Tells a helper which form it has to use.
const FORM: &str = "GATE_TEST_FORM";

for_both_forms!(
    it_closes_though_its_guard_was_killed,
    a_guard_stopped_between_computing_and_storing_can_t_lengthen_the_lease,
    a_guard_that_leaves_in_order_leaves_what_every_version_knows,
);

/// A guard of its own in another process.
struct Helper {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Runs one of the helpers below inside `ns`.
    fn start(ns: &NetNs, before: &[&str], form: Form, name: &str) -> Self {
        let exe = std::env::current_exe().expect("our own path");
        let name = format!("gate::guards::{name}");
        let spawn = || {
            let mut words = before.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>();
            words.push(exe.as_os_str());
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args([&name, "--exact", "--ignored", "--nocapture"]);
            command.env(FORM, form.to_string());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        };
        let mut child = ns.run(spawn).expect("inside").expect("a process");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let input = child.stdin.take().expect("piped");
        Self { child, input, output }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process number"))
    }

    /// Waits for a line that begins so, and returns the rest of it.
    fn said(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("readable") > 0 {
            if let Some(rest) = line.trim_end().strip_prefix(wanted) {
                return rest.to_owned();
            }
            line.clear();
        }
        panic!("the helper ended without saying {wanted:?}");
    }

    fn go_on(&mut self) {
        writeln!(self.input).expect("it reads");
    }
}

/// A helper does not outlive its test, stopped or not.
impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a helper.
fn own_gate(instance: &str, device: &str) -> Gate {
    let form = std::env::var(FORM).expect("told").parse().expect("a form");
    let mut gate = Gate::install_form(form, instance, &[device]).expect("a gate");
    gate.manage(&SERVICE).expect("managed");
    gate
}

fn say(line: &str) {
    println!("\n{line}");
    std::io::stdout().flush().expect("said");
}

fn wait_for_word() {
    std::io::stdin().read_line(&mut String::new()).expect("readable");
}

#[test]
#[ignore = "a helper process of the test below"]
fn arms_and_waits() {
    let mut gate = own_gate("killed", "eth0");
    open_both(&mut gate, Duration::from_secs(4));
    say("armed");
    wait_for_word();
}

fn it_closes_though_its_guard_was_killed(form: Form) {
    let mut pair = Pair::new();
    let mut guard = Helper::start(&pair.node, &[], form, "arms_and_waits");
    guard.said("armed");
    if tables_have_owners() {
        for other in Form::ALL {
            let install = || Gate::install_form(other, "killed", &["eth0"]);
            let refused = pair.node.run(install).expect("inside");
            assert!(matches!(refused, Err(GateError::Owned)), "it belongs to the first");
        }
        nft(&pair.node, &["flush", "ruleset"]);
    }
    drop(guard);
    pair.wait_until("the kernel closes it", |pair| !WAYS.iter().any(|way| pair.answers(*way)));
    let mut next = gate_on(&pair.node, form, "killed", &["eth0"]);
    assert_eq!(next.managed().count(), 2, "taken over");
    none_answers(&mut pair);
    open_both(&mut next, LONG);
    all_answer(&mut pair);
    drop(next);
    let other = gate_on(&pair.node, form, "other", &["eth0"]);
    let gone = pair.node.run(|| gate::uninstall_leftovers("killed")).expect("inside");
    assert!(gone.expect("removed"));
    all_answer(&mut pair);
    other.remove().expect("removed");
}

#[test]
#[ignore = "a helper process of the test below"]
fn computes_stops_and_stores() {
    let mut gate = own_gate("stopped", "eth0");
    open_both(&mut gate, LONG);
    say("armed");
    wait_for_word();
    let deadline = after(Duration::from_millis(100));
    open_both(&mut gate, Duration::from_millis(50));
    say(&format!("deadline {deadline}"));
    raise(Signal::SIGSTOP).expect("stopped, and continued");
    gate.open_until(&SERVICE, deadline).expect("done, much too late");
    say("stored");
    wait_for_word();
}

/// Nothing may answer once the deadline has passed: not while the guard stands still, not when it
/// goes on and does what it had computed before.
fn a_guard_stopped_between_computing_and_storing_can_t_lengthen_the_lease(form: Form) {
    let mut pair = Pair::new();
    let mut guard = Helper::start(&pair.node, &[], form, "computes_stops_and_stores");
    guard.said("armed");
    all_answer(&mut pair);
    guard.go_on();
    let deadline: u64 = guard.said("deadline ").parse().expect("a number");
    let stopped = waitpid(guard.pid(), Some(WaitPidFlag::WUNTRACED)).expect("a child");
    assert_eq!(stopped, WaitStatus::Stopped(guard.pid(), Signal::SIGSTOP));
    let slack = Duration::from_millis(20); // more than either form's
    let late = deadline + u64::try_from(slack.as_micros()).expect("short");
    pair.wait_until("the deadline has passed", |_| boottime() > late);
    none_answers(&mut pair);
    kill(guard.pid(), Signal::SIGCONT).expect("it goes on");
    none_answers(&mut pair);
    guard.said("stored");
    none_answers(&mut pair);
}

fn a_guard_that_leaves_in_order_leaves_what_every_version_knows(form: Form) {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "leaves", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    gate.leave().expect("left");
    none_answers(&mut pair);
    for side in ["ingress", "egress"] {
        let filters = administer(&pair.node, "tc", &["filter", "show", "dev", "eth0", side]);
        assert!(!filters.contains("stead-"), "{filters}");
    }
    let mut next = gate_on(&pair.node, Form::Nftables, "leaves", &["eth0"]);
    assert_eq!(next.managed().count(), 2);
    open_both(&mut next, LONG);
    all_answer(&mut pair);
}

/// Guard after guard, in every order of forms, while somebody asks without a pause.
#[test]
fn a_managed_address_is_never_free_between_two_guards() {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, Form::Nftables, "relay", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let request = arp::request(CLIENT_MAC, crate::pair::CLIENT_V4, SERVICE_V4, NODE_MAC);
    let answered = std::thread::scope(|scope| {
        let ask = scope.spawn(|| {
            let (mut answered, mut buffer) = (0, [0; 2048]);
            while !done.load(Ordering::Relaxed) {
                if pair.wire.send(&request).is_ok() {
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                while let Some(bytes) = pair.wire.receive(&mut buffer).expect("readable") {
                    let frame = stead_linux::packet::Frame::parse(bytes);
                    let arp = frame.and_then(|frame| arp::Arp::parse(&frame));
                    answered += u32::from(arp.is_some_and(|arp| arp.sender_ip == SERVICE_V4));
                }
            }
            answered
        });
        let mut rounds = 0;
        while rounds < 40 || asked.load(Ordering::Relaxed) < 5_000 {
            drop(gate);
            // Both after both: e, e, n, n.
            let form = Form::ALL[rounds / 2 % 2];
            gate = gate_on(&pair.node, form, "relay", &["eth0"]);
            assert_eq!(gate.managed().count(), 2);
            rounds += 1;
        }
        done.store(true, Ordering::Relaxed);
        ask.join().expect("it asked")
    });
    assert_eq!(answered, 0);
}

#[test]
#[ignore = "a helper process of the test below"]
fn works_in_here() {
    let mut gate = Gate::install("rootless", &["lo"]).expect("a gate");
    assert_eq!(gate.form(), Form::Nftables);
    assert!(gate.fallback().is_some(), "and it says why");
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    gate.shut_all().expect("shut");
    gate.remove().expect("removed");
    say("works");
}

#[test]
fn it_works_in_a_user_namespace() {
    let ns = NetNs::create().expect("these tests need root");
    let before = ["unshare", "-Urn"];
    let mut helper = Helper::start(&ns, &before, Form::Nftables, "works_in_here");
    helper.said("works");
    assert!(helper.child.wait().expect("ended").success());
}

#[test]
#[ignore = "a helper process of the test below"]
fn works_with_what_the_unit_gives() {
    let mut gate = own_gate("unit", "lo");
    open_both(&mut gate, LONG);
    gate.remove().expect("removed");
    say("works");
}

/// Without CAP_PERFMON the kernel's verifier is stricter.
#[test]
fn both_forms_work_with_the_privileges_of_the_packaged_unit() {
    let unit = include_str!("../../../../packaging/stead-guard.service");
    let given = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let given = given.expect("the unit says so").split_whitespace();
    let given: String = given.map(|it| format!(",+{}", it[4..].to_lowercase())).collect();
    assert!(given.contains("+bpf") && !given.contains("perfmon"), "{given}");
    let bounded = format!("--bounding-set=-all{given}");
    for form in Form::ALL {
        let ns = NetNs::create().expect("these tests need root");
        let before = ["setpriv", &bounded, "--inh-caps=-all"];
        let mut helper = Helper::start(&ns, &before, form, "works_with_what_the_unit_gives");
        helper.said("works");
        assert!(helper.child.wait().expect("ended").success());
    }
}
