//! What goes wrong has a sentence of its own.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Uid, setfsuid};
use stead_lab::Host;
use stead_redirect::routing::{
    Announce, Applied, Bfd, BirdConfigureError, ConfigureError, ControlError, Daemon, Source,
    Trouble, Unreached, Vtysh, VtyshError, WatchError, Watched, observe,
};

use super::net::{INTERFACE, Kind, Net, PATIENCE, VIP4, ip, on, prefix, prefixes, until, up};

/// Debian's user `nobody`.
const NOBODY: u32 = 65_534;

fn net(kind: Kind) -> Net {
    let net = Net::new(kind, Source::Interface(INTERFACE.to_owned()), true);
    net.ready(true);
    net
}

fn sentences(watched: &Watched) -> Vec<String> {
    watched.troubles(&prefixes()).iter().map(ToString::to_string).collect()
}

fn run(net: &Net, host: &Host, program: &str, args: &[&str]) -> String {
    let log = net.folder_of(host).join("run.log");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(program);
    command.args(args);
    let process = host.spawn(command, &log).expect("it is installed");
    let ended = process.wait(PATIENCE).expect("waited").expect("it ended");
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(ended.success(), "{program} {args:?}: {said}");
    said
}

fn birdc(net: &Net, host: &Host, words: &str) -> String {
    let socket = net.folder_of(host).join("bird.ctl");
    run(net, host, "birdc", &["-s", socket.to_str().expect("a path"), words])
}

fn vtysh(net: &Net, host: &Host, commands: &[&str]) -> String {
    let folder = net.folder_of(host);
    let mut args = vec!["--vty_socket", folder.to_str().expect("a path")];
    args.extend(commands.iter().flat_map(|command| ["-c", *command]));
    run(net, host, "vtysh", &args)
}

fn exported(watched: &Watched) -> bool {
    prefixes().iter().all(|it| watched.exported.get(it).is_some_and(|to| !to.is_empty()))
}

fn only(watched: &Watched, part: &str) -> bool {
    let found = sentences(watched);
    !found.is_empty() && found.iter().all(|it| it.contains(part))
}

/// The neighbour says goodbye: its words are told, and still are once connections are refused.
fn neighbour_closes(kind: Kind, close: impl FnOnce(&Net)) {
    let net = net(kind);
    net.hold(&net.a, None);
    let before = net.until_session(&net.a, exported);
    close(&net);
    let closed = net.until_session(&net.a, |it| !up(it, true));
    println!("{kind:?}: {:?}", closed.neighbours);
    // Where the look came late, what was seen first is what an earlier look would have left.
    let told = closed.clone().after(&before);
    let found = sentences(&told);
    println!("{found:?}");
    assert!(found.iter().any(|it| it.contains("neighbour")), "{found:?}");
    let words = found.iter().any(|it| it.contains("dministrative") || it.contains("BFD"));
    assert!(words || kind == Kind::Bird, "{found:?}");
    if !closed.neighbours.iter().any(|it| it.was_told()) {
        return;
    }
    assert!(only(&told, "closed the session: "), "{found:?}");
    if kind == Kind::Frr {
        // It keeps the reason by itself.
        return;
    }
    let later = net.until_session(&net.a, |it| !it.neighbours.iter().any(|one| one.was_told()));
    if !up(&later, true) {
        assert!(only(&later.after(&closed), "closed the session: "));
    }
}

#[test]
fn a_neighbour_closes_the_session_with_bird() {
    neighbour_closes(Kind::Bird, |net| drop(birdc(net, &net.r1, "disable node")));
}

#[test]
fn a_neighbour_closes_the_session_with_frr() {
    neighbour_closes(Kind::Frr, |net| {
        let commands =
            ["configure terminal", "router bgp 65001", "neighbor 10.1.0.2 shutdown message moving"];
        drop(vtysh(net, &net.r1, &commands));
    });
}

