//! How long it takes, told and not judged.

use std::time::{Duration, Instant};

use super::site::{Site, Software, address, wanted};

/// How often.
const ROUNDS: u8 = 10;

#[test]
fn how_long_until_all_servers_say_it() {
    for software in [Software::Bind, Software::Knot] {
        let site = Site::new(software);
        let (mut taken, mut all) = (Vec::new(), Vec::new());
        site.on(async {
            for round in 1..=ROUNDS {
                let now = wanted("www.site.test", 30, vec![address(round)]);
                let began = Instant::now();
                site.write(u64::from(round), &now).await;
                taken.push(began.elapsed());
                site.converged(&now).await;
                all.push(began.elapsed());
            }
        });
        let tell = |mut all: Vec<Duration>| {
            all.sort();
            format!("{:?} to {:?}, median {:?}", all[0], all[all.len() - 1], all[all.len() / 2])
        };
        println!("{software:?}: taken after {}; everywhere after {}", tell(taken), tell(all));
    }
}
