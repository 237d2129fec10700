//! One more input out of those there are.

use crate::Chance;

/// Pieces that mean something to many parsers: lengths, signs, the largest numbers of postcard.
const PIECES: [&[u8]; 16] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff, 0xff],
    &[0, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff; 8],
    // u64::MAX, 2^63, u32::MAX and more than any integer, as postcard writes them.
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff; 11],
    b"\n",
    b"\xc3\xa9",
];

/// How many changes one input gets at most.
const MOST_CHANGES: usize = 6;

/// Changes one of `corpus` in a few places, or makes bytes out of nothing. The result has at most
/// `longest` bytes. `words` are pieces that mean something to this target alone.
#[must_use]
pub fn mutate(chance: &mut Chance, corpus: &[Vec<u8>], words: &[&[u8]], longest: usize) -> Vec<u8> {
    let mut bytes = match chance.pick(corpus) {
        Some(sample) if chance.below(16) != 0 => sample.clone(),
        Some(_) | None => noise(chance, 64),
    };
    for _ in 0..=chance.below(MOST_CHANGES) {
        change(chance, &mut bytes, corpus, words);
        bytes.truncate(longest);
    }
    bytes
}

fn noise(chance: &mut Chance, most: usize) -> Vec<u8> {
    let length = chance.below(most + 1);
    (0..length).map(|_| chance.number().to_le_bytes()[0]).collect()
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]]) {
    let at = chance.below(bytes.len() + 1);
    let end = at + chance.below((bytes.len() - at).min(32) + 1);
    match chance.below(10) {
        0 => flip(chance, bytes, at),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = chance.number() as u8),
        2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = byte.wrapping_add(1)),
        3 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = byte.wrapping_sub(1)),
        4 => drop(bytes.drain(at..end)),
        5 => bytes.truncate(at),
        6 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        7 => {
            let piece = chance.pick(&PIECES).copied().unwrap_or_default();
            // In the place of as many bytes, or of none.
            let gone = if chance.below(2) == 0 { at } else { (at + piece.len()).min(bytes.len()) };
            bytes.splice(at..gone, piece.iter().copied());
        }
        8 => {
            let word = chance.pick(words).map(|word| word.to_vec());
            let word = word.unwrap_or_else(|| noise(chance, 16));
            let gone = if chance.below(2) == 0 { at } else { end };
            bytes.splice(at..gone, word);
        }
        _ => {
            let Some(other) = chance.pick(corpus) else { return };
            let from = chance.below(other.len() + 1);
            let upto = from + chance.below(other.len() - from + 1);
            bytes.splice(at..end, other[from..upto].iter().copied());
        }
    }
}

fn flip(chance: &mut Chance, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << chance.below(8);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn inputs_differ_stay_short_and_come_again_with_the_seed() {
        let corpus = [b"one sample".to_vec(), b"and another one".to_vec(), Vec::new()];
        let inputs = || {
            let mut chance = Chance::new(3);
            let one = || mutate(&mut chance, &corpus, &[b"word"], 40);
            std::iter::repeat_with(one).take(2_000).collect::<Vec<_>>()
        };
        let first = inputs();
        assert_eq!(first, inputs());
        assert!(first.iter().all(|input| input.len() <= 40));
        let different: BTreeSet<_> = first.iter().collect();
        assert!(different.len() > 1_300, "{}", different.len());
        let holds =
            |word: &[u8]| first.iter().any(|input| input.windows(word.len()).any(|w| w == word));
        assert!(holds(b"word") && holds(b"sample") && holds(&[0xff; 8]));
    }

    #[test]
    fn nothing_to_begin_with_is_enough() {
        let mut chance = Chance::new(1);
        let longest = (0..100).map(|_| mutate(&mut chance, &[], &[], 8).len()).max();
        assert_eq!(longest, Some(8));
    }
}
