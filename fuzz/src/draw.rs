//! Values out of bytes: the bytes are instructions, and any bytes are good ones.

/// Numbers at which arithmetic goes wrong.
const EXTREMES: [u64; 12] = [
    0,
    1,
    2,
    u32::MAX as u64,
    u32::MAX as u64 + 1,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    u64::MAX / 1_001_000,
    u64::MAX / 1_000,
    u64::MAX - 1_000_000,
    u64::MAX - 1,
    u64::MAX,
];

/// The bytes that are left. When there are none, everything drawn is the smallest value.
#[derive(Clone, Debug)]
pub struct Draw<'a>(&'a [u8]);

impl<'a> Draw<'a> {
    /// All of them.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Up to that many bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        first
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which is at most 256; zero if that is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()).checked_rem(bound).unwrap_or(0)
    }

    /// One of them.
    ///
    /// # Panics
    /// There are none.
    pub fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    /// A number: mostly a small one, at times an extreme one, at times any.
    pub fn number(&mut self) -> u64 {
        let first = self.byte();
        match first {
            0..160 => u64::from(first % 16),
            160..224 => u64::from(self.byte()) << (first % 24),
            224..248 => EXTREMES[usize::from(first - 224) % EXTREMES.len()],
            248..=255 => {
                let mut number = [0; 8];
                let bytes = self.bytes(8);
                number[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(number)
            }
        }
    }

    /// A number near another: the same, one off, or any.
    pub fn near(&mut self, number: u64) -> u64 {
        match self.byte() {
            0..192 => number,
            192..208 => number.wrapping_add(1),
            208..224 => number.wrapping_sub(1),
            224..=255 => self.number(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_good_ones_and_no_bytes_too() {
        let mut draw = Draw::new(&[5, 235, 255, 1, 2]);
        assert_eq!((draw.number(), draw.number(), draw.number()), (5, u64::MAX, 0x201));
        assert!(draw.is_empty());
        assert_eq!((draw.byte(), draw.number(), draw.near(9)), (0, 0, 9));
        assert_eq!((draw.below(0), draw.bytes(4)), (0, &[][..]));
        assert!((0..=255_u8).all(|byte| Draw::new(&[byte, 3]).below(7) < 7));
    }
}
