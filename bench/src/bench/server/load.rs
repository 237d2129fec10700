//! The real server under the product's own clients.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::orders::{Done, Order, all, in_a_while};
use super::registers::{self, rate};
use super::{NODES, Scale, mib, octets, timed};
use crate::error::BenchError;
use crate::measure::rounded;
use crate::report::{Results, Row};
use crate::tools::{Folder, PATIENCE, Tools};

/// Tokens that are open at once: below the server's bound.
const INVITED: usize = 1_000;
/// Until an order has reached every process.
const TOGETHER: Duration = Duration::from_millis(300);
/// How long all is left alone before something is measured.
const REST: Duration = Duration::from_secs(5);
/// Clusters of each process that ask one after the other.
const IN_TURN: usize = 20;

struct Load<'a, R> {
    tools: &'a Tools,
    scale: Scale,
    fleet: Fleet,
    connected: usize,
    row: R,
}

/// Measures everything over real connections.
pub fn run(
    tools: &Tools,
    scale: Scale,
    connected: usize,
    row: impl Fn(u32) -> Row,
    results: &mut Results,
) -> Result<(), BenchError> {
    let folder = Folder::create()?;
    // who can't be connected here is enrolled all the same, by the server's own code
    let (ledger, _numbers) = registers::open(&folder.path().join("state"))?;
    let others = ledger.with(|table| registers::enrol(table, connected..scale.clusters));
    ledger.close();
    drop(ledger);
    others?;
    let fleet = Fleet::build(tools, folder, scale.processes)?;
    let mut load = Load { tools, scale, fleet, connected, row };
    load.enrol(results)?;
    for run in 1..=scale.runs {
        load.rest(run, results)?;
        load.in_turn(run, results)?;
        load.storm(run, results)?;
        load.among_handshakes(run, results)?;
        load.restart(run, results)?;
    }
    load.fleet.stop()
}

