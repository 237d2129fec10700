//! Texts of strangers in our own sentences.

/// The longest line that is shown. Characters.
const LINE: usize = 400;

/// The text as a message shows it: one line, not too long.
#[must_use]
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let escape =
        |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let line: String = text.chars().take(LONGEST).map(escape).collect();
    if text.chars().nth(LONGEST).is_some() { format!("{line}...") } else { line }
}

/// The last lines of these bytes that are not empty, oldest first, as a terminal may show them.
#[must_use]
pub fn last_of(end: &[u8], count: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(end);
    let lines = text.lines().map(clean).filter(|line| !line.is_empty());
    let mut lines: Vec<_> = lines.collect();
    lines.split_off(lines.len().saturating_sub(count))
}

/// A line may contain anything, and is shown on terminals.
fn clean(line: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    line.trim_end().chars().take(LINE).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_stranger_reaches_a_terminal_as_it_is() {
        assert_eq!(shown("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(shown(&"x".repeat(81)).len(), 83);
        assert_eq!(last_of(b"one\n\n two\x1b[2J  \nthree\n", 2), [" two [2J", "three"]);
        assert_eq!(last_of(b"\xff\n", 5), ["\u{fffd}"]);
    }
}
