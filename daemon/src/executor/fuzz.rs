//! What programs say of themselves, what engines say that containers printed, and names of units,
//! which come out of a file; and what daemons say.

use stead_fuzz::target;

use super::wire::Order;
use super::{container, drop_in, ready};

#[test]
fn any_bytes_are_a_message_of_a_program() {
    let samples = || vec![("ready", b"READY=1\nSTATUS=warm\nMAINPID=7\n".to_vec())];
    let words: &[&[u8]] = &[b"READY=1", b"STATUS=", b"\n", b"\0", b"\xff"];
    target!("ready-message").samples(samples).words(words).count(60_000).run(|bytes| {
        let said = ready::read(bytes);
        let line = bytes.split(|byte| *byte == b'\n').any(|line| line == b"READY=1");
        assert_eq!(said.ready, line, "that line and no other");
        said.ready || said.status.is_some()
    });
}

#[test]
fn any_unit_has_a_slice_of_its_own_below_the_former_one() {
    let samples = || {
        let escaped = br"pg@15-main.service a-b\x2dc.slice";
        vec![
            ("plain", b"nginx.service system.slice".to_vec()),
            ("root", b"nginx.service -.slice".to_vec()),
            ("escaped", escaped.to_vec()),
        ]
    };
    let words: &[&[u8]] = &[b".slice", b".service", b"-", b"\\x2d", b"/", b"..", b" ", b"stead"];
    let target = target!("unit-slice").samples(samples).longest(300).words(words);
    target.count(60_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Some((unit, former)) = text.split_once(' ') else { return false };
        let Ok(slice) = drop_in::slice_for(unit, former) else { return false };
        assert!(slice.ends_with(".slice") && slice.len() <= 255.max(former.len()), "{slice}");
        assert_eq!(drop_in::slice_for(unit, &slice).as_deref(), Ok(&*slice), "known again");
        let ways = |name: &str| name.matches('/').count();
        assert!(ways(&slice) <= ways(former), "{slice}");
        true
    });
}

#[test]
fn any_bytes_are_what_a_container_printed() {
    let samples = || {
        let two = b"\x01\0\0\0\0\0\0\x04one\n\x02\0\0\0\0\0\0\x04two\n".to_vec();
        vec![("two", two), ("plain", b"one\ntwo\n".to_vec())]
    };
    let words: &[&[u8]] = &[b"\x01\0\0\0", b"\0\0\0\x04", b"\xff\xff\xff\xff", b"\n", b"\x02"];
    target!("container-lines").samples(samples).words(words).count(60_000).run(|bytes| {
        let lines = container::last_lines(bytes, 3);
        assert!(lines.len() <= 3 && lines.iter().all(|line| !line.contains('\n')));
        !lines.is_empty()
    });
}

#[test]
fn any_line_is_an_order_that_is_read_again_as_it_was_or_none() {
    let samples = || {
        vec![
            ("stop", b"stop\n".to_vec()),
            ("care", b"care ended\n".to_vec()),
            ("forget", b"forget data\n".to_vec()),
            ("promote", b"promote 12\n".to_vec()),
            (
                "others",
                b"others {\"unpromoted\":[],\"promoted\":[\"node1\"],\"wanted\":2}\n".to_vec(),
            ),
        ]
    };
    let words: &[&[u8]] = &[b"stop", b"care ", b"full", b"forget ", b"promote ", b"demote ", b"\n"];
    target!("executor-order").samples(samples).words(words).count(60_000).run(|bytes| {
        let Some(order) = Order::read(bytes) else { return false };
        assert_eq!(Order::read(order.line().as_bytes()), Some(order));
        true
    });
}
