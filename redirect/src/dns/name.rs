//! Names of hosts, services and zones.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hickory_proto::rr;
use thiserror::Error;

/// The label under which a name's marker stands.
const MARKER: &str = "_stead";

/// A name in the DNS, complete up to the root. Upper and lower case are the same. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<rr::Name>);

/// A text is no name.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Something is wrong with the text.
    #[error(
        "{0:?} is no name: labels of letters, digits, - and _, 1 to 63 characters each and 253 in \
         all, are separated by dots"
    )]
    Malformed(String),
    /// The marker of a name stands one label below it, which a name this long leaves no room for.
    #[error("{0} is too long: its marker, {MARKER}.{0}, would have more than 255 bytes")]
    NoRoom(Name),
}

impl Name {
    /// The name of the marker that stands beside this name.
    ///
    /// # Errors
    /// The name is too long for one more label.
    pub fn marker(&self) -> Result<Self, NameError> {
        self.0
            .prepend_label(MARKER)
            .map(|it| Self(Arc::new(it)))
            .map_err(|_| NameError::NoRoom(self.clone()))
    }

    /// Whether the other name is this one or stands below it.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.0.zone_of(&other.0)
    }

    pub(super) fn wire(&self) -> &rr::Name {
        &self.0
    }

    /// What a server says is taken as it is: it may have characters that we would not write.
    pub(super) fn from_wire(name: &rr::Name) -> Self {
        let mut name = name.to_lowercase();
        name.set_fqdn(true);
        Self(Arc::new(name))
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let malformed = || NameError::Malformed(text.to_owned());
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err(malformed());
        }
        let mut name = rr::Name::from_ascii(text).map_err(|_| malformed())?;
        name.set_fqdn(true);
        Ok(Self(Arc::new(name.to_lowercase())))
    }
}

/// Without the dot at its end, as people write names; the root is a dot.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_ascii();
        f.write_str(text.strip_suffix('.').filter(|it| !it.is_empty()).unwrap_or(&text))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_complete_and_know_no_case() {
        assert_eq!(name("WWW.Example.org"), name("www.example.org."));
        assert_eq!(name("_db._tcp.Example.org.").to_string(), "_db._tcp.example.org");
        assert_eq!(name(".").to_string(), ".");
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(name(&long).marker(), Err(NameError::NoRoom(name(&long))));
        for text in ["", "a..b", "a b", "a\\.b", "*.a", "é.a", &"a".repeat(64), &(long + "dd")] {
            assert_eq!(text.parse::<Name>(), Err(NameError::Malformed(text.to_owned())));
        }
    }

    #[test]
    fn a_zone_holds_itself_and_what_is_below_it() {
        let zone = name("example.org");
        assert!(zone.holds(&zone) && zone.holds(&name("a.b.Example.org")));
        assert!(!zone.holds(&name("org")) && !zone.holds(&name("xexample.org")));
        assert_eq!(zone.marker().unwrap().to_string(), "_stead.example.org");
    }
}
