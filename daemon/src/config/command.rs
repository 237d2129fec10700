//! What is run: a program file and its arguments, of services, monitors and of the quorum's chain.

use stead_core::time::Span;
use toml::Spanned;

use super::keys::Key;
use super::problem::Findings;
use super::section::{Section, shown};

/// A table with `command` and times, or the command alone.
pub(super) enum Command<'s, 'a, 'i> {
    Long(Section<'a, 'i>),
    Short(&'s Section<'a, 'i>, &'static str),
}

impl<'s, 'a, 'i> Command<'s, 'a, 'i> {
    /// The value of a key, if it can be a command at all.
    pub(super) fn open(
        section: &'s Section<'a, 'i>,
        key: &'static str,
        keys: &'static [Key],
        findings: &mut Findings,
    ) -> Option<Self> {
        let value = section.get(key)?;
        if let Some(table) = value.get_ref().as_table() {
            let place = format!("`{key}` of {}", section.place);
            let table = Section::new(table, value.span(), place, keys, findings);
            if table.get("command").is_none() {
                table.missing("command", findings);
            }
            return Some(Self::Long(table));
        }
        if value.get_ref().as_array().is_some() {
            return Some(Self::Short(section, key));
        }
        match value.get_ref().as_str() {
            Some(text) => one_text(section, key, text, findings),
            None => section.mismatch(key, value, "a list in [ ] or a table in { }", findings),
        }
        None
    }

    /// The program file and its arguments, checked.
    pub(super) fn command(&self, findings: &mut Findings) -> Vec<String> {
        let (section, key) = match self {
            Self::Long(table) => (table, "command"),
            Self::Short(section, key) => (*section, *key),
        };
        let text = section.get(key).and_then(|value| value.get_ref().as_str());
        if let Some(text) = text {
            one_text(section, key, text, findings);
            return Vec::new();
        }
        let Some(words) = section.texts(key, findings) else { return Vec::new() };
        match words.first() {
            Some(file) => check_file(file, findings),
            None if section.list(key, findings).is_some_and(|list| list.is_empty()) => {
                let message = format!("`{key}` of {} is empty", section.place);
                let help = format!("write it like this:  {}", section.example(key));
                findings.error(&section.at(key), message, help);
            }
            None => {}
        }
        for word in words.iter().filter(|word| word.get_ref().contains('\0')) {
            let help = "the kernel ends an argument at that character: remove it";
            findings.error(&word.span(), "an argument contains a zero character", help);
        }
        words.into_iter().map(Spanned::into_inner).collect()
    }

    /// Where a key's value stands; nothing if it is not there.
    pub(super) fn at(&self, key: &str) -> Option<std::ops::Range<usize>> {
        match self {
            Self::Long(table) => table.get(key).map(Spanned::span),
            Self::Short(..) => None,
        }
    }

    /// The table, if it is one.
    pub(super) fn long(&self) -> Option<&Section<'a, 'i>> {
        match self {
            Self::Long(table) => Some(table),
            Self::Short(..) => None,
        }
    }

    /// One of its times.
    pub(super) fn duration(&self, key: &str, default: Span, findings: &mut Findings) -> Span {
        match self {
            Self::Long(table) => table.duration(key, default, "s", findings),
            Self::Short(..) => default,
        }
    }
}

/// Notes that a command is one text, and shows it as a list.
fn one_text(section: &Section<'_, '_>, key: &str, text: &str, findings: &mut Findings) {
    let words: Vec<String> = text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
    let help = if words.is_empty() || text.len() > 200 || text.contains(['"', '\'', '\\', '\0']) {
        section.example(key).to_owned()
    } else {
        format!("{key} = [{}]", words.join(", "))
    };
    findings.error(
        &section.at(key),
        format!("`{key}` of {} must be a list, one entry per argument", section.place),
        format!("no shell splits it; write  {help}"),
    );
}

fn check_file(file: &Spanned<String>, findings: &mut Findings) {
    let path = file.get_ref();
    if path.is_empty() {
        let help = "write the whole path of the program, from the root";
        findings.error(&file.span(), "the program to run has no name", help);
    } else if !path.starts_with('/') {
        let message = format!("`{}` is not an absolute path", shown(path));
        let program = shown(path.rsplit('/').next().unwrap_or(path));
        let help = format!("write the whole path; `command -v {program}` prints it");
        findings.error(&file.span(), message, help);
    } else if path.ends_with('/') {
        let message = format!("`{}` is a folder, not a program", shown(path));
        findings.error(&file.span(), message, "write the whole path of the program file");
    }
}
