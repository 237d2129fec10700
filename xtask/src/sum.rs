//! Adds up the results of test runs into one line that a person or a program can rely on.
//!
//! Reads what nextest (`Summary [..] 12 tests run: 11 passed, 1 failed, 2 timed out`), libtest
//! (`test result: ok. 11 passed; 1 failed; ..`) and our own programs (`11 passed, 1 failed`) print.
//! A run that printed no result is no success: it is an error of this command.
//!
//! nextest shows what a test printed that failed, its libtest's line of one failure included. What
//! counts is the summary: a test that passed on its second try has passed.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// How nextest's last word begins.
const SUMMARY: &str = "Summary [";

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, timed out or could not be started.
    pub failed: u64,
}

/// Prints the sum over the given files as `N passed, N failed`.
pub fn run(paths: &[String]) -> Result<ExitCode> {
    if paths.is_empty() {
        bail!("sum needs at least one file with the output of a test run");
    }
    let mut total = Counts::default();
    for path in paths {
        let text = std::fs::read(path).with_context(|| format!("{path} could not be read"))?;
        let counts = count(&String::from_utf8_lossy(&text))
            .with_context(|| format!("{path} holds no result of a test run"))?;
        total.passed += counts.passed;
        total.failed += counts.failed;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The sum over all result lines of one output; nothing if there is none.
pub fn count(text: &str) -> Option<Counts> {
    let lines: Vec<String> = text.lines().map(plain).collect();
    let is_summary = |line: &String| line.trim().starts_with(SUMMARY);
    let by_nextest = lines.iter().any(is_summary);
    let mut sum = None;
    for line in lines.iter().filter(|line| !by_nextest || is_summary(line)) {
        if let Some(counts) = count_line(line) {
            let total: &mut Counts = sum.get_or_insert_default();
            total.passed += counts.passed;
            total.failed += counts.failed;
        }
    }
    sum
}

fn count_line(line: &str) -> Option<Counts> {
    let line = line.trim();
    let result = if let Some(rest) = line.strip_prefix(SUMMARY) {
        rest.split_once("run:")?.1
    } else if let Some(rest) = line.strip_prefix("test result: ") {
        rest.split_once(". ")?.1
    } else if line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" passed, ") {
        line
    } else {
        return None;
    };
    let mut counts = Counts::default();
    let mut seen = false;
    for part in result.split([',', ';', '(']) {
        let Some((number, word)) = part.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        if word.starts_with("passed") {
            (counts.passed, seen) = (counts.passed + number, true);
        } else if ["failed", "timed out", "exec failed"].iter().any(|w| word.starts_with(w)) {
            (counts.failed, seen) = (counts.failed + number, true);
        }
    }
    seen.then_some(counts)
}

/// The line without the escape sequences of a terminal.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(passed: u64, failed: u64) -> Option<Counts> {
        Some(Counts { passed, failed })
    }

    #[test]
    fn nextest_libtest_and_our_own_lines_are_counted() {
        let nextest = "     Summary [   1.2s] 14 tests run: 11 passed (1 slow), 2 failed, \
                       1 timed out, 0 skipped";
        assert_eq!(count(nextest), both(11, 3));
        assert_eq!(count("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured"), both(4, 0));
        assert_eq!(count("a\n7 passed, 1 failed\nb\n2 passed, 0 failed"), both(9, 1));
    }

    #[test]
    fn a_test_that_passed_on_its_second_try_has_passed() {
        let shown = "  TRY 1 FAIL [  9.3s] stead::it x\n    running 1 test\n    \
                     test result: FAILED. 0 passed; 1 failed; 0 ignored\n  TRY 2 PASS [ 8s] x\n";
        let end =
            "     Summary [ 659.5s] 24 tests run: 24 passed (1 flaky), 4 skipped\n   FLAKY 2/2";
        assert_eq!(count(&format!("{shown}{end}")), both(24, 0));
        let end = end.replace("24 passed (1 flaky)", "23 passed, 1 failed");
        assert_eq!(count(&format!("{shown}{end}")), both(23, 1));
    }

    #[test]
    fn colours_do_not_hide_a_result() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m3\u{1b}[0m tests run: \
                    \u{1b}[1m3\u{1b}[0m \u{1b}[32mpassed\u{1b}[0m, 0 skipped";
        assert_eq!(count(line), both(3, 0));
    }

    #[test]
    fn output_without_a_result_is_not_a_success() {
        assert_eq!(count("error: could not compile"), None);
        assert_eq!(count("Summary of 3 things"), None);
    }
}
