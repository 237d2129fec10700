//! What a container printed, as an engine sends it: output and errors in one stream, each piece
//! behind a head that says of which it is and how long.

/// The head: which stream, three zeros, and the length.
const HEAD: usize = 8;

/// The last lines, oldest first. What has no heads is taken as it is: a terminal's output, or an
/// engine that sends none. A piece that breaks off ends there.
pub(in super::super) fn read(bytes: &[u8], count: usize) -> Vec<String> {
    let text = pieces(bytes).unwrap_or_else(|| bytes.to_vec());
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let all: Vec<&str> = lines.collect();
    all.iter().skip(all.len().saturating_sub(count)).map(|line| (*line).to_owned()).collect()
}

/// The pieces without their heads; nothing if the first is none.
fn pieces(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let [stream @ 0..=2, 0, 0, 0, length @ ..] = head else {
            // What was understood before is kept.
            return if text.is_empty() { None } else { Some(text) };
        };
        // Input is never sent back.
        let is_printed = *stream != 0;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (piece, next) = after.split_at(length.min(after.len()));
        if is_printed {
            text.extend_from_slice(piece);
        }
        rest = next;
    }
    Some(text).filter(|text| !text.is_empty() || bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_taken_away_and_the_last_lines_stay() {
        let piece = |stream: u8, text: &str| {
            let mut all = vec![stream, 0, 0, 0];
            all.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            all.extend(text.as_bytes());
            all
        };
        let all = [piece(1, "one\ntwo\n"), piece(2, "three\n"), piece(1, "four")].concat();
        assert_eq!(read(&all, 10), ["one", "two", "three", "four"]);
        assert_eq!(read(&all, 2), ["three", "four"]);
        let cut = &all[..all.len() - 2];
        assert_eq!(read(cut, 1), ["fo"]);
        assert_eq!(read(b"plain\r\nlines\n", 10), ["plain", "lines"]);
        assert_eq!(read(&[1, 0, 0, 0, 255, 255, 255, 255, b'x'], 10), ["x"]);
        assert!(read(b"", 10).is_empty());
    }
}
