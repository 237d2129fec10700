//! What is run beside a service, and what asks as its clients would.

use std::fs;

use stead::agent::{HookRun, Wish};
use stead_core::id::Epoch;
use stead_core::node::Hook;
use stead_core::state::Cause;
use stead_core::state::config::{HookConfig, Look, Probe};
use stead_core::time::Span;

use super::bed::{BOTH, Bed, config, monitored, processes, web};

fn run(bed: &mut Bed, hook: Hook, cause: Option<Cause>, text: &str, millis: u64) {
    let text = format!("cd {}; {text}", bed.dir.path().display());
    let command = ["/bin/sh", "-c", &text].map(str::to_owned).to_vec();
    let command = HookConfig { command, timeout: Span::from_millis(millis) };
    bed.programs.hook(&web(), Epoch(3), HookRun { config: config(None), command, hook, cause });
}

const LONG: u64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_are_run_with_their_reasons_and_hold_nothing_up() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let script = bed.script("exec sleep 600");
        bed.start(3, &script);
        assert_eq!(bed.told().await, "started 3");
        let tell = "echo $STEAD_HOOK $STEAD_CAUSE $STEAD_SERVICE $STEAD_NODE $STEAD_ADDRESSES \
                    > told.new; mv told.new told";
        run(&mut bed, Hook::Takeover, Some(Cause::Silent), tell, LONG);
        assert_eq!(bed.read("told").await, "takeover silent web node1 10.0.0.100 fd00::100\n");
        // Its shell ends a moment after its last command; a next one would end it before that.
        let note = bed.run().join("web.hook.note");
        bed.wait_for("the hook is over", |_| !note.exists()).await;
        // One that fails is told with its own words.
        run(&mut bed, Hook::Takeover, None, "echo no such router; exit 3", LONG);
        let told = bed.told().await;
        assert!(told.contains("exit status 3, it said: no such router"), "{told}");
        // One that hangs, and has let others walk away, is over with its time.
        let hangs = "setsid sleep 600 & echo $$ > hangs; sleep 600";
        run(&mut bed, Hook::Release, Some(Cause::Planned), hangs, 300);
        bed.stop(3);
        let told = bed.told().await;
        assert!(told.contains("Release") && told.contains("not over within 0.3 s"), "{told}");
        assert_eq!(bed.told().await, "stopped 3", "and what follows it comes");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_ends_with_its_service_and_with_its_daemon() {
    let mut bed = Bed::new(BOTH[0]);
    bed.start(3, &config(None));
    assert_eq!(bed.told().await, "started 3");
    let hangs = "echo $$ > begun.new; mv begun.new begun; sleep 600";
    run(&mut bed, Hook::Takeover, None, hangs, LONG);
    bed.read("begun").await;
    bed.stop(3);
    let told = bed.told().await;
    assert!(told.contains("it was killed: the service stops"), "{told}");
    assert_eq!(bed.told().await, "stopped 3");
    bed.assert_gone();
    // A daemon that is killed leaves one, and the next ends it: nobody watches its time any more.
    fs::remove_file(bed.path("begun")).expect("removed");
    bed.start(4, &config(None));
    assert_eq!(bed.told().await, "started 4");
    run(&mut bed, Hook::Takeover, None, hangs, LONG);
    bed.read("begun").await;
    assert!(!processes(&bed.run()).is_empty());
    bed.restart();
    bed.wait_for("it is ended", |bed| processes(&bed.run()).is_empty()).await;
    let note = bed.run().join("web.hook.note");
    bed.wait_for("it is forgotten", |_| !note.exists()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answers_and_single_failures_count_as_the_file_says() {
    let mut bed = Bed::new(BOTH[0]);
    let script = bed.script("exec sleep 600");
    // Good at once, so that nothing is being waited for, and slow from then on.
    let answers = format!(
        "cd {}; test -e begun || {{ echo > begun; exit 0; }}; sleep 2",
        bed.dir.path().display()
    );
    let slow = monitored(script.clone(), &answers, 20_000);
    let look = Look { slower_than: Some(Span::from_millis(1_000)), ..Look::default() };
    bed.programs.start(web(), Epoch(3), Wish { look, ..Wish::from(&slow) });
    assert_eq!(bed.told().await, "started 3");
    let told = bed.told().await;
    assert!(told.starts_with("fails 3: its monitor was answered after "), "{told}");
    assert!(told.ends_with("slower than 1000 ms"), "{told}");
    assert!(bed.programs.answers()[&web()].as_millis() >= 2_000);
    bed.stop(3);
    while bed.told().await != "stopped 3" {}
    assert!(bed.programs.answers().is_empty(), "of what is not here nothing is shown");
    // It works once, and fails from then on: the third failure in a row counts.
    let counts = format!(
        "cd {}; test -e once || {{ echo > once; exit 0; }}; echo x >> runs; exit 1",
        bed.dir.path().display()
    );
    let failing = monitored(script, &counts, 20_000);
    let look = Look { failures: 3, ..Look::default() };
    bed.programs.start(web(), Epoch(4), Wish { look, ..Wish::from(&failing) });
    assert_eq!(bed.told().await, "started 4");
    assert!(bed.told().await.starts_with("fails 4: exit status 1"));
    assert!(bed.read("runs").await.lines().count() >= 3);
    bed.stop(4);
    while bed.told().await != "stopped 4" {}
    bed.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_is_asked_without_a_program() {
    let mut bed = Bed::new(BOTH[0]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("its address");
    let mut asked = monitored(config(None), "unused", 5_000);
    asked.monitor.as_mut().expect("there").command.clear();
    let look = Look { probe: Some(Probe::Tcp(at)), ..Look::default() };
    bed.programs.start(web(), Epoch(3), Wish { look, ..Wish::from(&asked) });
    assert_eq!(bed.told().await, "started 3");
    bed.wait_for("it was answered", |bed| bed.programs.answers().contains_key(&web())).await;
    drop(listener);
    let told = bed.told().await;
    assert!(told.starts_with(&format!("fails 3: no connection to {at}")), "{told}");
    bed.stop(3);
    while bed.told().await != "stopped 3" {}
}
