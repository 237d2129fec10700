//! What of FRR's running configuration is ours, or stands where ours has to.

use std::collections::BTreeMap;

use super::super::Prefix;

/// The name of our lists and of our route-map.
pub(super) const NAME: &str = "stead";
/// The address families, as FRR names them in `router bgp`.
pub(super) const FAMILIES: [&str; 2] = ["ipv4 unicast", "ipv6 unicast"];

/// The parts that matter, out of `show running-config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The number in `router bgp`, of the default instance.
    pub bgp: Option<String>,
    /// The entries of our two lists, by their sequence.
    pub entries: BTreeMap<(bool, u32), Entry>,
    /// The lines of our route-map, each block's first line included.
    pub map: Vec<String>,
    /// The `redistribute` lines of each family of the default instance.
    pub redistributed: Vec<(&'static str, String)>,
}

/// An entry of a prefix list: a whole line, and the prefix that it permits if it is as we write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line.
    pub line: String,
    /// What it permits.
    pub prefix: Option<Prefix>,
}

/// The block in which a line stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Other,
    Map,
    Bgp(Option<&'static str>),
}

impl Running {
    /// Reads it. What is not understood is somebody else's.
    pub fn read(text: &str) -> Self {
        let mut running = Self::default();
        let mut block = Block::Other;
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            if !line.starts_with(' ') {
                block = running.top(&words, block);
            } else if block == Block::Map {
                if words != ["!"] {
                    running.map.push(words.join(" "));
                }
            } else if let Block::Bgp(family) = &mut block {
                match words[..] {
                    ["address-family", ..] => {
                        let name = words[1..].join(" ");
                        *family = FAMILIES.into_iter().find(|it| *it == name);
                    }
                    ["exit-address-family"] => *family = None,
                    ["redistribute", ..] => {
                        let line = words.join(" ");
                        running.redistributed.extend(family.map(|family| (family, line)));
                    }
                    _ => {}
                }
            }
        }
        running
    }

    /// A line that stands at the margin: it ends a block, and may begin one.
    fn top(&mut self, words: &[&str], block: Block) -> Block {
        match *words {
            ["!"] => block,
            ["router", "bgp", number] => {
                self.bgp = Some(number.to_owned());
                Block::Bgp(None)
            }
            ["route-map", NAME, ..] => {
                self.map.push(words.join(" "));
                Block::Map
            }
            [family @ ("ip" | "ipv6"), "prefix-list", NAME, "seq", number, ref rest @ ..] => {
                if let Ok(number) = number.parse() {
                    let prefix = match *rest {
                        ["permit", prefix] => prefix.parse().ok(),
                        _ => None,
                    };
                    let entry = Entry { line: words.join(" "), prefix };
                    self.entries.insert((family == "ip", number), entry);
                }
                Block::Other
            }
            _ => Block::Other,
        }
    }

    /// Something of a family is redistributed through our route-map, which is there.
    pub fn is_configured(&self) -> bool {
        let ours = |line: &str| line.ends_with(&format!(" route-map {NAME}"));
        !self.map.is_empty() && self.redistributed.iter().any(|(_, line)| ours(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_told_from_what_stands_beside_it() {
        let text = "router bgp 65010\n neighbor 10.1.0.1 remote-as 65001\n !\n \
             address-family ipv4 unicast\n  redistribute connected route-map stead\n \
             exit-address-family\nexit\n!\nrouter bgp 65010 vrf red\n !\n \
             address-family ipv4 unicast\n  redistribute kernel\n exit-address-family\nexit\n!\n\
             ip prefix-list none seq 5 deny any\nip prefix-list stead seq 5 permit 10.99.0.1/32\n\
             ip prefix-list stead seq 10 permit 10.98.0.0/24 le 32\n!\n\
             ipv6 prefix-list stead seq 5 permit fd99::1/128\n!\n\
             route-map other permit 10\n match ip address prefix-list none\nexit\n!\n\
             route-map stead permit 10\n match interface stead0\nexit\n!\nend\n";
        let running = Running::read(text);
        assert_eq!(running.bgp.as_deref(), Some("65010"));
        assert_eq!(running.map, ["route-map stead permit 10", "match interface stead0"]);
        let line = "redistribute connected route-map stead".to_owned();
        assert_eq!(running.redistributed, [("ipv4 unicast", line)]);
        assert!(running.is_configured());
        let permitted: Vec<_> = running.entries.values().map(|it| it.prefix).collect();
        let wanted = ["fd99::1/128".parse().ok(), "10.99.0.1/32".parse().ok(), None];
        assert_eq!(permitted, wanted);
    }
}
