//! Tables of ways, broken in masses, and messages of whatever people write.

use stead_fuzz::target;

use super::{Message, WaySettings};

/// One of everything that is read.
const EVERYTHING: [&str; 3] = [
    "name = \"a\"\nkinds = [\"moved\"]\ntimeout = \"10s\"\nprogram = [\"/bin/true\", \"-x\"]\n",
    "webhook = \"http://10.0.0.9:8080/a?b\"\nheader = \"X-Key\"\nsecret = \"/etc/a\"\n",
    "[mail]\nserver = \"10.0.0.25\"\nport = 25\nfrom = \"A <a@example.com>\"\n\
     to = [\"b@example.com\"]\ntls = \"tls\"\nuser = \"a\"\nsecret = \"/etc/a\"\n",
];

const WORDS: &[&[u8]] = &[
    b"program = []",
    b"program = [\"sh\"]",
    b"http://[::1]:1/",
    b"header = \"a:b\"",
    b"tls = \"none\"",
    b"to = []",
    b"<a@b>",
    b"\\u0000",
    b"timeout = \"0s\"",
];

#[test]
fn any_table_is_a_way_or_refused() {
    let samples = || {
        let [program, webhook, mail] = EVERYTHING.map(|text| text.as_bytes().to_vec());
        vec![("program", program), ("webhook", webhook), ("mail", mail)]
    };
    target!("way").samples(samples).words(WORDS).count(20_000).run(|bytes| {
        match toml::from_str::<WaySettings>(&String::from_utf8_lossy(bytes)) {
            Ok(settings) => {
                assert!(!settings.timeout.is_zero());
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    });
}

#[test]
fn any_text_is_a_message_on_one_line() {
    let samples = || vec![("subject", "web moved \u{2192} node2".as_bytes().to_vec())];
    target!("message").samples(samples).longest(300).count(20_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let message = Message::new("moved", text.clone(), text.clone()).with("a\nb", text);
        assert!(!message.json().contains(['\n', '\r']), "{}", message.json());
        assert!(!message.line().contains(char::is_control));
        assert_eq!(message.id(), message.clone().id());
        true
    });
}