/// What a router drops on its way in is seen from another node alone.
#[test]
fn a_router_that_filters_is_seen_from_beyond_it() {
    let net = net(Kind::Bird);
    let file = net.folder_of(&net.r1).join("bird.conf");
    let text = std::fs::read_to_string(&file).expect("there");
    let (first, node) = text.split_once("protocol bgp node").expect("the node's session");
    let node = node.replace("import all", "import where net != 10.99.0.1/32");
    let node = node.replacen("ipv6 { import where net != 10.99.0.1/32", "ipv6 { import all", 1);
    std::fs::write(&file, format!("{first}protocol bgp node{node}")).expect("written");
    assert!(birdc(&net, &net.r1, "configure").contains("Reconfig"));
    net.hold(&net.a, None);
    let watched = net.until_session(&net.a, exported);
    assert_eq!(watched.troubles(&prefixes()), [], "nothing is wrong as seen from here");

    let look = |address: &'static str| {
        on(&net.b, || observe(ip(address), Some(ip("10.2.0.2")), Duration::from_secs(1)))
            .expect("looked")
    };
    until("the other prefix is there", || look("10.98.0.1").answered);
    let seen = look(VIP4);
    assert!(!seen.answered, "{seen:?}");
    let trouble = seen.unreached(ip(VIP4)).expect("one");
    println!("{trouble}");
    assert!(matches!(trouble, Unreached::NoRoute { .. }), "{trouble}");
    assert_eq!(look("10.98.0.1").unreached(ip("10.98.0.1")), None);
}

/// A filter of the operator's own, on the way out.
fn filtered_here(kind: Kind, filter: impl FnOnce(&Net)) {
    let net = net(kind);
    net.hold(&net.a, None);
    net.until_session(&net.a, exported);
    filter(&net);
    let watched = net.until_session(&net.a, |it| {
        up(it, true) && it.exported.get(&prefix("10.99.0.1/32")).is_some_and(Vec::is_empty)
    });
    let found = sentences(&watched);
    let wanted = |it: &&String| it.contains("10.99.0.1/32 is learnt but not announced to");
    assert_eq!(found.iter().filter(wanted).count(), 1, "{found:?}");
}

#[test]
fn an_export_filter_of_bird_is_told() {
    filtered_here(Kind::Bird, |net| {
        let file = net.folder_of(&net.a).join("bird.conf");
        let text = std::fs::read_to_string(&file).expect("there");
        let export = "export where stead_announces()";
        let text = text.replace(export, "export where stead_announces() && net != 10.99.0.1/32");
        let text = text.replacen(
            "ipv6 { import all; export where stead_announces() && net != \
            10.99.0.1/32",
            "ipv6 { import all; export where stead_announces()",
            1,
        );
        std::fs::write(&file, text).expect("written");
        assert!(birdc(net, &net.a, "configure").contains("Reconfig"));
    });
}

#[test]
fn an_export_filter_of_frr_is_told() {
    filtered_here(Kind::Frr, |net| {
        let commands = [
            "configure terminal",
            "ip prefix-list out seq 5 deny 10.99.0.1/32",
            "ip prefix-list out seq 10 permit any",
            "router bgp 65010",
            "address-family ipv4 unicast",
            "neighbor 10.1.0.1 prefix-list out out",
        ];
        drop(vtysh(net, &net.a, &commands));
    });
}

/// The interface of the addresses is down; and a node announces what it should not hold.
#[test]
fn what_is_not_learnt_and_what_is_not_held_are_told() {
    for kind in [Kind::Bird, Kind::Frr] {
        let net = net(kind);
        let watched = net.watch(&net.a);
        assert!(only(&watched, "has not learnt it"), "{:?}", sentences(&watched));
        net.hold(&net.a, None);
        let watched = net.until_session(&net.a, exported);
        let found = watched.troubles(&prefixes()[1..]);
        let wanted = Trouble::NotHeld { prefix: prefixes()[0] };
        assert_eq!(found, [wanted], "{watched:?}");
    }
}

#[test]
fn bfd_that_the_router_lacks_is_told() {
    let net = net(Kind::Bird);
    let file = net.folder_of(&net.r1).join("bird.conf");
    let text = std::fs::read_to_string(&file).expect("there");
    let (first, node) = text.split_once("protocol bgp node").expect("the node's session");
    let node = node.replacen("bfd on;", "", 1);
    std::fs::write(&file, format!("{first}protocol bgp node{node}")).expect("written");
    assert!(birdc(&net, &net.r1, "configure").contains("Reconfig"));
    let down = |it: &Watched| it.neighbours.iter().all(|it| it.bfd == Bfd::Down);
    let watched = net.until_session(&net.a, |it| down(it) && up_without(it));
    assert!(sentences(&watched).iter().any(|it| it.contains("UDP port 3784")));
}

