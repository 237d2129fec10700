//! The least, the middle and the greatest of some figures.

/// What is told of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many figures there are.
    pub count: usize,
    /// The least.
    pub min: f64,
    /// The middle one, or halfway between the two in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

/// The spread of some figures; nothing if there are none. What is no number is left out.
#[must_use]
pub fn spread(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut all: Vec<f64> = figures.into_iter().filter(|it| it.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    let (min, max) = (*all.first()?, *all.last()?);
    let middle = all.len() / 2;
    let upper = *all.get(middle)?;
    let median = if all.len().is_multiple_of(2) {
        f64::midpoint(*all.get(middle.checked_sub(1)?)?, upper)
    } else {
        upper
    };
    Some(Spread { count: all.len(), min, median, max })
}

/// The least figure that so large a part of all does not exceed; nothing if there are none. They
/// are in order.
#[must_use]
pub fn quantile<T: Copy>(sorted: &[T], part: f64) -> Option<T> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_all_does_not_exceed_its_quantile() {
        let all: Vec<u64> = (1..=200).collect();
        let of = |part| quantile(&all, part);
        assert_eq!([of(0.0), of(0.5), of(0.99), of(1.0)], [1, 100, 198, 200].map(Some));
        assert_eq!(quantile(&[7], 0.99), Some(7));
        assert_eq!(quantile::<u64>(&[], 0.5), None);
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let of = |figures: &[f64]| spread(figures.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7.0]), Some(Spread { count: 1, min: 7.0, median: 7.0, max: 7.0 }));
        assert_eq!(of(&[9.0, 1.0, 2.0]).map(|it| it.median), Some(2.0));
        let four = Spread { count: 4, min: 1.0, median: 2.5, max: 100.0 };
        assert_eq!(of(&[100.0, 2.0, 1.0, 3.0]), Some(four));
        assert_eq!(of(&[f64::NAN, 4.0]).map(|it| it.count), Some(1));
    }
}
