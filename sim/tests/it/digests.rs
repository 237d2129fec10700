//! The same seed is the same run: within a process, between processes, and on every machine.

use std::fmt::Write as _;
use std::process::Command;

use stead_sim::swarm::{self, Seed};

/// The digests that every machine has to come to. They change with the core; `UPDATE=1`.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/digests.txt");
const SEEDS: u64 = 24;

#[test]
fn every_machine_comes_to_the_same_digests() {
    let mut text = String::from("# seed, digest, steps: the same on every machine\n");
    for seed in 0..SEEDS {
        let outcome = swarm::run(seed);
        let _ = writeln!(text, "{seed} {:016x} {}", outcome.digest, outcome.steps);
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, &text).expect("the digests are written");
    }
    let known = std::fs::read_to_string(FILE).unwrap_or_default();
    assert_eq!(known, text, "UPDATE=1 writes them, after a change of the core or the simulator");
}

#[test]
fn a_trace_is_the_same_byte_for_byte_in_every_process() {
    for seed in ["3", "17"] {
        let tell = || {
            let mut replay = Command::new(env!("CARGO_BIN_EXE_stead-sim"));
            // Neither memory layout nor environment may matter.
            let output = replay.args(["replay", seed]).env("NOISE", "x".repeat(999)).output();
            output.expect("it runs").stdout
        };
        let first = tell();
        assert!(first.len() > 10_000, "seed {seed} tells hardly anything");
        assert_eq!(first, tell(), "seed {seed} told two stories");
    }
}

#[test]
fn looking_changes_nothing_and_threads_do_not_matter() {
    let watched = swarm::play(&Seed::new(5), |world| world.tracing = true).0;
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(|| swarm::run(5).digest)).collect();
    for thread in threads {
        assert_eq!(thread.join().expect("it ends"), watched.digest);
    }
    assert_ne!(swarm::run(6).digest, watched.digest, "another seed is another run");
}