fn up_without(watched: &Watched) -> bool {
    use stead_redirect::routing::Session;
    watched.neighbours.iter().all(|it| it.session == Session::Established)
}

async fn refusal(daemon: &Daemon) -> WatchError {
    daemon.watch(&prefixes()).await.expect_err("nobody answers")
}

#[test]
fn a_daemon_that_is_gone_is_told_from_one_that_does_not_permit() {
    let net = net(Kind::Bird);
    let daemon = net.daemon(&net.a);
    let socket = net.folder_of(&net.a).join("bird.ctl");
    // Root passes by all modes, so this thread opens files as somebody else.
    std::fs::set_permissions(net.folder.path(), Permissions::from_mode(0o755)).expect("ours");
    std::fs::set_permissions(&socket, Permissions::from_mode(0o600)).expect("ours");
    let denied = on(&net.a, || async {
        setfsuid(Uid::from_raw(NOBODY));
        refusal(&daemon).await
    });
    assert!(matches!(denied, WatchError::Bird(ControlError::Denied { .. })), "{denied:?}");

    net.a.freeze().expect("stopped");
    let frozen = on(&net.a, || refusal(&daemon));
    assert!(matches!(frozen, WatchError::Bird(ControlError::Late { .. })), "{frozen:?}");
    net.a.thaw().expect("goes on");

    birdc(&net, &net.a, "down");
    until("it has ended", || !socket.exists());
    let gone = on(&net.a, || refusal(&daemon));
    assert!(matches!(gone, WatchError::Bird(ControlError::Absent { .. })), "{gone:?}");
    assert!(gone.to_string().contains("BIRD is not running"), "{gone}");

    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    let gone = on(&net.a, || refusal(&daemon));
    assert!(matches!(gone, WatchError::Bird(ControlError::Ended { .. })), "{gone:?}");

    // What is to be announced is there for BIRD's next start all the same.
    let other = Announce::new(BTreeSet::from([prefix("10.97.0.0/24")]), net.source.clone());
    let other = other.expect("right");
    let told = on(&net.a, || async { daemon.configure(&other).await });
    let words = told.expect_err("nobody listens").to_string();
    assert!(words.contains("is read when BIRD starts"), "{words}");
    std::fs::remove_file(&socket).expect("ours");
    net.start_node(&net.a, true);
    net.until_session(&net.a, |it| up(it, true) && it.configured);
    let told = on(&net.a, || async { daemon.configure(&other).await });
    assert_eq!(told.expect("it listens"), Applied::Unchanged);
}

#[test]
fn frr_without_its_daemons_is_told() {
    let net = net(Kind::Frr);
    let daemon = net.daemon(&net.a);
    net.a.freeze().expect("stopped");
    let frozen = on(&net.a, || refusal(&daemon));
    assert!(matches!(frozen, WatchError::Frr(VtyshError::Late { .. })), "{frozen:?}");
    net.a.thaw().expect("goes on");

    let pid = std::fs::read_to_string(net.folder_of(&net.a).join("bgpd.pid")).expect("there");
    run(&net, &net.a, "kill", &["-KILL", pid.trim()]);
    let mut last = None;
    until("bgpd is missed", || {
        last = Some(on(&net.a, || refusal(&daemon)));
        matches!(last, Some(WatchError::Frr(VtyshError::NoBgp)))
    });
    let nowhere = tempfile::tempdir().expect("a folder");
    let vtysh = Vtysh { sockets: Some(nowhere.path().to_owned()), ..Vtysh::debian() };
    let gone = on(&net.a, || async { refusal(&Daemon::Frr(vtysh)).await });
    assert!(matches!(gone, WatchError::Frr(VtyshError::Unreached { .. })), "{gone:?}");
    let program = nowhere.path().join("vtysh");
    let vtysh = Vtysh { program, sockets: None };
    let gone = on(&net.a, || async { refusal(&Daemon::Frr(vtysh)).await });
    assert!(matches!(gone, WatchError::Frr(VtyshError::Run { .. })), "{gone:?}");
}

