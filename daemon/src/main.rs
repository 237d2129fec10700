//! `stead`, the one binary: guard, daemon and command line.
fn main() {}
