//! x
fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    if args.len() == 1 {
        let it = stead_sim::swarm::Seed::new(args[0]);
        println!("{:?} {:?}", it.plan, it.mix);
        let (o, w) = stead_sim::swarm::play(&it, |w| w.tracing = true);
        let w = w.unwrap();
        for l in &w.trace { println!("{}", w.line(0, l)); }
        for h in &w.hosts { println!("{} {:?} {:?}\n   {:?}\n   {:?}", h.name, h.gate, h.guard.as_ref().map(|g| &g.lease).map(|l| l.lease_until()), h.daemon.as_ref().map(|d| (d.node.report(), d.node.log(), d.guard)), w.local(w.ids[&h.id])); }
        println!("{:?}", o.verdict);
        return;
    }
    let t = std::time::Instant::now();
    let (mut v, mut steps, mut bad) = (0, 0, 0);
    for seed in args[0]..args[1] {
        let o = stead_sim::swarm::run(seed);
        v += o.virtual_micros; steps += o.steps;
        if let Some(x) = o.verdict { bad += 1; println!("{seed} {} {} at {}", x.judge, x.what, x.at / 1000); }
    }
    let e = t.elapsed().as_secs_f64();
    println!("bad {bad} virtual {} s, wall {e:.1}, {:.0}x, {:.1} M steps/s", v / 1_000_000, v as f64 / 1e6 / e, steps as f64 / 1e6 / e);
}
