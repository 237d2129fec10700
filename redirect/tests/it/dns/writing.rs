//! What is written is what all servers say.

use std::net::Ipv6Addr;

use stead_redirect::dns::{Binding, Data, Kind, remove, update};

use super::site::{Site, Software, address, ask, each, name, servers, soon, wanted, writer};

#[test]
fn a_name_is_written_once_and_follows_its_service() {
    each(|site| {
        site.on(async {
            let first =
                wanted("www.site.test", 30, vec![address(1), Data::Aaaa(Ipv6Addr::LOCALHOST)]);
            let one = site.write(5, &first).await;
            assert!(one.changed && one.after > Some(one.before), "{one:?}");
            assert_eq!(one.server, servers()[0]);
            assert_eq!(site.says("www.site.test", Kind::A).await, ["A 192.0.2.1"]);
            let marker = ["TXT \"v=1 cluster=lab service=web epoch=5\""];
            let marked = site.says("_stead.www.site.test", Kind::Txt).await;
            assert_eq!(
                marked.iter().map(|it| it.replace('"', "")).collect::<Vec<_>>(),
                marker.map(|it| it.replace('"', ""))
            );
            // The same again changes nothing.
            let again = site.write(5, &first).await;
            assert_eq!(
                (again.changed, again.before, again.after),
                (false, again.before, one.after)
            );
            assert_eq!(Some(again.before), one.after);
            site.converged(&first).await;
            // On the next node: another address, one kind less.
            let second = wanted("www.site.test", 30, vec![address(2)]);
            let two = site.write(6, &second).await;
            assert!(two.changed && two.after > one.after, "{two:?}");
            assert_eq!(site.says("www.site.test", Kind::Aaaa).await, [""; 0]);
            site.converged(&second).await;
            // The same words of a later epoch are written too: the marker is.
            assert!(site.write(7, &second).await.changed);
        });
    });
}

#[test]
fn a_time_to_live_changes_alone() {
    each(|site| {
        site.on(async {
            for ttl in [300, 2, 300] {
                let now = wanted("www.site.test", ttl, vec![address(1)]);
                assert!(site.write(5, &now).await.changed);
                let seen = ask(servers()[0], "www.site.test", Kind::A).await.expect("answered");
                assert_eq!(seen.answers[0].ttl, ttl);
                site.converged(&now).await;
            }
        });
    });
}

#[test]
fn every_kind_that_leads_to_a_service_can_be_written() {
    let target = name("node1.site.test");
    let binding = Binding {
        priority: 1,
        target: target.clone(),
        alpn: vec!["h2".to_owned(), "h3".to_owned()],
        port: Some(8443),
        ipv4hint: vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()],
        ipv6hint: vec![Ipv6Addr::LOCALHOST],
    };
    let alias = Binding {
        priority: 0,
        alpn: vec![],
        port: None,
        ipv4hint: vec![],
        ipv6hint: vec![],
        ..binding.clone()
    };
    let srv = |port| Data::Srv { priority: 1, share: 2, port, target: target.clone() };
    each(|site| {
        site.on(async {
            // One after another at one name: an alias comes and goes.
            let all = [
                vec![address(1)],
                vec![Data::Cname(target.clone())],
                vec![address(2), Data::Aaaa(Ipv6Addr::LOCALHOST), Data::Https(binding.clone())],
                vec![Data::Https(alias.clone())],
                vec![Data::Cname(name("node2.site.test"))],
                vec![],
                vec![Data::Svcb(binding.clone())],
            ];
            for data in all {
                let now = wanted("www.site.test", 30, data);
                assert!(site.write(5, &now).await.changed);
                assert!(!site.write(5, &now).await.changed, "{now:?}");
                site.converged(&now).await;
            }
            let now = wanted("_db._tcp.site.test", 30, vec![srv(5432), srv(5433)]);
            assert!(site.write(5, &now).await.changed);
            let seen = ask(servers()[0], "_db._tcp.site.test", Kind::Srv).await.expect("answered");
            let mut data: Vec<_> = seen.answers.into_iter().filter_map(|it| it.data).collect();
            data.sort();
            assert_eq!(data, now.data());
            site.converged(&now).await;
        });
    });
}

#[test]
fn what_is_longer_than_a_datagram_is_asked_for_by_connection() {
    let site = Site::new(Software::Bind);
    site.on(async {
        let many = (1..=100).map(|it| Data::Aaaa(Ipv6Addr::from_bits(it))).collect();
        let many = wanted("many.site.test", 30, many);
        assert!(site.write(5, &many).await.changed);
        let seen = ask(servers()[0], "many.site.test", Kind::Aaaa).await.expect("answered");
        assert_eq!(seen.answers.len(), 100);
        site.converged(&many).await;
    });
}

#[test]
fn what_is_removed_is_gone_with_its_marker() {
    each(|site| {
        site.on(async {
            let zone = site.zone();
            let www = wanted("www.site.test", 30, vec![address(1)]);
            site.write(5, &www).await;
            let gone = remove(&zone, &writer(5), www.name(), soon()).await.expect("removed");
            assert!(gone.changed);
            let seen = ask(servers()[0], "www.site.test", Kind::A).await.expect("answered");
            assert_eq!((seen.rcode.as_str(), seen.nothing_for), ("NXDOMAIN", Some(5)));
            let seen =
                ask(servers()[0], "_stead.www.site.test", Kind::Txt).await.expect("answered");
            assert_eq!(seen.rcode, "NXDOMAIN");
            let again = remove(&zone, &writer(5), www.name(), soon()).await.expect("nothing to do");
            assert!(!again.changed);
            // What a person made is left, whatever may be adopted.
            let theirs =
                remove(&zone, &writer(5).adopts(true), &name("old.site.test"), soon()).await;
            assert!(theirs.is_err());
            assert_eq!(site.says("old.site.test", Kind::A).await, ["A 192.0.2.99"]);
        });
    });
}

#[test]
fn a_name_that_a_person_made_is_adopted_only_when_told_to() {
    each(|site| {
        site.on(async {
            let zone = site.zone();
            let old = wanted("old.site.test", 30, vec![address(1)]);
            let refused = update(&zone, &writer(5), &old, soon()).await.expect_err("not ours");
            assert_eq!(
                refused.to_string(),
                "old.site.test was not changed: it has records (A) that stead did not write; adopt \
                 it, and they are replaced, or choose another name"
            );
            assert_eq!(site.says("old.site.test", Kind::A).await, ["A 192.0.2.99"]);
            let adopted =
                update(&zone, &writer(5).adopts(true), &old, soon()).await.expect("taken");
            assert!(adopted.changed);
            site.converged(&old).await;
            // It is ours now.
            assert!(site.write(6, &wanted("old.site.test", 30, vec![address(2)])).await.changed);
        });
    });
}
