//! One table of the file: which keys it may have, and their values by kind.
//!
//! A value of the wrong kind is noted with a line that would be right, and then treated as absent,
//! so that the rest of the file is still read.

use std::net::SocketAddr;
use std::ops::Range;

use stead_core::time::Span;
pub(super) use stead_edge::shown;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::keys::{Key, nearest, unknown_key};
use super::problem::Findings;

/// What sentences call the file as a table.
pub(super) const FILE_PLACE: &str = "the file";

/// A table with the keys that it may have.
pub(super) struct Section<'a, 'i> {
    table: &'a DeTable<'i>,
    keys: &'static [Key],
    /// Where it begins: what to point at when something is missing from it.
    pub(super) at: Range<usize>,
    /// What sentences call it.
    pub(super) place: String,
}

impl<'a, 'i> Section<'a, 'i> {
    /// The table, its unknown keys noted.
    pub(super) fn new(
        table: &'a DeTable<'i>,
        at: Range<usize>,
        place: String,
        keys: &'static [Key],
        findings: &mut Findings,
    ) -> Self {
        for (key, value) in table.iter() {
            if !keys.iter().any(|known| known.name == key.get_ref()) {
                let name = shown(key.get_ref());
                let message = match (place.as_str(), value.get_ref().as_table()) {
                    (FILE_PLACE, Some(_)) => format!("unknown table `{name}`"),
                    (FILE_PLACE, None) => format!("unknown key `{name}` outside of every table"),
                    (place, _) => format!("unknown key `{name}` in {place}"),
                };
                findings.error(&key.span(), message, unknown_key(key.get_ref(), keys));
            }
        }
        Self { table, keys, at, place }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.table.get(key)
    }

    /// An address with its port, as a text; `help` says how to write one.
    pub(super) fn socket(
        &self,
        key: &str,
        help: &str,
        findings: &mut Findings,
    ) -> Option<SocketAddr> {
        let text = self.text(key, findings)?;
        let parsed = text.get_ref().parse().ok().filter(|at: &SocketAddr| at.port() != 0);
        if parsed.is_none() {
            let message = format!("`{}` is no address with a port", shown(text.get_ref()));
            findings.error(&text.span(), message, help);
        }
        parsed
    }

