//! Rust source with its comments or its literals blanked out.
//!
//! The rules speak of identifiers, of comments or of both, never of what a string happens to hold.
//! Blanked characters become spaces and line breaks stay, so positions are those of the file. This
//! is a scanner for well-formed source (the compiler sees to that), not a parser.

/// What a character of the source belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// Code alone: comments and literals are blank.
pub fn code(text: &str) -> String {
    keep(text, &[Part::Code])
}

/// Code and comments: literals are blank.
pub fn code_and_comments(text: &str) -> String {
    keep(text, &[Part::Code, Part::Comment])
}

/// The identifiers of blanked code with their line, counted from 1.
pub fn identifiers(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        found.extend(
            words
                .filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
                .map(|word| (number + 1, word)),
        );
    }
    found
}

/// The words inside an identifier, in lower case: `FenceProof`, `fence_proof` and `FENCE_PROOF` are
/// all `fence`, `proof`.
pub fn words(identifier: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in identifier.split('_') {
        let chars: Vec<char> = part.chars().collect();
        let mut word = String::new();
        for (at, c) in chars.iter().enumerate() {
            let before = at.checked_sub(1).map(|i| chars[i]);
            let after = chars.get(at + 1);
            let starts = c.is_uppercase()
                && (before.is_some_and(|b| !b.is_uppercase())
                    || before.is_some() && after.is_some_and(|a| a.is_lowercase()));
            if starts && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(c.to_lowercase());
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

fn keep(text: &str, wanted: &[Part]) -> String {
    let chars: Vec<char> = text.chars().collect();
    let parts = classify(&chars);
    chars
        .iter()
        .zip(&parts)
        .map(|(c, part)| if *c == '\n' || wanted.contains(part) { *c } else { ' ' })
        .collect()
}

fn classify(chars: &[char]) -> Vec<Part> {
    let mut parts = vec![Part::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let (end, part) = piece(chars, at);
        let end = end.clamp(at + 1, chars.len());
        parts[at..end].fill(part);
        at = end;
    }
    parts
}

/// The end of what starts at `at`, and what it is.
fn piece(chars: &[char], at: usize) -> (usize, Part) {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => (line_end(chars, at), Part::Comment),
        '/' if next == Some('*') => (block_end(chars, at), Part::Comment),
        '"' => (string_end(chars, at + 1), Part::Literal),
        '\'' => char_end(chars, at).map_or((at + 1, Part::Code), |end| (end, Part::Literal)),
        c if c.is_alphanumeric() || c == '_' => {
            let end = (at..chars.len())
                .find(|i| !(chars[*i].is_alphanumeric() || chars[*i] == '_'))
                .unwrap_or(chars.len());
            raw_end(chars, at, end).map_or((end, Part::Code), |end| (end, Part::Literal))
        }
        _ => (at + 1, Part::Code),
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len())
}

fn block_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0_usize, at);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => {
                (depth, i) = (depth.saturating_sub(1), i + 2);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// A character literal, told from a lifetime by its closing quote.
fn char_end(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        return (at + 3..chars.len()).find(|i| chars[*i] == '\'').map(|i| i + 1);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

/// A literal whose prefix is the word from `at` to `word_end`: `r"`, `br#"`, `b"`, `c"`, `b'`.
fn raw_end(chars: &[char], at: usize, word_end: usize) -> Option<usize> {
    let prefix: String = chars[at..word_end].iter().collect();
    match (prefix.as_str(), chars.get(word_end)) {
        ("b" | "c", Some('"')) => Some(string_end(chars, word_end + 1)),
        ("b", Some('\'')) => char_end(chars, word_end),
        ("r" | "br" | "cr", Some('"' | '#')) => {
            let hashes = chars[word_end..].iter().take_while(|c| **c == '#').count();
            let open = word_end + hashes;
            if chars.get(open) != Some(&'"') {
                return None;
            }
            let close = (open + 1..chars.len()).find(|i| {
                chars[*i] == '"'
                    && chars.len() > i + hashes
                    && chars[i + 1..=i + hashes].iter().all(|c| *c == '#')
            });
            Some(close.map_or(chars.len(), |i| i + 1 + hashes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_blank_and_lines_stay() {
        let text = "let a = \"x // y\"; // note \"z\"\n/* one /* two */ */ let b = 'c';\n";
        assert_eq!(
            code(text),
            format!("let a = {:8}; {:11}\n{:20}let b = {:3};\n", "", "", "", "")
        );
        assert!(code_and_comments(text).contains("// note"));
        assert!(!code_and_comments(text).contains("x // y"));
    }

    #[test]
    fn lifetimes_are_code_and_escaped_quotes_do_not_end_a_literal() {
        assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
        assert_eq!(code(r#"("\"unsafe", b'\'', '\\', b)"#).replace(' ', ""), "(,,,b)");
        assert_eq!(code(r"'\u{1F600}' b").trim(), "b");
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        assert_eq!(code("r#\"a \" b\"# c").trim(), "c");
        assert_eq!(code("br\"a\\\" c").trim(), "c");
        assert_eq!(code("r#type c").trim(), "r#type c");
    }

    #[test]
    fn identifiers_come_with_their_line_and_fall_into_words() {
        assert_eq!(identifiers("let a1 = 0x2;\nb_c"), [(1, "let"), (1, "a1"), (2, "b_c")]);
        assert_eq!(words("FenceProof"), ["fence", "proof"]);
        assert_eq!(words("ARPMaster_X"), ["arp", "master", "x"]);
        assert_eq!(words("isDC"), ["is", "dc"]);
        assert_eq!(words("weight2"), ["weight2"]);
    }
}
