//! What the screens show. `UPDATE_EXPECT=1` writes them anew; read the difference.

use clap::CommandFactory;
use expect_test::expect;

use super::shown::{cluster, done, list, restored};
use crate::cli::Cli;
use crate::cli::look::Look;
use crate::quorum_server::backup::Restored;
use crate::quorum_server::report::{ClusterReport, ListReport, TokenReport, Trust};
use crate::quorum_server::{Cause, DoneAnswer};

fn shop() -> ClusterReport {
    ClusterReport {
        cluster: "4f1c00a2b3c4d5e6f708192a3b4c5d6e".to_owned(),
        name: "shop".to_owned(),
        state: Trust::Trusted,
        cause: None,
        last: 8,
        holder: Some(vec![1, 3]),
        members: vec!["ab".repeat(32), "cd".repeat(32)],
        connections: 2,
        enrolled: "2026-03-01T12:00:00.000Z".to_owned(),
        seen: Some("2026-03-02T08:15:30.000Z".to_owned()),
        granted: 1,
        refused: 4,
    }
}

#[test]
fn every_command_is_explained() {
    let cli = Cli::command();
    let server = cli.find_subcommand("quorum-server").expect("it is there");
    for command in server.get_subcommands() {
        assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{}: {argument}", command.get_name());
        }
    }
}

#[test]
fn a_list_of_all_states() {
    let depot = ClusterReport {
        cluster: "c0ffee00b3c4d5e6f708192a3b4c5d6e".to_owned(),
        name: "depot\u{1b}[31m".to_owned(),
        state: Trust::Distrusted,
        cause: Some(Cause::Restored),
        seen: None,
        connections: 0,
        ..shop()
    };
    let old = ClusterReport { name: "old".to_owned(), state: Trust::Revoked, ..shop() };
    let token = TokenReport {
        number: "token-1f00ba47".to_owned(),
        name: Some("till".to_owned()),
        expires: "2026-03-02T09:00:00.000Z".to_owned(),
    };
    let clusters = vec![depot, old, shop()];
    let report = ListReport { key: "ef".repeat(32), clusters, tokens: vec![token] };
    expect![[r#"
        CLUSTER   NAME        STATE       GRANT  NODES  CONNECTED  SEEN
        c0ffee00  depot�[31m  distrusted  8      2      0          never
        4f1c00a2  old         revoked     8      2      2          2026-03-02T08:15:30.000Z
        4f1c00a2  shop        trusted     8      2      2          2026-03-02T08:15:30.000Z

        1 distrusted: nothing is granted yet. Why, and what to look at:
        stead quorum-server show CLUSTER

        OPEN TOKEN      NAME  EXPIRES
        token-1f00ba47  till  2026-03-02T09:00:00.000Z
    "#]]
    .assert_eq(&list(&report, Look::plain(100)));
    let none = ListReport { key: String::new(), clusters: Vec::new(), tokens: Vec::new() };
    expect![[r#"
        No cluster is enrolled. To enrol one: stead quorum-server enrol
    "#]]
    .assert_eq(&list(&none, Look::plain(100)));
}

#[test]
fn one_cluster_and_what_to_look_at() {
    expect![[r#"
        cluster       4f1c00a2b3c4d5e6f708192a3b4c5d6e
        name          shop
        state         trusted
        newest grant  8, given to the half with node 1, 3
        answers       1 granted, 4 refused
        connections   2
        last heard    2026-03-02T08:15:30.000Z
        enrolled      2026-03-01T12:00:00.000Z
        member keys   abababababababababababababababababababababababababababababababab
                      cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
    "#]]
    .assert_eq(&cluster(&shop(), Look::plain(100)));
    let behind = ClusterReport {
        state: Trust::Distrusted,
        cause: Some(Cause::Behind),
        holder: None,
        seen: None,
        ..shop()
    };
    expect![[r#"
        cluster       4f1c00a2b3c4d5e6f708192a3b4c5d6e
        name          shop
        state         distrusted
        newest grant  8
        answers       1 granted, 4 refused
        connections   2
        last heard    never
        enrolled      2026-03-01T12:00:00.000Z
        member keys   abababababababababababababababababababababababababababababababab
                      cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd

        A node knew of a later grant than this server: its disk holds an old copy.
        Nothing is granted until the coordinator has set it right. Find out who put back
        the server's disk: use `stead quorum-server restore` for that, never a copy.
    "#]]
    .assert_eq(&cluster(&behind, Look::plain(80)));
}

#[test]
fn what_was_done_and_what_comes_next() {
    let what = "4f1c00a2b3c4d5e6f708192a3b4c5d6e".to_owned();
    let answer = DoneAnswer { what, name: Some("shop".to_owned()), connections: 2 };
    expect![[r#"
        shop (4f1c00a2b3c4d5e6f708192a3b4c5d6e) is forgotten, with its register.
        2 connections were ended.
    "#]]
    .assert_eq(&done(&answer, "forgotten, with its register"));
    let what = "token-1f00ba47".to_owned();
    let answer = DoneAnswer { what, name: None, connections: 0 };
    expect![[r#"
        token-1f00ba47 is revoked: it can't be used any more.
    "#]]
    .assert_eq(&done(&answer, "revoked"));
    let answer = Restored { taken: "2026-03-01T12:00:00.000Z".to_owned(), clusters: 3 };
    expect![[r#"
        The registers of 3 clusters are as they were at 2026-03-01T12:00:00.000Z,
        and distrusted: what was granted since is not known, so nothing is granted yet.
        Next: systemctl start stead-quorum-server. Each cluster's coordinator then sets its
        register right by itself, while it has quorum; `stead quorum-server list` shows which
        are trusted again. One that stays distrusted has no quorum now: look at `stead status`
        there. Clusters that were enrolled after the backup have to be enrolled again.
    "#]]
    .assert_eq(&restored(&answer));
}
