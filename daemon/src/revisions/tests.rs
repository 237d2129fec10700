use std::os::unix::fs::PermissionsExt;

use super::*;

const TEXT: &str = r#"
[cluster]
name = "shop"
[links.lan]
[nodes.node1]
addresses = { lan = "192.0.2.11" }
[nodes.node2]
addresses = { lan = "192.0.2.12" }
[services.db]
addresses = ["192.0.2.101/24"]
importance = 1
"#;

fn with_importance(importance: u64) -> Config {
    let text = TEXT.replace("importance = 1", &format!("importance = {importance}"));
    config::read("x", &text).unwrap().config
}

fn kept() -> (tempfile::TempDir, Revisions) {
    let folder = tempfile::tempdir().unwrap();
    let revisions = Revisions::new(folder.path().join("revisions"));
    (folder, revisions)
}

#[test]
fn each_is_kept_with_what_it_changed() {
    let (_folder, revisions) = kept();
    assert_eq!(revisions.list().unwrap(), []);
    assert_eq!(revisions.text(9).unwrap(), None);
    let (first, second) = (with_importance(1), with_importance(80));
    revisions.write(1, &first, None).unwrap();
    revisions.write(4, &second, Some(&first)).unwrap();
    let list = revisions.list().unwrap();
    let numbers: Vec<_> = list.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 4]);
    assert_eq!((list[0].changes.len(), list[0].more), (0, 0));
    assert_eq!(list[1].changes, ["service db: importance: 1 -> 80"]);
    assert!(crate::journal::parse(&list[1].since).is_some(), "{list:?}");
    // Between two of them the earlier one was in force: the cluster was disarmed, say.
    assert_eq!(revisions.text(3).unwrap().unwrap(), (1, config::render(&first)));
    assert_eq!(revisions.text(0).unwrap(), None);
    assert_eq!(revisions.config(u64::MAX), Some(second));
    let mode = fs::metadata(revisions.path(4)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_oldest_go() {
    let (_folder, revisions) = kept();
    let config = with_importance(1);
    for number in 1..=KEPT as u64 + 2 {
        revisions.write(number, &config, None).unwrap();
    }
    let list = revisions.list().unwrap();
    assert_eq!((list.len(), list[0].number), (KEPT, 3));
}

#[test]
fn what_somebody_else_put_there_is_passed_over_or_told() {
    let (_folder, revisions) = kept();
    let config = with_importance(1);
    revisions.write(2, &config, None).unwrap();
    fs::write(revisions.folder.join("notes.txt"), "mine").unwrap();
    fs::write(revisions.path(3), "[cluster]\nname = ").unwrap();
    assert_eq!(revisions.list().unwrap()[1], Revision { number: 3, ..Revision::default() });
    assert_eq!(revisions.config(3), None);
    assert_eq!(revisions.config(2), Some(config));
    fs::write(revisions.path(4), [0xff, 0xfe]).unwrap();
    assert!(revisions.text(4).is_err());
}

#[tokio::test]
async fn only_what_is_new_is_written() {
    let (_folder, revisions) = kept();
    let (first, second) = (with_importance(1), with_importance(2));
    let known = revisions.clone().keep(1, first.clone(), None).await;
    // A revision that changes nothing of the configuration.
    let known = revisions.clone().keep(2, first.clone(), known).await;
    assert_eq!(known, Some((2, first.clone())));
    revisions.clone().keep(3, second.clone(), known).await;
    // A daemon that starts anew knows nothing but what is on the disk.
    revisions.clone().keep(3, second, None).await;
    let list = revisions.list().unwrap();
    let told: Vec<_> = list.iter().map(|it| (it.number, it.changes.len())).collect();
    assert_eq!(told, [(1, 0), (3, 1)]);
}
