use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use stead_linux::namespace::{
    ChildSetup, NetNs, ProcessTree, mounts_for_us_only, user_namespaces_permitted,
};

#[test]
fn a_namespace_has_its_own_links_and_settings() {
    let ns = NetNs::create().expect("root makes a namespace");
    let links = ns.netlink().expect("a socket").links().expect("a list");
    assert_eq!(links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["lo"]);
    assert!(links[0].up && links[0].loopback);

    // Both begin with what the machine has, whatever that is.
    let other = NetNs::create().expect("another");
    let before = other.read_sysctl("net/ipv4/ip_forward").expect("its own");
    let changed = if before == "0" { "1" } else { "0" };
    ns.write_sysctl("net/ipv4/ip_forward", changed).expect("a setting");
    assert_eq!(ns.read_sysctl("net/ipv4/ip_forward").expect("it back"), changed);
    assert_eq!(other.read_sysctl("net/ipv4/ip_forward").expect("its own"), before);
    assert_ne!(ns.inode(), other.inode());
    assert!(ns.read_sysctl("net/none/such").is_err());
}

#[test]
fn a_child_starts_inside_and_is_found_there() {
    let ns = NetNs::create().expect("root makes a namespace");
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let setup = ChildSetup { network: Some(ns.clone()), session: true, ..ChildSetup::default() };
    setup.apply(&mut command);
    let mut child = command.spawn().expect("cat starts");
    let pid = i32::try_from(child.id()).expect("a pid");
    assert_eq!(ns.processes().expect("a list"), [pid]);
    drop(child.stdin.take());
    assert!(child.wait().expect("cat ends").success());
    assert!(ns.processes().expect("a list").is_empty());
}

#[test]
fn a_process_tree_dies_as_a_whole() {
    let tree = ProcessTree::create().expect("root makes a process namespace");
    let mut child = std::thread::scope(|scope| {
        let start = || {
            tree.adopt_children_of_this_thread().expect("root may");
            let mut command = Command::new("sh");
            // a grandchild in a session of its own that lost its parent
            command.args(["-c", "setsid sleep 1000 & readlink /proc/self; echo $$"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            ChildSetup { own_proc: tree.own_proc(), ..ChildSetup::default() }.apply(&mut command);
            command.spawn().expect("sh starts")
        };
        scope.spawn(start).join().expect("started")
    });
    assert!(tree.own_proc(), "root can mount proc");
    assert!(child.wait().expect("sh ends").success());
    let mut told = child.stdout.take().expect("piped");
    drop(tree);
    // the grandchild holds the pipe open: its end shows that the grandchild is gone
    let mut text = String::new();
    told.read_to_string(&mut text).expect("readable");
    let lines: Vec<u32> = text.lines().map(|line| line.parse().expect("a pid")).collect();
    assert!(lines.iter().all(|&pid| pid < 20), "pids of their own namespace: {lines:?}");
}

#[test]
fn a_bound_namespace_outlives_its_holder() {
    let path = std::env::temp_dir().join(format!("stead-ns-{}", std::process::id()));
    let ns = NetNs::create().expect("root makes a namespace");
    ns.bind_to(&path).expect("bound");
    assert!(ns.bind_to(&path).is_err(), "a name is taken once");
    let inode = ns.inode();
    drop(ns);
    assert_eq!(NetNs::open(&path).expect("still there").inode(), inode);
    nix::mount::umount(&path).expect("unmounted");
    fs::remove_file(&path).expect("removed");
}

#[test]
fn asking_for_user_namespaces_leaves_nothing_behind() {
    if let Err(refused) = user_namespaces_permitted() {
        assert!(!refused.cause.is_empty());
    }
    assert!(nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)).is_err());
}

/// On a machine where `/` is shared, as systemd makes it; here that is a thread's mounts.
#[test]
fn what_is_mounted_for_us_only_is_seen_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    for place in [&ours, &theirs] {
        fs::create_dir(place).expect("made");
    }
    let own = || unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own");
    let change = |flags| {
        let all = MsFlags::MS_REC | flags;
        mount(None::<&str>, "/", None::<&str>, all, None::<&str>).expect("changed");
    };
    let tmpfs = |place: &std::path::Path| {
        let (kind, none) = (Some("tmpfs"), None::<&str>);
        mount(kind, place, kind, MsFlags::empty(), none).expect("mounted");
    };
    let sees = |place: &std::path::Path| {
        let all = fs::read_to_string("/proc/thread-self/mountinfo").expect("readable");
        all.contains(&format!(" {} ", place.display()))
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            own();
            // Nothing of this test gets out; then as a machine with systemd is.
            change(MsFlags::MS_PRIVATE);
            change(MsFlags::MS_SHARED);
            let inside = std::thread::scope(|scope| {
                let inner = scope.spawn(|| {
                    own();
                    mounts_for_us_only().expect("made so");
                    tmpfs(&ours);
                    sees(&ours)
                });
                inner.join().expect("it ran")
            });
            assert!(inside && !sees(&ours), "it is seen inside, and nowhere else");
            std::thread::scope(|scope| {
                let (ready, wait) = std::sync::mpsc::channel();
                let (mounted, told) = std::sync::mpsc::channel::<()>();
                let inner = scope.spawn(move || {
                    own();
                    mounts_for_us_only().expect("made so");
                    ready.send(()).expect("heard");
                    told.recv().expect("told");
                    sees(&theirs)
                });
                wait.recv().expect("it is ready");
                tmpfs(&folder.path().join("theirs"));
                mounted.send(()).expect("heard");
                assert!(inner.join().expect("it ran"), "what others mount is seen here");
            });
        });
    });
}
