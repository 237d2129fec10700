//! Which known word was probably meant by one that is none.

/// How alike two words must be, from 0 to 1, for one to be a slip of the other.
const ALIKE: f64 = 0.6;
/// A longer word is not a slip of any name, and comparing takes the product of both lengths.
const LONGEST: usize = 100;

/// How alike two words are, whatever their case; nothing if one is no slip of the other.
pub(crate) fn likeness(word: &str, known: &str) -> Option<f64> {
    if word.len() > LONGEST || known.len() > LONGEST {
        return None;
    }
    let (word, known) = (word.to_lowercase(), known.to_lowercase());
    let alike = strsim::normalized_damerau_levenshtein(&word, &known);
    (alike >= ALIKE).then_some(alike)
}

/// The known word that was probably meant.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .filter_map(|known| Some((likeness(word, known)?, known)))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}
