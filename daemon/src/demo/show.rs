//! What is said while it happens: lines, and below them, on a terminal, a picture that moves.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the words go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Lines and the picture, on a terminal.
    Picture,
    /// Lines only.
    Lines,
    /// JSON on stdout; lines on stderr where that is a terminal.
    Json { lines: bool },
}

#[derive(Default)]
struct Screen {
    /// The picture that stands at the bottom now.
    picture: Vec<String>,
}

/// The demo's voice.
pub(super) struct Show {
    mode: Mode,
    colours: bool,
    screen: Mutex<Screen>,
}

/// A colour, or a way to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Ink {
    /// The parameter of ECMA-48's SGR.
    fn code(self) -> u8 {
        match self {
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
        }
    }
}

impl Show {
    pub(super) fn new(json: bool) -> Self {
        let out = std::io::stdout().is_terminal();
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let mode = match (json, out && !dumb) {
            (true, _) => Mode::Json { lines: std::io::stderr().is_terminal() },
            (false, true) => Mode::Picture,
            (false, false) => Mode::Lines,
        };
        let colours = mode == Mode::Picture && std::env::var_os("NO_COLOR").is_none();
        Self { mode, colours, screen: Mutex::default() }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a picture.
    pub(super) fn moves(&self) -> bool {
        self.mode == Mode::Picture
    }

    /// Words in a colour, where there are colours.
    pub(super) fn ink(&self, ink: Ink, text: &str) -> String {
        if self.colours { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_owned() }
    }

    /// How many columns a line may have.
    pub(super) fn width() -> usize {
        const ELSEWHERE: usize = 100;
        let size = terminal_size::terminal_size();
        size.map_or(ELSEWHERE, |(width, _)| usize::from(width.0)).clamp(40, 120)
    }

    /// Says a line.
    pub(super) fn say(&self, line: &str) {
        let screen = self.screen();
        match self.mode {
            Mode::Picture => {
                // To the end of the screen: a long line takes more than one row.
                let above = format!("\x1b[J{line}\r\n");
                write_out(&framed(&screen.picture, &above, &screen.picture));
            }
            Mode::Lines => write_out(&format!("{line}\n")),
            Mode::Json { lines: true } => eprintln!("{line}"),
            Mode::Json { lines: false } => {}
        }
    }

    /// Says one object, where JSON is asked for.
    pub(super) fn object(&self, value: &serde_json::Value) {
        if let Mode::Json { .. } = self.mode {
            write_out(&format!("{value}\n"));
        }
    }

    /// Draws the picture anew at the bottom.
    pub(super) fn paint(&self, picture: Vec<String>) {
        let mut screen = self.screen();
        if self.moves() {
            write_out(&framed(&screen.picture, "", &picture));
            screen.picture = picture;
        }
    }

    /// Takes the picture away.
    pub(super) fn wipe(&self) {
        let mut screen = self.screen();
        if self.moves() && !screen.picture.is_empty() {
            write_out(&format!("{}\x1b[J\x1b[?25h", up(screen.picture.len())));
            screen.picture.clear();
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// One write per frame, each line over the old one: nothing flickers. The cursor is hidden, and the
/// terminal asked to show the frame as a whole (mode 2026) where it knows that.
fn framed(old: &[String], above: &str, new: &[String]) -> String {
    let mut frame = format!("\x1b[?2026h\x1b[?25l{}{above}", up(old.len()));
    for line in new {
        frame.push_str(line);
        frame.push_str("\x1b[K\r\n");
    }
    frame.push_str("\x1b[J\x1b[?2026l");
    frame
}

fn up(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\r") }
}

/// Whoever does not listen any more is no reason to end badly.
fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_over_the_old_one() {
        let old = ["a".to_owned(), "b".to_owned()];
        let frame = framed(&old, "", &old[..1]);
        assert!(frame.contains("\x1b[2A\r"), "{frame:?}");
        assert!(frame.ends_with("a\x1b[K\r\n\x1b[J\x1b[?2026l"), "{frame:?}");
    }
}
