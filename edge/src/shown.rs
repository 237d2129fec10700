//! Texts of strangers in our own sentences.

/// The text as a message shows it: one line, not too long.
#[must_use]
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let escape =
        |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let line: String = text.chars().take(LONGEST).map(escape).collect();
    if text.chars().nth(LONGEST).is_some() { format!("{line}...") } else { line }
}
