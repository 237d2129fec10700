//! The lab as an ordinary user. Started as root, this program starts itself again as nobody; that
//! one moves into a user namespace, builds a bed and breaks it. It has no test harness, because a
//! process with several threads can't enter a user namespace.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use stead_lab::prober::{Prober, Target, now};
use stead_lab::{Bed, LinkSpec, Power, become_root, web};

const NOBODY: u32 = 65534;
const NAME: &str = "a_bed_of_an_ordinary_user";
const PORT: u16 = 8080;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    if has("--list") {
        if !has("--ignored") {
            println!("{NAME}: test");
        }
    } else if has("serve") {
        web::serve(None, PORT, "node1").expect("served");
    } else if nix::unistd::geteuid().is_root() {
        start_as_nobody();
        println!("test {NAME} ... ok");
    } else {
        bed_of_a_user();
    }
}

fn start_as_nobody() {
    // the build's folders need not be open to others
    let folder = std::env::temp_dir().join(format!("stead-as-user-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&folder, open.clone()).expect("opened");
    let copy = folder.join("as_user");
    std::fs::copy(std::env::current_exe().expect("our path"), &copy).expect("copied");
    std::fs::set_permissions(&copy, open).expect("opened");
    let mut command = Command::new(&copy);
    command.uid(NOBODY).gid(NOBODY).current_dir(&folder).env("TMPDIR", &folder);
    let ended = command.status();
    std::fs::remove_dir_all(&folder).expect("removed");
    assert!(ended.expect("started").success(), "the ordinary user's run failed");
}

fn bed_of_a_user() {
    let uid = nix::unistd::geteuid();
    assert!(!uid.is_root());
    println!("running as uid {uid}");
    let power = become_root().expect("this system permits user namespaces");
    assert_eq!(power, Power::UserNamespace);
    let ip = |text: &str| text.parse().expect("an address");
    let bed = Bed::new("user").expect("a bed");
    let switch = bed.switch("s").expect("a switch");
    let (client, node) = (bed.host("client").expect("made"), bed.host("node1").expect("made"));
    let spec = LinkSpec::new("eth0").addr(ip("10.0.0.100"), 24);
    bed.connect_by_relay(&client, &switch, spec, 1).expect("a cable");
    bed.connect(&node, &switch, LinkSpec::new("eth0").addr(ip("10.0.0.1"), 24)).expect("a cable");
    let mut service = Command::new(std::env::current_exe().expect("our path"));
    service.arg("serve");
    node.spawn(service, &std::env::temp_dir().join("log")).expect("started");

    let target = Target::every_millisecond(SocketAddr::new(ip("10.0.0.1"), PORT));
    let prober = Prober::http(&client, target).expect("a prober");
    wait_until("answers", || prober.answers() > 100);
    let mark = now();
    bed.silence_then_kill(&node).expect("dead");
    assert!(node.processes().expect("a list").is_empty());
    wait_until("silence", || prober.longest_gap_since(mark) > Duration::from_millis(300));
    let report = prober.finish().expect("a report");
    assert_eq!(report.nodes, ["node1"]);
    println!("real-time prober: {}", report.realtime);
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
