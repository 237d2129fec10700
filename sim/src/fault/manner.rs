//! How fence devices go about what they are asked for, as a word.

use crate::reader::{Reader, ScriptError};
use crate::world::Manner;

pub(super) fn read_manner(words: &mut Reader<'_>) -> Result<Manner, ScriptError> {
    let word = words.word("how it goes about it")?;
    let known = Manner::ALL.into_iter().find(|(_, it)| *it == word);
    known.map(|(manner, _)| manner).ok_or_else(|| {
        let all: Vec<_> = Manner::ALL.iter().map(|(_, word)| *word).collect();
        words.wrong(&format!("a device is one of {}, not {word}", all.join(", ")))
    })
}
