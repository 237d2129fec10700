//! Who wrote a name, and under which epoch.

use std::fmt;

use stead_core::id::Epoch;
use thiserror::Error;

/// The longest name of a cluster or service in a marker, in bytes: with both of them it fits into
/// one string of a TXT record, which ends at 255.
const LONGEST: usize = 100;

/// The text of the one TXT record at `_stead.<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The cluster whose name it is.
    pub cluster: String,
    /// The service that it leads to.
    pub service: String,
    /// Under which epoch it was written.
    pub epoch: Epoch,
}

impl Marker {
    /// `None`: somebody else wrote that, or another version of stead.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let mut fields = text.strip_prefix("v=1 ")?.split(' ');
        let mut field = |key| fields.next()?.strip_prefix(key);
        let cluster = field("cluster=")?.to_owned();
        let service = field("service=")?.to_owned();
        let epoch = Epoch(field("epoch=")?.parse().ok()?);
        let marker = Self { cluster, service, epoch };
        // What would be written otherwise was written by nobody of ours.
        let named = fits(&marker.cluster) && fits(&marker.service);
        (named && marker.to_string() == text).then_some(marker)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, service, epoch } = self;
        write!(f, "v=1 cluster={cluster} service={service} epoch={epoch}")
    }
}

/// Words that can stand in a marker.
fn fits(word: &str) -> bool {
    (1..=LONGEST).contains(&word.len()) && word.chars().all(|c| c.is_ascii_graphic() && c != '"')
}

/// Who writes.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(super) marker: Marker,
    pub(super) adopts: bool,
}

/// A name can't stand in a marker.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} can't stand in a marker: 1 to {LONGEST} characters of ASCII, no spaces or quotes")]
pub struct WriterError(String);

impl Writer {
    /// `epoch` is that under which this node holds the service.
    ///
    /// # Errors
    /// The names don't fit into a marker.
    pub fn new(cluster: &str, service: &str, epoch: Epoch) -> Result<Self, WriterError> {
        if let Some(word) = [cluster, service].into_iter().find(|word| !fits(word)) {
            return Err(WriterError(word.to_owned()));
        }
        let (cluster, service) = (cluster.to_owned(), service.to_owned());
        Ok(Self { marker: Marker { cluster, service, epoch }, adopts: false })
    }

    /// Also takes over a name whose records have no marker, which a person made. Without it such a
    /// name is left alone.
    #[must_use]
    pub fn adopts(self, adopts: bool) -> Self {
        Self { adopts, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written_and_in_no_other_form() {
        let marker = Writer::new("lab", "web", Epoch(17)).unwrap().marker;
        assert_eq!(marker.to_string(), "v=1 cluster=lab service=web epoch=17");
        assert_eq!(Marker::read(marker.to_string().as_bytes()), Some(marker));
        for text in [
            "",
            "v=2 cluster=lab service=web epoch=17",
            "v=1 cluster=lab service=web epoch=017",
            "v=1 cluster=lab service=web epoch=+17",
            "v=1 cluster=lab service=web epoch=18446744073709551616",
            "v=1 cluster=lab service=web epoch=17 ",
            "v=1 cluster= service=web epoch=17",
            "v=1 service=web cluster=lab epoch=17",
            "v=spf1 -all",
        ] {
            assert_eq!(Marker::read(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Marker::read(b"v=1 cluster=\xff service=web epoch=17"), None);
    }

    #[test]
    fn names_that_would_break_a_marker_are_refused() {
        for word in ["", "a b", "a\"", "\u{e9}", &"a".repeat(101)] {
            let refused = Writer::new("lab", word, Epoch(1)).map(|_| ());
            assert_eq!(refused, Err(WriterError(word.to_owned())));
        }
        let longest = "a".repeat(LONGEST);
        let marker = Writer::new(&longest, &longest, Epoch(u64::MAX)).unwrap().marker;
        assert!(marker.to_string().len() <= 255);
    }
}
