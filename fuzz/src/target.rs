//! A target: its corpus, its number of inputs, and what happens when one of them is bad.

use std::fs;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::{Chance, mutate};

/// A file of the corpus: its name, and what is in it.
pub type Sample = (&'static str, Vec<u8>);

/// One thing to be tried.
#[derive(Clone, Debug)]
pub struct Target {
    name: &'static str,
    corpus: PathBuf,
    finds: PathBuf,
    count: u64,
    longest: usize,
    words: &'static [&'static [u8]],
}

impl Target {
    /// See [`crate::target!`]. `crate_folder` is where the crate's manifest is.
    ///
    /// # Panics
    /// That is no folder of a workspace.
    #[must_use]
    pub fn new(crate_folder: &str, name: &'static str) -> Self {
        let folder = Path::new(crate_folder);
        let workspace = folder.parent().expect("a crate stands in a workspace");
        Self {
            name,
            corpus: folder.join("tests/it/fuzz/corpus").join(name),
            finds: workspace.join("target/fuzz/finds"),
            count: 20_000,
            longest: 2_000,
            words: &[],
        }
    }

    /// How many inputs an ordinary run tries, beside the corpus. FUZZ_COUNT overrides it.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self { count, ..self }
    }

    /// The longest input, in bytes.
    #[must_use]
    pub fn longest(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// Pieces to put in, beside those that every target gets.
    #[must_use]
    pub fn words(self, words: &'static [&'static [u8]]) -> Self {
        Self { words, ..self }
    }

    /// Writes real samples into the corpus, if UPDATE is set; otherwise they are there already.
    ///
    /// # Panics
    /// They can't be written.
    #[must_use]
    pub fn samples(self, samples: impl FnOnce() -> Vec<Sample>) -> Self {
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(&self.corpus).expect("the corpus has a folder");
            for (name, bytes) in samples() {
                fs::write(self.corpus.join(name), bytes).expect("the corpus can be written");
            }
        }
        self
    }

    /// Tries the corpus and what is made of it. `check` says whether an input was accepted.
    ///
    /// # Panics
    /// `check` panicked, or accepts no file of the corpus.
    pub fn run(&self, check: impl Fn(&[u8]) -> bool) {
        #[cfg(fuzzing_libfuzzer)]
        if std::env::var_os("BOLERO_LIBFUZZER_ARGS").is_some() {
            return guided(check);
        }
        let files = self.files();
        let accepted = files.iter().filter(|(_, bytes)| self.holds(&check, bytes)).count();
        assert!(
            accepted > 0,
            "{}: none of the {} files of {} is accepted; run this test once with UPDATE=1",
            self.name,
            files.len(),
            self.corpus.display()
        );
        let corpus: Vec<_> = files.into_iter().map(|(_, bytes)| bytes).collect();
        let seed = number("FUZZ_SEED").unwrap_or(0);
        let mut chance = Chance::new(seed);
        let count = number("FUZZ_COUNT").unwrap_or(self.count);
        let mut accepted = 0_u64;
        for _ in 0..count {
            let input = mutate(&mut chance, &corpus, self.words, self.longest);
            accepted += u64::from(self.holds(&check, &input));
        }
        println!("{}: {count} inputs of seed {seed}, {accepted} accepted", self.name);
    }

    /// The files of the corpus, by name. None if it has no folder.
    ///
    /// # Panics
    /// They can't be read.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let Ok(folder) = fs::read_dir(&self.corpus) else { return Vec::new() };
        let paths = folder.map(|entry| entry.expect("the corpus can be read").path());
        let mut paths: Vec<_> = paths.collect();
        paths.sort();
        let read = |path: PathBuf| {
            let bytes = fs::read(&path).expect("the corpus can be read");
            (path, bytes)
        };
        paths.into_iter().map(read).collect()
    }

    /// Whether the input was accepted. One that panics ends the run, cut down and written away.
    fn holds(&self, check: &impl Fn(&[u8]) -> bool, input: &[u8]) -> bool {
        match catch_unwind(AssertUnwindSafe(|| check(input))) {
            Ok(accepted) => accepted,
            Err(_) => {
                let small = cut_down(check, input.to_vec());
                let path = self.finds.join(format!("{}-{:016x}", self.name, hash(&small)));
                let written = fs::create_dir_all(&self.finds).and_then(|()| {
                    fs::write(&path, &small)?;
                    Ok(path.display().to_string())
                });
                let place = written.unwrap_or_else(|error| format!("(not written: {error})"));
                let to = self.corpus.display();
                panic!(
                    "{}: {} bytes make it panic: {}\nkept as {place}; its place is {to}",
                    self.name,
                    small.len(),
                    small.escape_ascii()
                );
            }
        }
    }
}

/// Takes away what the panic does not need.
fn cut_down(check: &impl Fn(&[u8]) -> bool, mut input: Vec<u8>) -> Vec<u8> {
    let hook = panic::take_hook();
    // The panic has been told once; what follows are only repetitions.
    panic::set_hook(Box::new(|_| {}));
    let fails = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| check(input))).is_err();
    let mut piece = input.len();
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut shorter = input.clone();
            shorter.drain(at..(at + piece).min(input.len()));
            if fails(&shorter) {
                input = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    panic::set_hook(hook);
    input
}

/// A name for a find (FNV-1a).
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

/// Hands the target to libFuzzer, which never returns.
#[cfg(fuzzing_libfuzzer)]
fn guided(check: impl Fn(&[u8]) -> bool) {
    let check = AssertUnwindSafe(check);
    bolero::check!().for_each(move |input: &[u8]| {
        let AssertUnwindSafe(check) = &check;
        check(input);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One whose corpus are this crate's own sources.
    fn target(name: &'static str) -> Target {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        Target { corpus, count: 3_000, ..Target::new(env!("CARGO_MANIFEST_DIR"), name) }
    }

    #[test]
    fn a_find_is_cut_down_named_and_kept() {
        let target = target("self-test").words(&[b"<bug>"]);
        let buggy = |input: &[u8]| {
            assert!(!input.windows(5).any(|five| five == b"<bug>"), "found");
            true
        };
        let told = catch_unwind(AssertUnwindSafe(|| target.run(buggy))).expect_err("it is found");
        let told = told.downcast_ref::<String>().expect("it is told in words");
        assert!(told.contains("5 bytes make it panic: <bug>"), "{told}");
        let kept = target.finds.join(format!("self-test-{:016x}", hash(b"<bug>")));
        assert_eq!(fs::read(&kept).expect("it is kept"), b"<bug>");
        fs::remove_file(kept).expect("it can be removed");
    }

    #[test]
    fn a_corpus_that_reaches_nothing_fails() {
        let told = catch_unwind(|| target("nothing").run(|_| false)).expect_err("it fails");
        let told = told.downcast_ref::<String>().expect("it is told in words");
        assert!(told.contains("UPDATE=1"), "{told}");
    }
}
