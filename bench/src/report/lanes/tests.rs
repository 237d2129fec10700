use super::super::timeline::Bar;
use super::*;

fn bar(from_ms: f64, to_ms: f64, shows: Shows, text: &str) -> Bar {
    Bar { from_ms, to_ms, shows, text: text.to_owned() }
}

fn answers(service: &str) -> Shows {
    Shows::Answers(service.to_owned())
}

fn lane(group: &str, name: &str, bars: Vec<Bar>) -> Lane {
    Lane { group: group.to_owned(), name: name.to_owned(), bars }
}

fn mark(ms: f64, text: &str) -> Mark {
    Mark { ms, lanes: vec![0], about: About::Quorum, text: text.to_owned() }
}

/// From 0 to 1000 ms.
fn timeline(lanes: Vec<Lane>, marks: Vec<Mark>) -> Timeline {
    Timeline { title: "a cut".to_owned(), from_ms: 0.0, to_ms: 1_000.0, lanes, marks }
}

fn number(line: &str, key: &str) -> f64 {
    let value = line.split(&format!(" {key}=\"")).nth(1).and_then(|rest| rest.split('"').next());
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {key} in {line}"))
}

/// Every coordinate is a number, and every element is closed.
fn assert_sound(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(svg.matches('<').count(), svg.matches('>').count(), "{svg}");
    for wrong in ["NaN", "inf", "=\"-"] {
        assert!(!svg.contains(wrong), "{wrong} in {svg}");
    }
}

#[test]
fn a_bar_is_as_long_as_its_time_and_stays_within_the_axis() {
    let bars = vec![
        bar(-500.0, 250.0, answers("web"), "node1"),
        bar(250.0, 750.0, Shows::Silence, "no answer for 500 ms"),
        bar(750.0, 9_000.0, answers("web"), "node2"),
    ];
    let svg = draw(&timeline(vec![lane("clients", "web", bars)], vec![]), "a note");
    assert_sound(&svg);
    let rects: Vec<&str> = svg.lines().filter(|line| line.starts_with("<rect x")).collect();
    let [first, gap, last] = rects[..] else { panic!("{svg}") };
    let whole = AXIS_TO - AXIS_FROM;
    for (rect, part) in [(first, 0.25), (gap, 0.5), (last, 0.25)] {
        assert!((number(rect, "width") - part * whole).abs() < 0.2, "{rect}");
    }
    assert!((number(gap, "x") - number(first, "x") - number(first, "width")).abs() < 0.2);
    assert!(svg.contains(">no answer for 500 ms</text>") && svg.contains(">a note</text>"));
}

#[test]
fn an_empty_timeline_is_a_picture_without_lanes() {
    for (from_ms, to_ms) in [(0.0, 0.0), (5.0, -5.0), (f64::NAN, f64::INFINITY)] {
        let svg = draw(&Timeline { from_ms, to_ms, ..Timeline::default() }, "");
        assert_sound(&svg);
        assert!(svg.contains(">milliseconds</text>"), "{svg}");
        assert!(!svg.contains("<circle") && !svg.contains("<rect x"), "{svg}");
    }
}

#[test]
fn what_is_no_time_or_no_lane_harms_nothing() {
    let bars = vec![bar(f64::NAN, 3.0, Shows::Up, "up"), bar(9.0, 3.0, Shows::Down, "down")];
    let marks = vec![
        Mark { lanes: vec![7], ..mark(500.0, "of no lane") },
        Mark { lanes: vec![], ..mark(f64::NAN, "never") },
        mark(2_000.0, "after the end"),
    ];
    let svg = draw(&timeline(vec![lane("a", "", bars)], marks), "");
    assert_sound(&svg);
    assert!(svg.contains("500 ms: of no lane") && !svg.contains("<circle"), "{svg}");
    assert!(!svg.contains("never") && !svg.contains("after the end"), "{svg}");
}

