//! The text format of Prometheus, version 0.0.4.
//!
//! A family is its `# HELP` and `# TYPE` and then its samples, each on a line. In label values the
//! backslash, the quotation mark and the end of line are escaped; in the help the first and the
//! last. Nothing that a configuration, a program or another node names can break out of a line.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::family::Family;

/// Samples on their way to a text.
#[derive(Debug, Default)]
pub(crate) struct Text(BTreeMap<&'static str, String>);

impl Text {
    /// Adds a sample, with the values of the family's labels in their order.
    pub(crate) fn put(&mut self, family: &Family, labels: &[&str], value: f64) {
        debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
        let line = self.0.entry(family.name).or_default();
        line.push_str(family.name);
        if !labels.is_empty() {
            let pairs = family.labels.iter().zip(labels);
            let pairs = pairs.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
            line.push('{');
            line.push_str(&pairs.collect::<Vec<_>>().join(","));
            line.push('}');
        }
        line.push(' ');
        line.push_str(&number(value));
        line.push('\n');
    }

    /// Adds a sample that is 1 or 0.
    pub(crate) fn truth(&mut self, family: &Family, labels: &[&str], truth: bool) {
        self.put(family, labels, f64::from(u8::from(truth)));
    }

    /// Adds a whole number. Those beyond 2^53 lose their last digits, as they do in Prometheus.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    pub(crate) fn count(&mut self, family: &Family, labels: &[&str], count: u64) {
        self.put(family, labels, count as f64);
    }

    /// Every family of the list that has samples, in its order.
    pub(crate) fn finish(self, all: &[Family]) -> String {
        let mut out = String::new();
        for family in all {
            let Some(samples) = self.0.get(family.name) else { continue };
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing into a string has no way to fail.
            let written = write!(
                out,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}",
                name = family.name,
                kind = family.kind.name()
            );
            debug_assert!(written.is_ok());
        }
        out
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::{ALL, NODE, SLACK, VOTERS};
    use super::*;

    #[test]
    fn families_come_in_their_order_with_all_their_samples_together() {
        let mut text = Text::default();
        text.put(&SLACK, &[], 0.004);
        text.count(&VOTERS, &[], 3);
        text.truth(&NODE, &["a \"b\"\\c\nd", "node1"], true);
        let expected = "# HELP stead_node_info Always 1; the cluster's name and this node's.\n\
                        # TYPE stead_node_info gauge\n\
                        stead_node_info{cluster=\"a \\\"b\\\"\\\\c\\nd\",node=\"node1\"} 1\n\
                        # HELP stead_voters How many nodes vote.\n\
                        # TYPE stead_voters gauge\n\
                        stead_voters 3\n\
                        # HELP stead_gate_slack_seconds How late this node's kernel may shut the \
                        gate.\n# TYPE stead_gate_slack_seconds gauge\n\
                        stead_gate_slack_seconds 0.004\n";
        assert_eq!(text.finish(ALL), expected);
    }

    #[test]
    fn every_number_is_one_of_the_format() {
        let values = [0.0, 1.5, 1e300, 1e-9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let written = values.map(number);
        assert_eq!(written[..2], ["0", "1.5"]);
        assert_eq!(written[4..], ["NaN", "+Inf", "-Inf"]);
        for (value, text) in values.iter().zip(&written).take(4) {
            assert_eq!(text.parse::<f64>().as_ref(), Ok(value));
        }
    }
}
