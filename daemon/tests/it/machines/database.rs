//! A database on a disk that two machines reach. The hypervisor holds its machine still, and the
//! others have it switched off by that machine's own QEMU: what a client was told is kept is there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stead::demo::fleet::{Family, ServicePlan, service_address};
use stead_lab::prober::now;

use super::bed::Cluster;
use super::made::{THIRD, power_of};
use super::shared::{PATIENT, data, mounted};
use crate::cluster::{Must, WEB};

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// The size of the disk, in bytes. The file has holes.
const DISK: u64 = 256 << 20;
/// More rows than a client has under way at once.
const ENOUGH: usize = 5;

/// Makes a disk with an empty database on it, as it would be mounted.
fn make(folder: &Path, disk: &Path) {
    let root = folder.join("root");
    fs::create_dir(&root).must();
    for (program, words) in [("chown", vec!["postgres"]), ("chmod", vec!["755"])] {
        let done = Command::new(program).args(words).args([folder, &root]).status().must();
        assert!(done.success(), "{program}");
    }
    let mut initdb = Command::new("runuser");
    initdb.args(["-u", "postgres", "--", &format!("{PROGRAMS}/initdb"), "--auth=trust"]);
    initdb.args(["--no-sync", "--no-locale", "--encoding=UTF8", "-D"]).arg(root.join("db"));
    let done = initdb.current_dir(&root).output().must();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let small = "shared_buffers = 8MB\nmax_connections = 20\njit = off\n\
                 unix_socket_directories = '/run/postgres'\n";
    let access = "host all all 10.77.0.0/24 trust\n";
    for (file, lines) in [("postgresql.conf", small), ("pg_hba.conf", access)] {
        let path = root.join("db").join(file);
        let text = fs::read_to_string(&path).must();
        fs::write(&path, text + lines).must();
    }
    fs::File::create(disk).and_then(|file| file.set_len(DISK)).must();
    let mut filled = Command::new("mkfs.ext4");
    let done = filled.args(["-q", "-F", "-d"]).arg(&root).arg(disk).output().must();
    assert!(done.status.success(), "{done:?}");
}

/// The file system, the database on it, and the small web service for the probers.
fn database() -> ServicePlan {
    let plain = data("/dev/disk/shared");
    let postgres = format!(
        "[[services.web.resources]]\nname = \"postgres\"\nocf = \"heartbeat:pgsql\"\n\
         {PATIENT}\
         parameters = {{ pgctl = \"{PROGRAMS}/pg_ctl\", psql = \"{PROGRAMS}/psql\", \
         pgdata = \"/srv/data/db\", socketdir = \"/run/postgres\", \
         logfile = \"/run/postgres.log\", start_opt = \"-h 0.0.0.0\" }}\n"
    );
    let at = plain.resources.rfind("[[services.web.resources]]").expect("a last resource");
    let (first, last) = plain.resources.split_at(at);
    ServicePlan { resources: format!("{first}{postgres}{last}"), ..plain }
}

/// What the database answers to a client; nothing if it does not.
fn ask(cluster: &Cluster, words: &str) -> Option<String> {
    let address = service_address(Family::V4, WEB).to_string();
    let mut command = Command::new("timeout");
    command.args(["20", &format!("{PROGRAMS}/psql"), "-h", &address, "-U", "postgres"]);
    command.args(["-d", "postgres", "-Atqc", words]).env("PGCONNECT_TIMEOUT", "2");
    let output = cluster.by_client(command.stdin(Stdio::null()));
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// Writes numbers, one after the other, until it is told to end; keeps those of which it was told
/// that they are kept.
fn write(cluster: &Cluster, kept: &Mutex<Vec<u64>>, end: &AtomicBool) {
    for number in 0.. {
        if end.load(Ordering::Relaxed) {
            return;
        }
        if ask(cluster, &format!("INSERT INTO kept VALUES ({number})")).is_some() {
            kept.lock().expect("whole").push(number);
        }
    }
}

/// Ends the writer with its scope, also when a test fails in it.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_database_leaves_a_machine_held_still_once_its_qemu_has_switched_that_off() {
    let folder = tempfile::tempdir().must();
    let disk = folder.path().join("shared.disk");
    make(folder.path(), &disk);
    let cluster = Cluster::begin("vm-database", vec![database()], |_, spec| {
        let spec = spec.shared_disk("shared", &disk).setup("mkdir -p /srv/data").memory(384);
        ["shadow", "pam.d", "security", "login.defs"]
            .into_iter()
            .fold(spec, |it, file| it.etc(file))
    });
    let device = format!(
        "[fencing.devices.vm]\nexec = [\"{}\"]\ntimeout = \"60s\"\n",
        cluster.fence_program()
    );
    let by =
        |node: &str| format!("fence = [\"vm:{}\"]\nfence-after = \"stay-off\"\n", power_of(node));
    cluster.configure(by, &device);
    cluster.good(THIRD, &["fence", "test", "node1"]);
    cluster.wait_served_by("node1");
    cluster.wait("the database takes what is written", || {
        ask(&cluster, "CREATE TABLE IF NOT EXISTS kept (number bigint PRIMARY KEY)").is_some()
    });

    let (kept, end) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let count = || kept.lock().expect("whole").len();
    let before = std::thread::scope(|scope| {
        let _ending = Ending(&end);
        scope.spawn(|| write(&cluster, &kept, &end));
        cluster.wait("a client writes", || count() >= ENOUGH);
        // In the middle of it. Nothing in the machine can know, and nobody but its QEMU reaches it.
        cluster.machine("node1").pause().must();
        let before = count();
        cluster.wait_served_by("node2");
        cluster.wait("a client writes again", || count() >= before + ENOUGH);
        before
    });
    let kept = kept.into_inner().expect("whole");
    println!("{before} of {} rows were kept by node1", kept.len());
    let there = ask(&cluster, "SELECT string_agg(number::text, ' ') FROM kept").expect("an answer");
    let there: Vec<u64> = there.split(' ').map(|it| it.parse().expect("a number")).collect();
    let lost: Vec<_> = kept.iter().filter(|number| !there.contains(number)).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
    in_this_order(&cluster, &["node1 is being fenced", "node1 was fenced", "assigned to node2"]);

    // It stays off. Whoever lets it go on now lets it boot: of what it was about to write nothing
    // is left.
    assert_eq!(cluster.machine("node1").status().must(), "prelaunch");
    let resumed = now();
    cluster.machine("node1").resume().must();
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    cluster.wait_served_by("node2");
    assert!(!mounted(&cluster, "node1") && mounted(&cluster, "node2"));
    assert_eq!(cluster.answered_for("node1", resumed), Duration::ZERO);
    assert_eq!(ask(&cluster, "SELECT count(*) FROM kept"), Some(there.len().to_string()));
    cluster.good(THIRD, &["stop", "web"]);
    cluster.wait("it is unmounted", || !mounted(&cluster, "node2"));
    let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(&disk).output().must();
    assert!(checked.status.success(), "{checked:?}");
}

/// The third node tells of these one after the other.
fn in_this_order(cluster: &Cluster, words: &[&str]) {
    let told = cluster.good(THIRD, &["events"]);
    let mut rest = told.as_str();
    for word in words {
        let Some(at) = rest.find(word) else { panic!("{word:?} is not told in its turn: {told}") };
        rest = &rest[at..];
    }
}
