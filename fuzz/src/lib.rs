//! Fuzzing: bytes from outside are tried in masses on whatever parses them.
//!
//! A target is an ordinary test that hands a function over bytes to [`Target::run`]. The function
//! panics where something is wrong, and says whether the bytes were accepted. What is tried:
//!
//! 1. every file of the target's folder in the crate's corpus: real samples, and former finds;
//! 2. a fixed number of inputs made of these by [`mutate`], from a fixed seed: each run tries the
//!    same, on every machine;
//! 3. in a build with `--cfg fuzzing_libfuzzer`, what libFuzzer makes of them, guided by what the
//!    code reaches (`docs/how-to/fuzz.md`).
//!
//! Where raw bytes would never get past the first check, a target reads them as instructions by
//! which to build a value: [`Draw`].
//!
//! Failures: an input that makes the target panic is cut down to what is needed, written to
//! `target/fuzz/finds`, and named in the panic that follows; its place is the corpus. A corpus none
//! of whose files is accepted any more is a failure too: it no longer reaches anything.
//!
//! Deliberately absent: generators by type, whose inputs would change with every field that is
//! added, and a time limit for one input, which the runner of the tests has.
#![allow(unexpected_cfgs, reason = "the cfg is given by hand for a long run, and by nothing else")]

mod chance;
mod draw;
mod mutate;
mod target;

pub use chance::Chance;
pub use draw::Draw;
pub use mutate::mutate;
pub use target::{Sample, Target};

/// A target of the crate it stands in, by its name: the folder of its corpus.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::Target::new(env!("CARGO_MANIFEST_DIR"), $name)
    };
}
