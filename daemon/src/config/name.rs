//! Names of clusters, links, nodes, services and sites.

/// The longest name, in characters: that of a host in DNS (RFC 1035, section 2.3.4).
const LONGEST: usize = 63;

/// Why a text can't be a name, if it can't.
pub(super) fn refusal(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() {
        return Some("is empty".to_owned());
    }
    if name.len() > LONGEST && name.chars().all(allowed) {
        return Some(format!("has {} characters, and {LONGEST} is the most", name.len()));
    }
    if !name.chars().all(allowed) {
        return Some("has characters other than a to z, 0 to 9 and -".to_owned());
    }
    // Such a name would look like an option on the command line.
    (name.starts_with('-') || name.ends_with('-')).then(|| "begins or ends with -".to_owned())
}

/// A name that is accepted, made out of any text such as the machine's host name.
///
/// Of a full host name the first label is taken. Where nothing usable is left, it is `node`.
#[must_use]
pub fn usable_name(text: &str) -> String {
    let label = text.split('.').find(|label| !label.is_empty()).unwrap_or("");
    let usable = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = label.chars().take(LONGEST).map(usable).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "node".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        for good in ["a", "node1", "1", "a-b", &"x".repeat(63)] {
            assert_eq!(refusal(good), None, "{good}");
        }
        for bad in ["", "Node1", "a b", "a_b", "-a", "a-", "n\u{f6}de", &"x".repeat(64)] {
            assert!(refusal(bad).is_some(), "{bad}");
            assert_eq!(refusal(&usable_name(bad)), None, "{bad}");
        }
        assert_eq!(usable_name("Node1.example.com"), "node1");
        assert_eq!(usable_name("web_front 2"), "web-front-2");
        assert_eq!(usable_name("..."), "node");
    }
}
