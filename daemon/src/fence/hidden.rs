//! Secrets are blanked out of whatever a device says.

use stead_edge::private::{BLANK, Secret};

/// What must not be seen of what a device says.
#[derive(Clone, Debug, Default)]
pub(super) struct Hidden(Vec<Secret>);

impl Hidden {
    pub(super) fn add(&mut self, value: &str) {
        if !value.is_empty() {
            self.0.push(Secret::of(value.to_owned()));
            // As it stands in a URL.
            let encoded = percent_encoded(value);
            if encoded != value {
                self.0.push(Secret::of(encoded));
            }
        }
        // The longest first: one may be a part of another.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.tell().len()));
    }

    /// The text without them.
    pub(super) fn blank(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.tell(), BLANK))
    }
}

fn percent_encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left_in_a_text() {
        let mut hidden = Hidden::default();
        for secret in ["p&q", "p", ""] {
            hidden.add(secret);
        }
        assert_eq!(hidden.blank("url?a=p%26q -P p&q x"), "url?a=[secret] -P [secret] x");
        assert_eq!(format!("{hidden:?}"), "Hidden([[secret], [secret], [secret]])");
    }
}
