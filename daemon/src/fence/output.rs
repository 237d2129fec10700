//! What an agent prints, within bounds and without secrets.

use stead_edge::last_of;

use super::hidden::Hidden;

/// How much of the end of a stream is kept, in bytes. A list of a thousand outlets has a tenth.
const KEPT: usize = 256 * 1024;
/// What Python says of an agent's own code. It is printed at each run and means nothing to anybody
/// but its author.
const DEPRECATION: &str = "DeprecationWarning: ";

/// The end of what came through a pipe.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// More came than is kept.
    pub(super) cut: bool,
}

impl Kept {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
            self.cut = true;
        }
    }

    /// Whole lines only: half a line could be half a secret, which nobody would recognise.
    pub(super) fn text(&self) -> String {
        let begin = match self.bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if self.cut => end + 1,
            None if self.cut => self.bytes.len(),
            Some(_) | None => 0,
        };
        String::from_utf8_lossy(self.bytes.get(begin..).unwrap_or_default()).into_owned()
    }

    /// The last lines, oldest first.
    pub(super) fn tail(&self, hidden: &Hidden, count: usize) -> Vec<String> {
        lines(hidden.blank(&self.text()).as_bytes(), count)
    }
}

/// The last lines that mean something, oldest first, each as a terminal may show it.
pub(super) fn lines(bytes: &[u8], count: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.contains(DEPRECATION) {
            // The line of the program that it is about.
            lines.next_if(|line| line.starts_with("  "));
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    last_of(kept.as_bytes(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_in_whole_lines() {
        let mut kept = Kept::default();
        kept.add(b"one\ntwo\n");
        assert_eq!((kept.text().as_str(), kept.cut), ("one\ntwo\n", false));
        for _ in 0..10 {
            kept.add(&vec![b'x'; KEPT]);
        }
        assert_eq!((kept.text().as_str(), kept.cut), ("", true));
        assert!(kept.bytes.len() <= 2 * KEPT);
        kept.add(b"tail of a secret\nlast\n");
        assert_eq!(kept.tail(&Hidden::default(), 5), ["last"]);
    }

    #[test]
    fn what_python_says_of_an_agents_code_is_left_out() {
        let said = b"/usr/sbin/fence_x:5: DeprecationWarning: 'pipes' is deprecated\n  from pipes \
                     import quote\n\nERROR: Unable to connect\x1b[0m\n  indented\n";
        assert_eq!(lines(said, 5), ["ERROR: Unable to connect [0m", "  indented"]);
    }
}
