//! A small histogram, in the place of the crate `base2histogram` that openraft asks for.
//!
//! openraft counts the sizes of its batches, for a feature that we don't build. The crate it counts
//! with makes tables for all sixteen widths of its buckets when the first histogram is made, 26 MiB
//! that stay with the daemon for good; openraft uses one width, whose table has a few hundred
//! entries (docs/reference/hot-path.md). This one has the same names, as far as openraft uses them,
//! and one bucket for each power of two.
//!
//! `[patch.crates-io]` in the workspace puts it there. It goes when upstream makes only the tables
//! that are used. Deliberately absent: other widths, slots, charts.

use std::fmt;
use std::marker::PhantomData;

/// How many buckets there are: zero, and one for each length of a number in bits.
const BUCKETS: usize = u64::BITS as usize + 1;

/// Counts of values by their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: Box<[u64; BUCKETS]>,
    slot: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// One without values.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), slot: PhantomData }
    }

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value that came so often.
    pub fn record_n(&mut self, value: u64, times: u64) {
        let bucket = &mut self.counts[(u64::BITS - value.leading_zeros()) as usize];
        *bucket = bucket.saturating_add(times);
    }

    /// How many values were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The least value of the bucket in which that part of all values ends; zero without values.
    #[must_use]
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = self.total() as f64 * part;
        let mut sum = 0.0;
        for (bits, count) in self.counts.iter().enumerate() {
            sum += *count as f64;
            if *count > 0 && sum >= wanted {
                return bits.checked_sub(1).map_or(0, |power| 1 << power);
            }
        }
        0
    }

    /// The usual ones.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

/// Which values the given parts of all values stay below, in permille of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the percentile of its name")]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p99, .. } = self;
        write!(f, "[samples: {samples}, P50: {p50}, P99: {p99}]")
    }
}

/// Histograms by name. They are told as lines, not drawn.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart<T = ()>(Vec<(String, Histogram<T>)>);

impl<T> AsciiChart<T> {
    /// One without lines.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// With a line more.
    #[must_use]
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.0.push((name.to_owned(), histogram));
        self
    }

    /// All that there is to tell.
    #[must_use]
    pub fn detailed(&self) -> &Self {
        self
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, it)| writeln!(f, "{name}: {}", it.percentile_stats()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_bucket_of_its_size() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats(), PercentileStats::default());
        for value in [0, 1, 900, u64::MAX] {
            histogram.record(value);
        }
        histogram.record_n(3, 3);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p0_1, stats.p50, stats.p99_9), (7, 0, 2, 1 << 63));
        assert_eq!(histogram.percentile(0.8), 512);
        let chart = AsciiChart::new().add("sizes", histogram);
        assert_eq!(chart.to_string(), "sizes: [samples: 7, P50: 2, P99: 9223372036854775808]\n");
    }
}
