//! The benchmark: how long clients wait when a node fails, with stead and with what exists.
//!
//! What it is for: figures that anyone can repeat with one command, `bench/run`, each beside that
//! of keepalived and of Pacemaker from the same bed, the same clients and the same run. What each
//! bench measures, and what it can't say, stands in `docs/reference/bench.md`.
//!
//! Happy path: [`options`] reads the command line, [`bench`] runs one of the benches. A bench
//! asks [`subject`] for clusters (stead, keepalived, Pacemaker: all of them real processes on a bed
//! of the lab), looks at them with [`measure`], and hands [`report`] one row for each trial.
//! [`report`] appends rows to a file, prints them, and makes tables and pictures of them.
//!
//! Failures: [`BenchError`]. A trial that can't be brought to its end is a row too, with its reason
//! in place of its figures: what fails is not left out. Whatever way the process ends, clusters end
//! with it.
//!
//! Deliberately absent: figures in the code, judgement (a table has no green and red), and anything
//! that tunes the machine before it measures.

pub mod bench;
mod error;
mod kept;
pub mod measure;
pub mod options;
pub mod part;
pub mod report;
pub mod subject;
mod tools;

pub use error::BenchError;
pub use tools::{Tools, shared_address};
