//! How text looks on this terminal: its width, and whether it shows colours.

use std::io::IsTerminal;

/// The width that is assumed where there is no terminal.
const USUAL_WIDTH: usize = 100;
/// Narrower than this, lines are left to the terminal to fold.
const NARROWEST: usize = 40;

/// The look of one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours may be used.
    pub colour: bool,
    /// How many characters fit into a line.
    pub width: usize,
}

/// What a piece of text means, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    Plain,
    /// A heading.
    Head,
    /// As it should be.
    Good,
    /// Look at it.
    Warn,
    /// Do something about it.
    Bad,
    /// Less important.
    Dim,
}

impl Look {
    /// Without colours, at a fixed width.
    #[cfg(test)]
    pub const fn plain(width: usize) -> Self {
        Self { colour: false, width }
    }

    /// The look of an output of this process. `NO_COLOR` (no-color.org) is honoured.
    #[must_use]
    pub fn of(output: &impl IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = if output.is_terminal() {
            terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)).or_else(columns)
        } else {
            None
        };
        Self {
            colour: output.is_terminal() && !unwanted && !dumb,
            width: width.unwrap_or(USUAL_WIDTH).max(NARROWEST),
        }
    }

    /// The text in its tone.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Head => "1",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
            Tone::Dim => "2",
        };
        if !self.colour || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The text in lines of at most `width` characters, broken at spaces, and never at one that does
/// not break (U+00A0); a word that is longer stays whole, so that it can be copied.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_ascii_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let length = line.chars().count();
        if length == 0 {
            line.push_str(word);
        } else if length + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().map(|line| line.replace('\u{a0}', " ")).collect()
}

/// The text without characters that a terminal could take for orders: it may come from a program's
/// output or from another machine.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_spaces_only() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("verylongword a", 4), ["verylongword", "a"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("for 5\u{a0}min", 6), ["for", "5 min"]);
    }

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(Look::plain(80).paint(Tone::Bad, "x"), "x");
        assert_eq!(Look { colour: true, width: 80 }.paint(Tone::Bad, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(harmless("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