/// BIRD refuses what an operator wrote: our file is as it was, and the error has BIRD's words.
#[test]
fn a_refused_configuration_is_taken_back() {
    let net = net(Kind::Bird);
    let (daemon, folder) = (net.daemon(&net.a), net.folder_of(&net.a));
    let (theirs, ours) = (folder.join("bird.conf"), folder.join("stead.conf"));
    let (text, before) = (std::fs::read_to_string(&theirs), std::fs::read(&ours).expect("there"));
    let text = text.expect("there");
    std::fs::write(&theirs, format!("{text}\nprotocol nonsense {{ }}\n")).expect("written");
    let other = Announce::new(BTreeSet::from([prefix("10.97.0.0/24")]), net.source.clone());
    let other = other.expect("right");
    let refused = on(&net.a, || async { daemon.configure(&other).await });
    let refused = refused.expect_err("BIRD reads nonsense");
    let kind = matches!(&refused, ConfigureError::Bird(BirdConfigureError::Refused { .. }));
    assert!(kind && refused.to_string().contains("bird.conf:"), "{refused}");
    println!("{refused}");
    assert_eq!(std::fs::read(&ours).expect("there"), before);
    assert!(net.watch(&net.a).configured, "BIRD goes on");

    // An operator who forgot us.
    let include = format!("include \"{}\";", ours.display());
    let without = text.replace(&include, "function stead_announces() { return false; }");
    std::fs::write(&theirs, without).expect("written");
    let forgot = on(&net.a, || async { daemon.configure(&other).await });
    let forgot = forgot.expect_err("BIRD does not read it").to_string();
    assert!(forgot.contains("does not include"), "{forgot}");
    let watched = net.watch(&net.a);
    assert!(only(&watched, "does not have what stead configured"), "{watched:?}");
}

/// What leaves the register is announced no longer; down to nothing at all.
#[test]
fn what_may_be_announced_no_longer_is_withdrawn() {
    for kind in [Kind::Bird, Kind::Frr] {
        let net = net(kind);
        let daemon = net.daemon(&net.a);
        net.hold(&net.a, None);
        net.until_session(&net.a, exported);
        for left in [vec!["fd99::1/128"], vec![]] {
            let left: BTreeSet<_> = left.into_iter().map(prefix).collect();
            let announce = Announce::new(left.clone(), net.source.clone()).expect("right");
            let told = on(&net.a, || async { daemon.configure(&announce).await });
            assert_eq!(told.expect("told"), Applied::Changed);
            let watched = net.until_session(&net.a, |it| it.learnt == left);
            assert!(up(&watched, true), "no session was lost for it: {watched:?}");
        }
    }
}

/// What an operator is told to write is what the daemons read.
#[test]
fn what_is_explained_can_be_copied() {
    let folder = tempfile::tempdir().expect("a folder");
    let include = folder.path().join("stead.conf");
    let control = folder.path().join("bird.ctl");
    let bird = Daemon::Bird { control, include };
    for source in [Source::Interface(INTERFACE.to_owned()), Source::Kernel(83)] {
        let announce = Announce::new(prefixes().into_iter().collect(), source).expect("right");
        // BIRD is not there, and its file is.
        let told = on_this(async { bird.configure(&announce).await });
        assert!(told.is_err(), "{told:?}");
        for (daemon, args) in [
            (&bird, ["/usr/sbin/bird", "-p", "-c"]),
            (&Daemon::Frr(Vtysh::debian()), ["/usr/bin/vtysh", "-C", "-f"]),
        ] {
            let file = folder.path().join(daemon.name());
            std::fs::write(&file, daemon.explain(&announce)).expect("written");
            let output = Command::new(args[0]).args(&args[1..]).arg(&file).output();
            let output = output.expect("it is installed");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}\n{}", daemon.explain(&announce));
        }
    }
}

fn on_this<T>(act: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(act)
}

/// The operator redistributes addresses already, by another rule: FRR has one place for both.
#[test]
fn a_place_that_is_taken_is_left_to_the_operator() {
    let net = Net::new(Kind::Frr, Source::Interface(INTERFACE.to_owned()), true);
    let daemon = net.daemon(&net.a);
    net.until_session(&net.a, |it| up(it, true));
    let commands = [
        "configure terminal",
        "router bgp 65010",
        "address-family ipv4 unicast",
        "redistribute connected route-map theirs",
    ];
    vtysh(&net, &net.a, &commands);
    let before = vtysh(&net, &net.a, &["show running-config"]);
    let announce = net.announce();
    let told = on(&net.a, || async { daemon.configure(&announce).await });
    let words = told.expect_err("it is taken").to_string();
    assert!(words.contains("redistribute connected route-map theirs"), "{words}");
    assert_eq!(vtysh(&net, &net.a, &["show running-config"]), before, "nothing was touched");
}
