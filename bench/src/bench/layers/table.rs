//! The table: what the client saw, event by event.

use crate::report::{Row, Spread, groups, spread, table};

/// A line for each event, layer, family and subject.
pub(crate) fn tables(rows: &[&Row]) -> String {
    let key = |row: &'_ Row| {
        (row.failure.clone().unwrap_or_default(), row.config.clone(), row.subject.clone())
    };
    let mut groups = groups(rows, key);
    groups.sort_by(|(one, _), (other, _)| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    let line = |((event, config, subject), rows): ((String, String, String), Vec<&Row>)| {
        let outages = spread(rows.iter().filter_map(|row| row.outage_ms));
        let figures = outages.map_or_else(
            || ["-", "-", "-"].map(str::to_owned),
            |Spread { min, median, max, .. }| [min, median, max].map(|it| format!("{it:.1}")),
        );
        let good = rows.iter().filter(|row| row.error.is_none()).count();
        let [min, median, max] = figures;
        let count = format!("{good} of {}", rows.len());
        vec![event, subject, config, min, median, max, count]
    };
    let head = ["event", "subject", "layer", "outage min ms", "median", "max", "trials"];
    table(&head, groups.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use ::stead::demo::fleet::Family;

    use super::super::{Event, NAME, Way, subjects};
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_layer_family_and_event() {
        let subject = subjects(&[Way::Mac], false)[0];
        let row = |run, outage_ms, error: Option<&str>| Row {
            bench: NAME.to_owned(),
            subject: subject.name().to_owned(),
            config: subject.config(Family::V6),
            run,
            outage_ms,
            failure: Some(Event::Dead.to_string()),
            error: error.map(str::to_owned),
            ..Row::default()
        };
        let rows = [row(1, Some(400.0), None), row(2, Some(420.0), None), row(3, None, Some("x"))];
        let rows: Vec<&Row> = rows.iter().collect();
        let text = tables(&rows);
        let line =
            "| node dead | stead | mac, IPv6, ride-out 300 ms | 400.0 | 410.0 | 420.0 | 2 of 3 |";
        assert!(text.contains(line), "{text}");
    }
}
