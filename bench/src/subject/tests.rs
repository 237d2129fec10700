use super::*;

#[test]
fn peers_are_left_out_unless_asked_for() {
    let without = failover(&Choice::default());
    assert!(without.iter().all(|spec| spec.subject() == "stead"));
    assert_eq!(without.len(), 5 * GATES.len());
    let with = failover(&Choice { peers: true, ..Choice::default() });
    assert_eq!(with.len(), without.len() + 5);
}

#[test]
fn every_subject_has_a_name_of_its_own() {
    for specs in [failover, quorum, quiet, idle] {
        let specs = specs(&Choice { peers: true, ..Choice::default() });
        let names = specs.iter().map(|spec| format!("{} {}", spec.subject(), spec.config()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), specs.len(), "{names:?}");
    }
}

#[test]
fn a_text_chooses_among_names_and_settings() {
    let choice = |only: &str| Choice { peers: true, only: Some(only.to_owned()), gate: None };
    let only: Vec<String> = failover(&choice("0.01")).iter().map(Spec::config).collect();
    assert_eq!(only, ["advert 0.01 s"]);
    assert!(failover(&choice("stead")).iter().all(|spec| spec.subject() == "stead"));
    assert!(failover(&choice("nothing of the kind")).is_empty());
}

#[test]
fn a_gate_that_does_not_exist_leaves_no_stead() {
    let choice = Choice { gate: Some("none".to_owned()), ..Choice::default() };
    assert!(failover(&choice).is_empty());
    let choice = Choice { gate: Some(GATES[0].name.to_owned()), ..Choice::default() };
    assert_eq!(failover(&choice).len(), 5);
}

#[test]
fn what_is_tolerated_follows_from_the_settings() {
    let of = |ms| Duration::from_millis(ms);
    assert_eq!(Spec::Keepalived(Advert::Hundredth).tolerates(), of(36));
    assert_eq!(Spec::Keepalived(Advert::Second).tolerates(), of(3609));
    assert_eq!(Spec::Pacemaker(Tuning::Tuned).tolerates(), of(100));
    assert_eq!(failover(&Choice::default())[0].tolerates(), of(36));
}

#[test]
fn subjects_with_a_server_have_two_nodes_and_one_form_of_the_gate() {
    let names = |specs: Vec<Spec>| specs.iter().map(Spec::config).collect::<Vec<_>>();
    let ours = names(quorum(&Choice::default()));
    assert_eq!(ours.len(), 2, "{ours:?}");
    assert!(ours.iter().all(|it| it.ends_with("ebpf, server 5 ms away")), "{ours:?}");
    let other = Choice { gate: Some("nftables".to_owned()), ..Choice::default() };
    assert!(names(quorum(&other)).iter().all(|it| it.contains("nftables")));
    let peers = Choice { peers: true, only: Some("qdevice".to_owned()), gate: None };
    assert_eq!(names(quorum(&peers)), ["token 3 s (default), server 5 ms away"]);
}

#[test]
fn programs_are_found_by_path_and_by_name() {
    assert!(is_installed("sh"));
    assert!(is_installed("/bin/sh"));
    assert!(!is_installed("no-such-program-anywhere"));
    assert!(!is_installed("/no/such/file"));
}
