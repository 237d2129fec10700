//! What the packet filter might answer.

use stead_fuzz::target;

use super::wire::{Attrs, attributes, read_answers, text};

/// The acknowledgement of a refusal with the kernel's words, and an object of a dump.
fn answer(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or(0);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(body);
    bytes
}

#[test]
fn any_answer_of_the_kernel_is_read_to_its_end() {
    let samples = || {
        let mut refusal = (-22_i32).to_ne_bytes().to_vec();
        refusal.extend([0; 16]);
        refusal.extend([8, 0, 1, 0]);
        refusal.extend(b"no!\0");
        let attrs = Attrs::new().text(1, "stead-1").be32(2, 7);
        let nested = Attrs::new().nest(3, &attrs).be64(4, 300).into_bytes();
        let mut both = answer(2, 0x300, &refusal);
        both.extend(answer(3, 0, &[]));
        vec![
            ("refusal", answer(2, 0x300, &refusal)),
            ("refusal-whole", answer(2, 0x200, &refusal)),
            ("object", answer(0x0a01, 0, &[&[5, 0, 0, 0][..], &nested].concat())),
            ("two", both),
        ]
    };
    target!("gate-answers").samples(samples).count(60_000).run(|bytes| {
        let mut walked = 0;
        for (_, value) in attributes(bytes) {
            walked += value.len();
            assert!(text(value).len() <= 3 * value.len());
        }
        assert!(walked <= bytes.len());
        read_answers(bytes) > 0
    });
}