    /// The place of a key's value; the table's own if it has none.
    pub(super) fn at(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.at.clone(), Spanned::span)
    }

    /// A line that sets the key.
    pub(super) fn example(&self, key: &str) -> &'static str {
        self.keys.iter().find(|known| known.name == key).map_or("", |known| known.example)
    }

    /// Whether the key is absent because it was mistyped, which has been noted.
    pub(super) fn mistyped(&self, key: &str) -> bool {
        let known = |name: &str| self.keys.iter().any(|known| known.name == name);
        let names = || self.keys.iter().map(|known| known.name);
        let mut unknown = self.table.keys().filter(|name| !known(name.get_ref()));
        unknown.any(|name| nearest(name.get_ref(), names()) == Some(key))
    }

    /// Notes that a key must be there and isn't.
    pub(super) fn missing(&self, key: &str, findings: &mut Findings) {
        if self.mistyped(key) {
            return;
        }
        let message = format!("{} has no `{key}`", self.place);
        findings.error(&self.at, message, format!("add a line like  {}", self.example(key)));
    }

    /// Notes that a value is of the wrong kind.
    pub(super) fn mismatch(
        &self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        wanted: &str,
        findings: &mut Findings,
    ) {
        let message = format!(
            "`{key}` of {} must be {wanted}, and this is {}",
            self.place,
            kind(value.get_ref())
        );
        let help = format!("write it like this:  {}", self.example(key));
        findings.error(&value.span(), message, help);
    }

    /// A text.
    pub(super) fn text(&self, key: &str, findings: &mut Findings) -> Option<Spanned<String>> {
        let value = self.get(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Spanned::new(value.span(), text.to_owned())),
            None => {
                self.mismatch(key, value, "a text in quotes", findings);
                None
            }
        }
    }

    /// True or false.
    pub(super) fn truth(&self, key: &str, findings: &mut Findings) -> Option<Spanned<bool>> {
        let value = self.get(key)?;
        match value.get_ref().as_bool() {
            Some(truth) => Some(Spanned::new(value.span(), truth)),
            None => {
                self.mismatch(key, value, "true or false, without quotes", findings);
                None
            }
        }
    }

    /// A whole number between two bounds, which are part of them.
    pub(super) fn number(
        &self,
        key: &str,
        bounds: (u16, u16),
        findings: &mut Findings,
    ) -> Option<Spanned<u16>> {
        let value = self.get(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.mismatch(key, value, "a whole number, without quotes", findings);
            return None;
        };
        let (least, most) = bounds;
        let number = u16::from_str_radix(integer.as_str(), integer.radix()).ok();
        let Some(number) = number.filter(|number| (least..=most).contains(number)) else {
            let message = format!("`{key} = {integer}` is out of range in {}", self.place);
            let help =
                format!("it goes from {least} to {most}, for example  {}", self.example(key));
            findings.error(&value.span(), message, help);
            return None;
        };
        Some(Spanned::new(value.span(), number))
    }

    /// A duration longer than zero, or the default. `usual` is the unit to propose.
    pub(super) fn duration(
        &self,
        key: &str,
        default: Span,
        usual: &str,
        findings: &mut Findings,
    ) -> Span {
        let Some(value) = self.get(key) else { return default };
        let Some(text) = value.get_ref().as_str() else {
            let Some(number) = bare_number(value.get_ref()) else {
                self.mismatch(key, value, "a duration", findings);
                return default;
            };
            let message = format!("`{key} = {number}` has no unit");
            let help = format!("write  {key} = \"{number}{usual}\"  ({UNITS_HELP})");
            findings.error(&value.span(), message, help);
            return default;
        };
        match duration::parse(text, usual) {
            Ok(Span::ZERO) => {
                let help =
                    format!("write a time that is long enough, for example  {}", self.example(key));
                findings.error(&value.span(), format!("`{key}` can't be zero"), help);
                default
            }
            Ok(span) => span,
            Err(wrong) => {
                let help = match wrong.meant {
                    Some(meant) => format!("write  {key} = \"{meant}\"  ({UNITS_HELP})"),
                    None => format!("write it like this:  {}  ({UNITS_HELP})", self.example(key)),
                };
                findings.error(&value.span(), wrong.message, help);
                default
            }
        }
    }

    /// A list; each entry is judged by the caller.
    pub(super) fn list(
        &self,
        key: &str,
        findings: &mut Findings,
    ) -> Option<&'a [Spanned<DeValue<'i>>]> {
        let value = self.get(key)?;
        match value.get_ref().as_array() {
            Some(list) => Some(list),
            None => {
                self.mismatch(key, value, "a list in [ ]", findings);
                None
            }
        }
    }

    /// A list of texts. An entry of another kind is noted and left out.
    pub(super) fn texts(&self, key: &str, findings: &mut Findings) -> Option<Vec<Spanned<String>>> {
        let list = self.list(key, findings)?;
        let mut texts = Vec::new();
        for entry in list {
            match entry.get_ref().as_str() {
                Some(text) => texts.push(Spanned::new(entry.span(), text.to_owned())),
                None => self.entry_mismatch(key, entry, "a text in quotes", findings),
            }
        }
        Some(texts)
    }

    /// Notes that an entry of a list is of the wrong kind.
    pub(super) fn entry_mismatch(
        &self,
        key: &str,
        entry: &Spanned<DeValue<'i>>,
        wanted: &str,
        findings: &mut Findings,
    ) {
        let message = format!(
            "each entry of `{key}` in {} must be {wanted}, and this is {}",
            self.place,
            kind(entry.get_ref())
        );
        let help = format!("write it like this:  {}", self.example(key));
        findings.error(&entry.span(), message, help);
    }
}

const UNITS_HELP: &str = "units: us, ms, s, min, h";

/// The number, if the value is one that a duration could begin with.
fn bare_number(value: &DeValue<'_>) -> Option<String> {
    if let Some(float) = value.as_float() {
        return Some(float.as_str().to_owned())
            .filter(|text| text.parse::<f64>().is_ok_and(f64::is_finite));
    }
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| number.to_string())
}

/// What kind of value it is, in a sentence.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value.type_str() {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a number",
        "boolean" => "true or false",
        "datetime" => "a date",
        "array" => "a list",
        "table" => "a table",
        other => other,
    }
}