impl<R: Fn(u32) -> Row> Load<'_, R> {
    fn row(&self, run: u32, part: &str) -> Row {
        (self.row)(run).with("part", part)
    }

    /// How many clusters each process has to have ask, so that so many do.
    fn each(&self, clusters: usize, processes: usize) -> usize {
        clusters.min(self.connected).div_ceil(processes.max(1))
    }

    /// Has something done, and notes what the server used for it.
    fn watched<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, BenchError>,
    ) -> Result<(T, Cost), BenchError> {
        let counters = |it: &Self| -> Result<_, BenchError> {
            Ok((it.fleet.usage()?, it.fleet.counter("commits_total")?, Instant::now()))
        };
        let (usage, commits, began) = counters(self)?;
        let done = act(self)?;
        let (after, commits_after, ended) = counters(self)?;
        let (cpu_s, pss_mib) = (after.cpu_s - usage.cpu_s, after.pss_mib);
        let (commits, took) = (commits_after - commits, ended - began);
        Ok((done, Cost { commits, cpu_s, pss_mib, took }))
    }

    fn enrol(&mut self, results: &mut Results) -> Result<(), BenchError> {
        let mut invited = 0;
        let began = Instant::now();
        let (times, cost) = self.watched(|load| {
            let mut times = Vec::new();
            while invited < load.connected {
                let count = INVITED.min(load.connected - invited);
                let mut tokens = (invited..).zip(load.fleet.tokens(count)?);
                let share = count.div_ceil(load.fleet.workers.len().max(1));
                for worker in &mut load.fleet.workers {
                    let invited = tokens.by_ref().take(share);
                    let invited = invited.map(|(number, token)| (number as u32, token)).collect();
                    worker.tell(&Order::Enrol { invited })?;
                }
                for worker in &mut load.fleet.workers {
                    times.extend(micros(&[worker.hear()?]));
                }
                invited += count;
                load.tools.pause(Duration::ZERO)?;
            }
            Ok(times)
        })?;
        let took = began.elapsed();
        let row = rate(self.row(1, "enrolment of all"), self.connected, took);
        let row =
            cost.note(timed(row, times)).with("disk_mib", mib(octets(&self.fleet.registers())));
        results.add(row)
    }

    fn rest(&mut self, run: u32, results: &mut Results) -> Result<(), BenchError> {
        self.tools.pause(REST)?;
        let time = Duration::from_secs(self.scale.seconds);
        let questions = "questions_total{kind=\"keep-alive\"}";
        let before = self.fleet.counter(questions)?;
        let ((), cost) = self.watched(|load| load.tools.pause(time))?;
        let asked = self.fleet.counter(questions)? - before;
        let trips = micros(&all(&mut self.fleet.workers, &Order::RoundTrips)?);
        let row = rate(self.row(run, "rest: keep-alives"), asked as usize, time);
        results.add(cost.note(timed(row, trips)))
    }

    fn in_turn(&mut self, run: u32, results: &mut Results) -> Result<(), BenchError> {
        let each = self.each(IN_TURN, self.fleet.workers.len());
        let began = Instant::now();
        let (done, cost) = self.watched(|load| {
            let mut done = Vec::new();
            for worker in &mut load.fleet.workers {
                worker.tell(&Order::AskInTurn { clusters: each })?;
                done.push(worker.hear()?);
            }
            Ok(done)
        })?;
        let times = micros(&done);
        let row = rate(self.row(run, "grants in turn"), times.len(), began.elapsed());
        results.add(cost.note(timed(row, times)))
    }

    fn storm(&mut self, run: u32, results: &mut Results) -> Result<(), BenchError> {
        let clusters = self.each(self.scale.storm, self.fleet.workers.len());
        let (done, cost) = self.watched(|load| {
            let at = in_a_while(TOGETHER);
            all(&mut load.fleet.workers, &Order::Ask { clusters, at })
        })?;
        let times = micros(&done);
        let row = self.row(run, "storm").with("count", times.len());
        results.add(cost.note(timed(row, times)))
    }

    /// One half of the processes connects anew, all at once; clusters of the other half ask just
    /// then.
    fn among_handshakes(&mut self, run: u32, results: &mut Results) -> Result<(), BenchError> {
        let middle = self.fleet.workers.len() / 2;
        if middle == 0 {
            return Ok(());
        }
        let clusters = self.each(self.scale.storm, middle);
        let ((asked, met), cost) = self.watched(|load| {
            let at = in_a_while(TOGETHER);
            let (asking, meeting) = load.fleet.workers.split_at_mut(middle);
            for worker in &mut *meeting {
                worker.tell(&Order::Reconnect { at })?;
            }
            let at = at + 500_000;
            let asked = all(asking, &Order::Ask { clusters, at })?;
            let met: Result<Vec<_>, _> =
                meeting.iter_mut().map(super::orders::Worker::hear).collect();
            Ok((asked, met?))
        })?;
        let (asked, met) = (micros(&asked), micros(&met));
        let row = self.row(run, "storm among handshakes").with("count", asked.len());
        results.add(timed(row, asked))?;
        let longest = Duration::from_micros(met.iter().copied().max().unwrap_or_default());
        let row = rate(self.row(run, "connecting anew"), met.len(), longest);
        results.add(cost.note(timed(row, met)))
    }

    /// The server dies and is there again: until all are connected.
    fn restart(&mut self, run: u32, results: &mut Results) -> Result<(), BenchError> {
        self.fleet.kill()?;
        let workers = &mut self.fleet.workers;
        self.tools.wait_until("all have lost the server", PATIENCE, || {
            let done = all(workers, &Order::Count)?;
            Ok(done.iter().all(|it| it.count == 0))
        })?;
        let began = Instant::now();
        self.fleet.restart()?;
        all(&mut self.fleet.workers, &Order::Connected)?;
        let took = began.elapsed();
        let usage = self.fleet.usage()?;
        let row = rate(self.row(run, "restart: all are back"), self.connected * NODES, took);
        let row = row.with("server_cpu_s", rounded(usage.cpu_s));
        let row = row.with("pss_mib", rounded(usage.pss_mib));
        results.add(row.with("disk_mib", mib(octets(&self.fleet.registers()))))
    }
}

/// What the server used for something.
struct Cost {
    commits: f64,
    cpu_s: f64,
    pss_mib: f64,
    took: Duration,
}

impl Cost {
    fn note(&self, row: Row) -> Row {
        let row = row.with("commits", self.commits).with("server_cpu_s", rounded(self.cpu_s));
        let row = row.with("pss_mib", rounded(self.pss_mib));
        row.with("watched_s", rounded(self.took.as_secs_f64()))
    }
}

fn micros(done: &[Done]) -> Vec<u64> {
    done.iter().flat_map(|it| it.micros.iter().copied()).collect()
}
