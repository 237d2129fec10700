//! Short stories: a cluster, and what becomes of it.

use expect_test::{Expect, expect};
use stead_core::id::ServiceId;
use stead_core::placement::{self, Verdict};

use super::bed::Cluster;

fn check(story: &str, expected: &Expect) {
    let cluster = Cluster::told(story);
    let plan = cluster.plan();
    assert_eq!(cluster.broken(&plan), []);
    expected.assert_eq(&cluster.tell(&plan));
}

#[test]
fn what_works_stays_and_what_is_nowhere_goes_where_least_is() {
    check(
        "node n1
         node n2
         node n3
         service a at=n1
         service b at=n1 prefer=n2
         service c at=n2
         service d",
        &expect![[r#"
            d: -> n3: better than n2 by Load
        "#]],
    );
}

#[test]
fn labels_say_where() {
    check(
        "node n1 rack=r1
         node n2 rack=r2
         node n3 rack=r2
         service a only=rack:r2
         service b never=n1,n2
         service c prefer=rack:r2,n1 at=n1 failback
         service d at=n1 never=rack:r1",
        &expect![[r#"
            a: -> n2: better than n3 by Number
            b: -> n3: Only
            c: n1 -> n3 (it prefers another node, and returns): better than n2 by Load
            d: n1 -> n2 (`only` or `never` keeps it from there): better than n3 by Number
        "#]],
    );
}

#[test]
fn together_and_apart() {
    check(
        "node n1 rack=r1
         node n2 rack=r1
         node n3 rack=r2
         service cache together=db
         service db at=n2
         service web1 at=n1
         service web2 apart=web1 apart-by=rack
         service web3 apart=web1:40 at=n1
         service web4 apart=web1:40
         service web5 together=web1:40",
        &expect![[r#"
            cache: -> n2: Only
            web2: -> n3: Only
            web4: -> n3: better than n2 by Load
            web5: -> n1: better than n2 by Rules
        "#]],
    );
}

#[test]
fn the_more_important_get_the_room() {
    check(
        "node n1 memory=10
         node n2 memory=10
         service db uses=memory:8 importance=90
         service shop at=n1 uses=memory:6
         service wiki at=n2 uses=memory:6 importance=20
         service blog at=n2 uses=memory:3 importance=20",
        &expect![[r#"
            blog: n2 -> n1 (db needs the room): Only
            db: -> n2: RoomMade
            wiki: n2 -> nowhere (db needs the room)
        "#]],
    );
}

#[test]
fn nothing_takes_the_room_of_what_it_needs() {
    // The shop counts for the most, and is of no use without its data.
    check(
        "node n1 memory=4
         node n2 memory=2
         service data uses=memory:2 only=n1 importance=20
         service db uses=memory:1 needs=data only=n1
         service shop uses=memory:4 needs=db importance=90 at=n1",
        &expect![[r#"
            data: -> n1: RoomMade
            db: -> n1: Only
            shop: n1 -> nowhere (data needs the room)
        "#]],
    );
    // Nor does anything less important than what needs it.
    check(
        "node n1 memory=2
         service data uses=memory:2 importance=20
         service shop needs=data importance=90
         service wiki uses=memory:2 at=n1",
        &expect![[r#"
            data: -> n1: RoomMade
            shop: -> n1: Only
            wiki: n1 -> nowhere (data needs the room)
        "#]],
    );
}

#[test]
fn on_standby_nothing_stays_that_keeps_something_more_important_from_its_place() {
    // Together with s2 there is no room for s0, and without it s2 can't be where s0 is not.
    check(
        "node a memory=4
         node b memory=4 standby
         service s0 at=b uses=memory:1 importance=20 apart=s1
         service s1 at=a uses=memory:2 importance=35
         service s2 at=b uses=memory:3 importance=50 together=s0
         service s3 at=a uses=memory:1 importance=65",
        &expect![[r#"
            s0: b -> nowhere (its node is on standby, or stopped)
            s1: a -> nowhere (s2 needs the room)
            s2: b -> a (its node is on standby, or stopped): RoomMade
        "#]],
    );
}

#[test]
fn room_is_made_by_who_can_go_elsewhere_before_anything_is_lost() {
    check(
        "node n1 memory=10
         node n2 memory=10
         node n3 memory=4
         service big uses=memory:8
         service a at=n1 uses=memory:4
         service b at=n2 uses=memory:5",
        &expect![[r#"
            a: n1 -> n2 (big needs the room): better than n3 by Load
            big: -> n1: RoomMade
        "#]],
    );
}

#[test]
fn a_set_goes_along_with_the_one_that_has_to_go() {
    check(
        "node n1 standby
         node n2
         node n3
         service db at=n1 only=n1,n3
         service cache at=n1 together=db
         service web at=n1",
        &expect![[r#"
            cache: n1 -> n3 (its node is on standby, or stopped): Only
            db: n1 -> n3 (its node is on standby, or stopped): Only
            web: n1 -> n2 (its node is on standby, or stopped): better than n3 by Load
        "#]],
    );
}

#[test]
fn on_standby_is_better_than_nowhere_and_a_broken_rule_is_not() {
    check(
        "node n1 standby
         node n2 suspect
         service a at=n1
         service b at=n2 only=n1",
        &expect![[r#"
            b: n2 -> nowhere (`only` or `never` keeps it from there)
        "#]],
    );
}

/// What is named as the reason is the reason: with it gone, the node would do.
#[test]
fn what_keeps_a_service_from_a_node_is_said_of_each() {
    let story = "node n1 memory=10 rack=r1
                 node n2 memory=10 rack=r2
                 node n3 memory=10 rack=r3
                 node n4 memory=10 rack=r4
                 node n5 memory=20 rack=r5
                 service db at=n5 uses=memory:8
                 service full at=n1 uses=memory:5
                 service other at=n2 apart=db";
    let told = |story: &str| -> Vec<String> {
        let cluster = Cluster::told(story);
        let verdicts = placement::verdicts(cluster.sight(), &ServiceId::from("db"));
        let line = |(node, verdict)| match verdict {
            Verdict::Barred(obstacle) => format!("{}: {obstacle}", cluster.state.name(node)),
            Verdict::Worse(factor) => format!("{}: worse by {factor:?}", cluster.state.name(node)),
            Verdict::Best => format!("{}: the best", cluster.state.name(node)),
        };
        verdicts.into_iter().map(line).collect()
    };
    expect![[r#"
        n1: memory: 8 needed, 5 left
        n2: other is there, and they are apart
        n3: worse by Load
        n4: worse by Load
        n5: the best"#]]
    .assert_eq(&told(story).join("\n"));
    let freed = told(&story.replace("uses=memory:5", "uses=memory:2"));
    assert!(!freed[0].contains("memory"), "{freed:?}");
    let beside = told(&story.replace("apart=db", ""));
    assert!(!beside[1].contains("apart"), "{beside:?}");
}
