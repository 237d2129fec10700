//! What a client sees that asks a cache.

use stead_redirect::dns::Kind;

use super::site::{Site, Software, address, ask, wanted};

#[test]
fn a_cache_says_what_was_until_its_time_is_over() {
    let site = Site::new(Software::Bind);
    let cache = site.cache();
    site.on(async {
        let old = wanted("www.site.test", 3, vec![address(1)]);
        site.write(5, &old).await;
        let see = || async { ask(cache, "www.site.test", Kind::A).await };
        site.until("the cache has it", || async {
            see().await.is_ok_and(|it| it.answers.iter().any(|it| it.data == Some(address(1))))
        })
        .await;
        let seen = see().await.expect("answered");
        assert!(!seen.authoritative && seen.answers[0].ttl <= 3, "{seen:?}");
        site.write(6, &wanted("www.site.test", 3, vec![address(2)])).await;
        // Each answer is the old one with less time left, or the new one; never the old one after.
        let mut last = u32::MAX;
        let mut is_new = false;
        let deadline = super::site::soon();
        while !is_new || last > 2 {
            let seen = see().await.expect("answered");
            let answer = &seen.answers[0];
            let now_new = answer.data == Some(address(2));
            assert!(now_new || !is_new, "the old one came back");
            assert!(answer.ttl <= last || now_new && !is_new, "{answer:?} after {last}");
            (last, is_new) = (answer.ttl, now_new);
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let none = ask(cache, "nobody.site.test", Kind::A).await.expect("answered");
        assert_eq!((none.rcode.as_str(), none.nothing_for), ("NXDOMAIN", Some(5)));
    });
}
