//! What the kernel might say about connections.

use stead_fuzz::{Sample, target};

use super::{diag, proc};
use crate::netlink::Frames;

/// A list of one connection over IPv6 that carries IPv4, and one of IPv4, as the kernel tells them.
fn lists() -> Vec<Sample> {
    let mut six = vec![0_u8; 72];
    six[..4].copy_from_slice(&[10, 1, 0, 0]);
    six[4..8].copy_from_slice(&[0, 80, 0x9c, 0x40]);
    six[18..24].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 100]);
    six[34..40].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 9]);
    let mut four = vec![0_u8; 72];
    four[..4].copy_from_slice(&[2, 8, 0, 0]);
    four[4..8].copy_from_slice(&[0, 80, 0x9c, 0x41]);
    four[8..12].copy_from_slice(&[10, 0, 0, 100]);
    four[24..28].copy_from_slice(&[10, 0, 0, 9]);
    let told = |body: &[u8]| {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(20_u16.to_ne_bytes());
        bytes.extend([2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(body);
        bytes
    };
    vec![("four", told(&four)), ("six-and-four", [told(&six), told(&four)].concat())]
}

#[test]
fn any_list_of_the_kernel_is_read_to_its_end() {
    target!("connections").samples(lists).count(60_000).run(|bytes| {
        let mut understood = false;
        for frame in Frames(bytes) {
            let Ok(frame) = frame else { continue };
            if let Some((_, connection)) = diag::told(frame.kind(), frame.body()) {
                let mapped = |ip: std::net::IpAddr| ip != ip.to_canonical();
                assert!(!mapped(connection.local.ip()) && !mapped(connection.remote.ip()));
                understood = true;
            }
        }
        understood
    });
}

#[test]
fn any_line_of_procs_table_is_read_or_passed_over() {
    let four = b"   0: 6400000A:0050 0900000A:9C40 01 00000000:00000000 00:00000000 00000000     0";
    let six = b"   1: 0000000000000000FFFF00006400000A:0050 \
                0000000000000000FFFF00000900000A:9C40 08 00000000:00000000 00:00000000 00000000";
    let samples = || vec![("four", four.to_vec()), ("six", six.to_vec())];
    let target = target!("proc-tcp").samples(samples).words(&[b":", b" ", b"+1", b"0A"]);
    target.count(60_000).run(|bytes| proc::told(bytes).is_some());
}

#[test]
fn both_ways_tell_the_same() {
    let line =
        b"   1: 0000000000000000FFFF00006400000A:0050 0000000000000000FFFF00000900000A:9C40 01";
    if cfg!(target_endian = "little") {
        let (state, from_proc) = proc::told(line).expect("it is read");
        let list = lists();
        let frame = Frames(&list[1].1).next().expect("one").expect("whole");
        assert_eq!(diag::told(frame.kind(), frame.body()), Some((state, from_proc)));
    }
}
