//! The words of one line of a script, each with its column, so that an error can point at it.

/// What can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong, and what is expected.
    pub what: String,
}

/// The words of a line, from left to right.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    line: usize,
    end: usize,
    words: Vec<(usize, &'a str)>,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The words of that line.
    #[must_use]
    pub fn new(line: usize, text: &'a str) -> Self {
        let mut words = Vec::new();
        let mut start = None;
        for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
            match (letter.is_whitespace(), start) {
                (false, None) => start = Some(at),
                (true, Some(from)) => {
                    words.push((text[..from].chars().count() + 1, &text[from..at]));
                    start = None;
                }
                (false, Some(_)) | (true, None) => {}
            }
        }
        Self { line, end: text.chars().count() + 1, words, at: 0 }
    }

    /// Whether no word is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.at >= self.words.len()
    }

    /// The next word, without taking it.
    #[must_use]
    pub fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(|(_, word)| *word)
    }

    /// The next word.
    ///
    /// # Errors
    /// If there is none: `wanted` was expected.
    pub fn word(&mut self, wanted: &str) -> Result<&'a str, ScriptError> {
        let Some((_, word)) = self.words.get(self.at) else {
            return Err(self.error(&format!("{wanted} is missing")));
        };
        self.at += 1;
        Ok(word)
    }

    /// The rest of the line, its words joined by single spaces.
    #[must_use]
    pub fn rest(&mut self) -> String {
        let rest: Vec<_> = self.words[self.at..].iter().map(|(_, word)| *word).collect();
        self.at = self.words.len();
        rest.join(" ")
    }

    /// A whole number.
    ///
    /// # Errors
    /// If it is none, or missing.
    pub fn number(&mut self, wanted: &str) -> Result<u64, ScriptError> {
        let word = self.word(wanted)?;
        word.parse().map_err(|_| self.wrong(&format!("{word} is no whole number ({wanted})")))
    }

    /// A whole number with a sign.
    ///
    /// # Errors
    /// If it is none, or missing.
    pub fn signed(&mut self, wanted: &str) -> Result<i64, ScriptError> {
        let word = self.word(wanted)?;
        word.parse().map_err(|_| self.wrong(&format!("{word} is no whole number ({wanted})")))
    }

    /// Milliseconds with up to three decimals, as microseconds; at most a day.
    ///
    /// # Errors
    /// If it is none, or missing.
    pub fn millis(&mut self) -> Result<u64, ScriptError> {
        let word = self.word("a number of milliseconds")?;
        let wrong = |it: &Self| it.wrong(&format!("{word} is no number of milliseconds"));
        let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
        let whole: u64 = whole.parse().map_err(|_| wrong(self))?;
        let digits = part.len() <= 3 && part.bytes().all(|it| it.is_ascii_digit());
        let part: u64 = format!("{part:0<3}").parse().map_err(|_| wrong(self))?;
        if !digits || whole > 86_400_000 {
            return Err(wrong(self));
        }
        Ok(whole * 1_000 + part)
    }

    /// One of two words.
    ///
    /// # Errors
    /// If it is neither.
    pub fn either(&mut self, yes: &str, no: &str) -> Result<bool, ScriptError> {
        let word = self.word(&format!("{yes} or {no}"))?;
        if word == yes {
            Ok(true)
        } else if word == no {
            Ok(false)
        } else {
            Err(self.wrong(&format!("{word} is neither {yes} nor {no}")))
        }
    }

    /// An error at the word that was taken last.
    #[must_use]
    pub fn wrong(&self, what: &str) -> ScriptError {
        let column = self.words.get(self.at.saturating_sub(1)).map_or(1, |(column, _)| *column);
        ScriptError { line: self.line, column, what: what.to_string() }
    }

    /// An error behind the last word.
    #[must_use]
    pub fn error(&self, what: &str) -> ScriptError {
        let column = self.words.get(self.at).map_or(self.end, |(column, _)| *column);
        ScriptError { line: self.line, column, what: what.to_string() }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// At the first word too many.
    pub fn finish(&self) -> Result<(), ScriptError> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(self.error(&format!("{word} is too much here"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_point_at_the_word() {
        let mut reader = Reader::new(7, "run  abc");
        assert_eq!(reader.word("a verb"), Ok("run"));
        let error = reader.millis().unwrap_err();
        assert_eq!((error.line, error.column), (7, 6));
        assert_eq!(reader.millis().unwrap_err().column, 9);
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        let read = |text: &str| Reader::new(1, text).millis();
        assert_eq!(read("12"), Ok(12_000));
        assert_eq!(read("12.5"), Ok(12_500));
        assert_eq!(read("0.007"), Ok(7));
        for wrong in ["", "-1", "1.2345", "1.+5", "x", "99999999999999999999", "86400001"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
