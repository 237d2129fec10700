//! Server-sent events out of bytes, as they come: the envelope in each.

use crate::knowledge::LONGEST;

/// The longest event: an envelope, and what is written around its few lines.
const EVENT: usize = LONGEST + 1024;

/// An event is longer than any envelope, or no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// What has come of an event.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it is part of the same end of line.
    returned: bool,
}

impl Events {
    /// Takes bytes, and gives the data of each event that they complete. Comments and other fields
    /// are nothing to us.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooMuch> {
        let mut events = Vec::new();
        for byte in bytes {
            let follows = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if follows => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()),
                other => self.line.push(*other),
            }
            if self.line.len() + self.data.len() > EVENT {
                return Err(TooMuch);
            }
        }
        Ok(events)
    }

    fn end_of_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then_some(data);
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            self.data.push(b'\n');
        }
        None
    }
}
