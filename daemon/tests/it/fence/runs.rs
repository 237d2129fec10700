//! One run of a device: its time, its end, and what nobody may see of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use stead::fence::{Action, Devices};
use stead_core::state::config::FenceAgent;
use stead_core::time::Span;

use super::bed::{Bed, NODE, program, reason, secret, short, texts};

/// Longer than anything here takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The numbers of the processes that wrote them into a file, one a line.
fn numbers(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().to_owned());
    state.is_some_and(|state| !state.starts_with('Z'))
}

/// One that hangs, with a child in its session, one in another, and one that has left its parent.
const HANGS: &str = "\
    echo hanging >&2\n\
    sleep 1000 & echo $! >>$folder/pids\n\
    setsid sh -c 'echo $$ >>'$folder'/pids; sleep 1000' &\n\
    (setsid sh -c 'echo $$ >>'$folder'/pids; exec sleep 1000' &)\n\
    echo $$ >>$folder/pids\n\
    sleep 1000";

/// The bed, with control groups and without.
fn both_ways() -> [Bed; 2] {
    let mut without = Bed::new();
    without.devices = Devices::of_daemon(without.folder.path()).without_groups();
    [Bed::new(), without]
}

#[tokio::test]
async fn one_that_hangs_is_killed_in_time_with_all_that_it_started() {
    for mut bed in both_ways() {
        bed.script("hangs", HANGS).timeout = Span::from_millis(1_500);
        bed.dummy("bmc");
        bed.levels(&[&["hangs"], &["bmc"]]);
        let attempt = bed.fence().await;
        assert_eq!(attempt.outcome, Ok(2), "{attempt:?}");
        assert_eq!(
            reason(&attempt.steps, Action::Off),
            "it did not end within 1.5 s and was killed, it had said: hanging"
        );
        let pids = numbers(&bed.path("pids"));
        assert_eq!(pids.len(), 4, "{pids:?}");
        // Those that were given to another parent may be zombies until it takes them.
        wait_until("all are gone", || !pids.iter().any(|pid| runs(pid))).await;
    }
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_killed() {
    for mut bed in both_ways() {
        bed.script("hangs", HANGS);
        bed.levels(&[&["hangs"]]);
        let pids = bed.path("pids");
        tokio::select! {
            attempt = bed.fence() => panic!("{attempt:?}"),
            () = wait_until("all run", || numbers(&pids).len() == 4) => {}
        }
        let pids = numbers(&pids);
        wait_until("all are gone", || !pids.iter().any(|pid| runs(pid))).await;
    }
}

#[tokio::test]
async fn what_a_former_daemon_left_is_killed() {
    for (mut bed, groups) in both_ways().into_iter().zip([true, false]) {
        bed.script("hangs", HANGS);
        bed.levels(&[&["hangs"]]);
        let pids = bed.path("pids");
        let mut attempt = Box::pin(bed.fence());
        tokio::select! {
            attempt = &mut attempt => panic!("{attempt:?}"),
            () = wait_until("all run", || numbers(&pids).len() == 4) => {}
        }
        // As if this were another process: its own keeps running what it waits for.
        let next = Devices::of_daemon(bed.folder.path());
        drop(if groups { next } else { next.without_groups() });
        let pids = numbers(&pids);
        wait_until("all are gone", || !pids.iter().any(|pid| runs(pid))).await;
        let attempt = attempt.await;
        assert!(reason(&attempt.steps, Action::Off).starts_with("it was killed by SIGKILL"));
    }
}

#[tokio::test]
async fn a_device_is_asked_one_thing_at_a_time() {
    let mut bed = Bed::new();
    // Whoever finds the folder there is not alone.
    let alone = "\
        mkdir $folder/busy || { echo not alone >&2; exit 1; }\n\
        sleep 0.2; rmdir $folder/busy\n\
        test $STEAD_FENCE_ACTION != status || exit 2";
    bed.script("pdu", alone);
    bed.levels(&[&["pdu:1", "pdu:2", "pdu:3"]]);
    let (first, seen, second) =
        tokio::join!(bed.fence(), bed.devices.status_of(&bed.config, NODE), bed.fence());
    assert_eq!((first.outcome, second.outcome), (Ok(1), Ok(1)));
    assert_eq!(short(&seen), ["pdu:1 status off", "pdu:2 status off", "pdu:3 status off"]);
    // Different devices do not wait for each other.
    let meets = "\
        touch $folder/$STEAD_FENCE_PLUG-$STEAD_FENCE_ACTION\n\
        other=$(echo $STEAD_FENCE_PLUG | tr ab ba)\n\
        until test -e $folder/$other-$STEAD_FENCE_ACTION; do sleep 0.01; done\n\
        test $STEAD_FENCE_ACTION != status || exit 2";
    bed.script("pdu-a", meets);
    bed.script("pdu-b", meets);
    bed.levels(&[&["pdu-a:a", "pdu-b:b"]]);
    assert_eq!(bed.fence().await.outcome, Ok(1));
}

#[tokio::test]
async fn who_has_to_fence_does_not_wait_for_all_that_only_look() {
    let mut bed = Bed::new();
    let writes = "\
        echo $STEAD_FENCE_ACTION $STEAD_FENCE_PLUG >>$folder/order\n\
        until test -e $folder/go; do sleep 0.01; done\n\
        test $STEAD_FENCE_ACTION != status || exit 2";
    bed.script("pdu", writes);
    bed.levels(&[&["pdu:9"]]);
    let other = bed.config.nodes[NODE].clone();
    bed.levels(&[&["pdu:1", "pdu:2", "pdu:3"]]);
    bed.config.nodes.insert("node9".to_owned(), other);
    let (order, go) = (bed.path("order"), bed.path("go"));
    let begins = async {
        wait_until("the first is asked", || order.exists()).await;
        fs::write(&go, "").expect("written");
    };
    let (seen, attempt, ()) = tokio::join!(
        bed.devices.status_of(&bed.config, NODE),
        bed.devices.fence(&bed.config, "node9"),
        begins
    );
    assert_eq!((seen.len(), attempt.outcome), (3, Ok(1)));
    let order = numbers(&bed.path("order"));
    assert_eq!(order, ["status 1", "off 9", "status 2", "status 9", "status 3"]);
}

/// All of /proc that others can look into: command lines and environments.
fn seen_of_processes() -> Vec<u8> {
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc").expect("there").flatten() {
        for file in ["cmdline", "environ"] {
            seen.extend(fs::read(entry.path().join(file)).unwrap_or_default());
        }
    }
    seen
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_secret_is_told_to_its_agent_and_to_nobody_else() {
    let mut bed = Bed::new();
    let value = format!("s3&cr{}t \"x", std::process::id());
    let path = secret(&bed.path("secret"), &format!("{value}\n"));
    let folder = bed.folder.path().display().to_string();
    let telltale = format!(
        "#!/bin/sh\n\
         cat >{folder}/told.new\n\
         mv {folder}/told.new {folder}/told\n\
         until test -e {folder}/looked; do sleep 0.01; done\n\
         cat {folder}/told\n\
         sed s/^/complaint:/ {folder}/told >&2\n\
         exit 1\n"
    );
    program(&bed.path("fence_telltale"), &telltale);
    let folders = vec![bed.folder.path().to_owned()];
    bed.devices = Devices::of_process().with_agents_in(folders);
    let agent = FenceAgent::Agent {
        name: "fence_telltale".to_owned(),
        parameters: texts(&[("ip", "10.0.0.5"), ("passwd", "of-the-file")]),
        secrets: texts(&[("password", &path)]),
    };
    bed.device("bmc", agent);
    bed.levels(&[&["bmc"]]);
    let told = bed.path("told");
    let mut attempt = Box::pin(bed.fence());
    tokio::select! {
        attempt = &mut attempt => panic!("{attempt:?}"),
        () = wait_until("it was told", || told.exists()) => {}
    }
    let told = fs::read_to_string(told).expect("there");
    let lines = format!("action=off\nip=10.0.0.5\npasswd=of-the-file\npassword={value}\n");
    assert_eq!(told, lines);
    let seen = seen_of_processes();
    assert!(holds(&seen, "fence_telltale"), "it runs");
    assert!(!holds(&seen, &value), "and its secret is seen nowhere");
    fs::write(bed.path("looked"), "").expect("written");
    let attempt = attempt.await;
    let kept = serde_json::to_string(&attempt).expect("written");
    assert!(!kept.contains(&value[..8]) && !kept.contains("of-the-file"), "{kept}");
    let step = &attempt.steps[0];
    assert!(step.output.contains(&"password=[secret]".to_owned()), "{step:?}");
    assert!(step.output.contains(&"complaint:passwd=[secret]".to_owned()), "{step:?}");
}

#[tokio::test]
async fn a_secret_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let mut bed = Bed::new();
    bed.dummy("bmc");
    let path = secret(&bed.path("secret"), "admin");
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(bed.path("secret"), open).expect("opened");
    let FenceAgent::Agent { secrets, .. } = &mut bed.config.devices.get_mut("bmc").unwrap().agent
    else {
        panic!("it is an agent");
    };
    secrets.insert("password".to_owned(), path.clone());
    bed.levels(&[&["bmc"]]);
    let attempt = bed.fence().await;
    let why = format!("others than its owner may use {path} (its mode is 644): chmod 600 {path}");
    assert_eq!(reason(&attempt.steps, Action::Off), why);
    assert_eq!(bed.read("bmc"), "on", "it was not asked");
}

#[tokio::test]
async fn one_that_prints_without_end_is_heard_and_bounded() {
    let mut bed = Bed::new();
    bed.script("chatty", "yes $(head -c 2000 /dev/zero | tr '\\0' x)").timeout =
        Span::from_millis(1_000);
    bed.levels(&[&["chatty"]]);
    let attempt = bed.fence().await;
    let why = reason(&attempt.steps, Action::Off);
    assert!(why.starts_with("it did not end within 1 s and was killed"), "{why}");
    let step = &attempt.steps[0];
    assert!(step.output.len() == 10 && step.output.iter().all(|line| line.len() <= 400));
}
