//! One scenario of two sites as a timeline, through the bench's own code.

use serde::Deserialize;
use stead_bench::bench::timelines::{self, Scenario};
use stead_bench::report::{About, Results, Session, Shows, TIMELINE, Timeline, pictures};

use crate::trial::tools;

#[test]
fn of_two_sites_that_are_cut_apart_one_is_granted_and_the_other_is_silent_before_it_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = tools(folder.path());
    let mut results = Results::open(folder.path(), timelines::NAME, false).expect("opened");
    let outcome = timelines::play(&tools, &[Scenario::LinkCut], &mut results);
    outcome.map_err(|error| error.told()).expect("it came to its end (needs root)");
    let [row] = results.rows() else { panic!("{:?}", results.rows()) };
    assert_eq!((&row.error, row.double_ms), (&None, Some(0.0)), "{row:?}");

    let timeline = Timeline::deserialize(&row.more[TIMELINE]).expect("a timeline");
    let at = |words: &str| {
        let mark = timeline.marks.iter().find(|mark| mark.text.contains(words));
        mark.unwrap_or_else(|| panic!("nobody says {words}: {:#?}", timeline.marks)).ms
    };
    assert_eq!(at("the link is cut"), 0.0);
    assert!(at("QUORUMTIE") > 0.0 && at("HAVEQUORUM") > at("QUORUMTIE"), "{timeline:#?}");
    assert!(at("HAVEQUORUM") < at("answers for"), "{timeline:#?}");
    assert!(at(" silent") < at("answers for"), "{timeline:#?}");
    let mut silent = timeline.marks.iter().filter(|mark| mark.text.ends_with(" silent"));
    assert!(silent.all(|mark| mark.about == About::Service), "{timeline:#?}");
    let bars = timeline.lanes.iter().flat_map(|lane| &lane.bars);
    assert!(bars.clone().any(|bar| bar.shows == Shows::Silence), "a client waits: {timeline:#?}");
    assert!(bars.clone().any(|bar| bar.shows == Shows::Down), "the link: {timeline:#?}");

    let session = Session { machine: None, rows: results.rows().to_vec() };
    let [(name, picture)] = &pictures(&session)[..] else { panic!("one picture") };
    assert_eq!(name, "link cut");
    assert!(picture.contains("the link is cut") && picture.len() < 40_000, "{picture}");
}
