//! Options as GNU's getopt reads them, which is how agents write them.

use super::{Exit, Failed};

/// An option: its letter, its long name, whether a value follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// What it is called within this program.
    pub(super) id: &'static str,
    letter: Option<char>,
    long: &'static str,
    takes: Takes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// A value if one is attached to it.
    Perhaps,
}

pub(super) const fn flag(id: &'static str, letter: char, long: &'static str) -> Known {
    Known { id, letter: Some(letter), long, takes: Takes::Nothing }
}

pub(super) const fn value(id: &'static str, letter: char, long: &'static str) -> Known {
    Known { id, letter: Some(letter), long, takes: Takes::Value }
}

pub(super) const fn perhaps(id: &'static str, letter: char, long: &'static str) -> Known {
    Known { id, letter: Some(letter), long, takes: Takes::Perhaps }
}

pub(super) const fn long(id: &'static str, long: &'static str, takes: Takes) -> Known {
    Known { id, letter: None, long, takes }
}

/// What was given, in its order.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<(&'static str, Option<String>)>);

impl Given {
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|(given, _)| *given == id)
    }

    /// The value that was given last.
    pub(super) fn value(&self, id: &str) -> Option<&str> {
        self.0.iter().rev().find(|(given, _)| *given == id)?.1.as_deref()
    }

    /// Which of these was given last.
    pub(super) fn last_of(&self, ids: &[&str]) -> Option<&'static str> {
        self.0.iter().rev().map(|(id, _)| *id).find(|id| ids.contains(id))
    }
}

/// Reads what stands on a command line.
pub(super) fn read(args: &[String], known: &[Known]) -> Result<Given, Failed> {
    let wrong = |message: String| Failed::new(Exit::Usage, message);
    let mut given = Given::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if let Some(word) = arg.strip_prefix("--") {
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word, None),
            };
            let option = known.iter().find(|it| it.long == name);
            let option =
                option.ok_or_else(|| wrong(format!("there is no option --{name} here")))?;
            let value = match (option.takes, attached) {
                (Takes::Nothing, Some(_)) => {
                    return Err(wrong(format!("--{name} takes no value")));
                }
                (Takes::Value, None) => {
                    let next = args.next().cloned();
                    Some(next.ok_or_else(|| wrong(format!("--{name} needs a value")))?)
                }
                (_, attached) => attached,
            };
            given.0.push((option.id, value));
            continue;
        }
        let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Err(wrong(format!("`{arg}` means nothing here")));
        };
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            let option = known.iter().find(|it| it.letter == Some(letter));
            let option =
                option.ok_or_else(|| wrong(format!("there is no option -{letter} here")))?;
            let rest = letters.as_str();
            let value = match option.takes {
                Takes::Nothing => None,
                Takes::Perhaps | Takes::Value if !rest.is_empty() => Some(rest.to_owned()),
                Takes::Perhaps => None,
                Takes::Value => {
                    let next = args.next().cloned();
                    Some(next.ok_or_else(|| wrong(format!("-{letter} needs a value")))?)
                }
            };
            given.0.push((option.id, value));
            if option.takes != Takes::Nothing {
                break;
            }
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_agents_write_them() {
        let known = [
            value("node", 'N', "node"),
            flag("quiet", 'Q', "quiet"),
            perhaps("promotion", 'p', "promotion"),
            value("value", 'v', "update"),
        ];
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let read = |text: &str| read(&words(text), &known);
        let given = read("-Qp -N node1 --update=5").expect("it is understood");
        assert!(given.has("quiet") && given.has("promotion"));
        assert_eq!((given.value("node"), given.value("value")), (Some("node1"), Some("5")));
        let given = read("-Nnode1 -v -INFINITY").expect("it is understood");
        assert_eq!((given.value("node"), given.value("value")), (Some("node1"), Some("-INFINITY")));
        for wrong in ["-x", "--nodes a", "-N", "--quiet=1", "word"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