#[test]
fn names_break_out_of_no_element() {
    let name = "<b> & \"c\"";
    let bars = vec![bar(0.0, 900.0, answers(name), name)];
    let mut it = timeline(vec![lane(name, name, bars)], vec![mark(10.0, name)]);
    it.title = name.to_owned();
    let svg = draw(&it, name);
    assert_sound(&svg);
    let told = "&lt;b&gt; &amp; &quot;c&quot;";
    assert_eq!(svg.matches(told).count(), 7, "label, title, group, lane, bar, mark, note: {svg}");
}

#[test]
fn words_of_marks_that_are_close_stand_above_each_other() {
    let marks = vec![mark(100.0, "first"), mark(110.0, "second"), mark(900.0, "third")];
    let svg = draw(&timeline(vec![lane("a", "", vec![])], marks), "");
    assert_sound(&svg);
    let height = |words: &str| {
        let line = svg.lines().find(|line| line.contains(words));
        number(line.unwrap_or_else(|| panic!("no {words} in {svg}")), "y")
    };
    assert_eq!(height("110 ms: second") - height("100 ms: first"), ROW, "the earlier is above");
    assert_eq!(height("110 ms: second"), height("900 ms: third"), "these don't meet");
    let long = "long ".repeat(40);
    let marks = vec![mark(100.0, "first"), mark(990.0, &long)];
    let svg = draw(&timeline(vec![lane("a", "", vec![])], marks), "");
    assert!(svg.contains("class=\"quorum left\""), "it would leave the picture: {svg}");
}

#[test]
fn a_short_silence_is_told_as_well_as_there_is_room() {
    let bars = vec![
        bar(0.0, 100.0, answers("web"), "node1"),
        bar(100.0, 150.0, Shows::Silence, "no answer for 50 ms"),
        bar(150.0, 500.0, answers("web"), "node2"),
        bar(500.0, 504.0, Shows::Silence, "no answer for 4 ms"),
        bar(504.0, 510.0, answers("web"), "node1"),
        bar(510.0, 511.0, Shows::Silence, "odd"),
    ];
    let svg = draw(&timeline(vec![lane("clients", "web", bars)], vec![]), "");
    assert!(svg.contains(">50 ms</text>"), "its last words: {svg}");
    let before = svg.lines().find(|line| line.contains(">no answer for 4 ms</text>"));
    let before = before.unwrap_or_else(|| panic!("in what was before: {svg}"));
    assert!(before.contains("class=\"on left\""), "{svg}");
    let end = AXIS_FROM + 0.5 * (AXIS_TO - AXIS_FROM);
    assert!((number(before, "x") - end + 5.0).abs() < 0.1, "{before}");
    assert!(!svg.contains("odd"), "there is no room: {svg}");
}

#[test]
fn two_services_on_one_node_share_its_lane() {
    let bars = vec![bar(0.0, 900.0, answers("web"), ""), bar(400.0, 900.0, answers("api"), "")];
    let alone = vec![bar(0.0, 300.0, answers("api"), "")];
    let lanes = vec![lane("east", "node1", bars), lane("east", "node2", alone)];
    let svg = draw(&timeline(lanes, vec![]), "");
    let rects: Vec<&str> = svg.lines().filter(|line| line.starts_with("<rect x")).collect();
    let [web, api, other] = rects[..] else { panic!("{svg}") };
    assert!(number(web, "y") + number(web, "height") <= number(api, "y"), "{svg}");
    assert!(number(other, "height") > number(api, "height"), "it has the lane alone: {svg}");
    assert!(web.contains(COLOURS[0]) && api.contains(COLOURS[1]) && other.contains(COLOURS[1]));
}

#[test]
fn ticks_are_round_and_few() {
    for (to, step) in [(1.0, 0.1), (1_000.0, 100.0), (1_300.0, 200.0), (4_000.0, 500.0)] {
        let axis = Axis::over(0.0, to);
        assert!((axis.step() - step).abs() < 1e-9, "{} over {to}", axis.step());
    }
}
