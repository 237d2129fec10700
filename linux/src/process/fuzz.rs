//! Lines of /proc, whose second field is whatever a program calls itself.

use stead_fuzz::target;

use super::proc::Stat;

#[test]
fn any_line_of_proc_is_read_or_refused() {
    let line = b"42 (evil) R 1 (\xff) S 1 40 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 9876 1 2";
    let samples = || vec![("evil-name", line.to_vec())];
    let target = target!("proc-stat").samples(samples).words(&[b")", b"(", b" ", b"-1", b"Z"]);
    target.count(60_000).run(|bytes| Stat::parse(bytes).is_some());
}
