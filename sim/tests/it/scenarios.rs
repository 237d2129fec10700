//! Short stories in `core/tests/golden/*.txt`: the intent, a script, `----`, what happens.
//!
//! A script's words: `nodes N`, `members N`, `services N`, `grace MS` describe the cluster, which
//! then settles; time counts from there. `run MS` lets time pass. Nodes are named `a` to `e`, or by
//! what they are at that moment: `coordinator`, `holder` (of s0), `other` (neither). The rest is
//! in [`Story::act`]. Of lines that several nodes say, only the first is kept. `UPDATE=1` writes
//! what happens into the files; read the difference before you keep it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use stead_core::id::ServiceId;
use stead_core::lease::Heartbeat;
use stead_core::state::{Cause, Change};
use stead_core::time::Span;

use super::world::{Plan, World, address, config, name};

const RULE: &str = "----\n";

struct Story {
    world: World,
    begin: u64,
    recorded: Vec<(usize, Heartbeat)>,
}

fn number(words: &[&str], at: usize) -> u64 {
    words.get(at).and_then(|word| word.parse().ok()).unwrap_or(0)
}

impl Story {
    fn new(script: &[Vec<&str>]) -> Self {
        let mut plan = Plan::calm(3, 2);
        for words in script {
            let value = number(words, 1);
            match words[0] {
                "nodes" => (plan.nodes, plan.members) = (value as usize, value as usize),
                "members" => plan.members = value as usize,
                "services" => plan.services = value as usize,
                "grace" => plan.grace = Span::from_millis(value),
                _ => {}
            }
        }
        let mut world = World::settled(plan);
        world.tracing = true;
        let begin = world.now;
        Self { world, begin, recorded: Vec::new() }
    }

    fn host(&self, word: &str) -> usize {
        let coordinator = self.world.coordinator();
        let holder = self.world.server(0);
        let found = match word {
            "coordinator" => coordinator,
            "holder" => holder,
            "other" => (0..self.world.hosts.len())
                .find(|host| Some(*host) != coordinator && Some(*host) != holder),
            _ => self.world.hosts.iter().position(|host| name(host.id) == word),
        };
        found.unwrap_or_else(|| panic!("there is no {word} now"))
    }

    /// Performs one line.
    fn act(&mut self, words: &[&str]) {
        let verb = words[0];
        let line = words.join(" ");
        if matches!(verb, "nodes" | "members" | "services" | "grace") {
            return;
        }
        if verb == "run" {
            self.world.run(number(words, 1));
            return;
        }
        self.world.note(None, || format!("[{line}]"));
        match verb {
            "mend" => self.world.mend_all(),
            "move" => self.move_service(words[1], words[2]),
            "ride-out" => self.ride_out(number(words, 1)),
            "end" => {
                let service = ServiceId::from(words[1]);
                let runs = |host: &usize| self.world.hosts[*host].programs.contains_key(&service);
                let holder = (0..self.world.hosts.len()).find(runs);
                self.world.end_program(holder.unwrap_or(0), &service);
            }
            "break" => {
                let host = self.host(words[2]);
                self.world.hosts[host].broken.insert(ServiceId::from(words[1]));
            }
            "cut" => {
                let group: Vec<_> = words[1..].iter().map(|word| self.host(word)).collect();
                self.world.cut(&group, false);
            }
            "replay" => {
                for (to, heartbeat) in self.recorded.clone() {
                    self.world.replay(to, heartbeat);
                }
            }
            _ => self.act_on(verb, self.host(words[1]), words),
        }
    }

    fn act_on(&mut self, verb: &str, host: usize, words: &[&str]) {
        let world = &mut self.world;
        let node = world.hosts[host].id;
        match verb {
            "power-off" => world.power_off(host),
            // Of what runs already nothing is started anew.
            "power-on" => world.repair(host),
            "kill-guard" => world.kill_guard(host),
            "start-guard" => world.start_guard(host),
            "kill-daemon" => world.kill_daemon(host),
            "start-daemon" => world.repair(host),
            "release" => world.release(host),
            // Its datagrams leave and reach nobody.
            "mute" => world.net.up[host].fill(false),
            // Nothing reaches it.
            "deaf" => world.net.up.iter_mut().for_each(|row| row[host] = false),
            "freeze" => {
                let until = world.now + number(words, 2) * 1_000;
                world.hosts[host].guard_paused = until;
                world.hosts[host].daemon_paused = until;
            }
            "standby" => {
                let on = words.get(2) == Some(&"on");
                world.operate(host, Change::Standby { node, on });
            }
            "record" => self.recorded = world.net.newest(host),
            "join" => {
                let token = [9; 32];
                let helper = world.coordinator().unwrap_or(0);
                world.operate(helper, Change::AddToken { token, node: name(node).into() });
                world.run(5);
                world.operate(helper, Change::Join { token, key: [9; 32] });
            }
            "leave" => {
                let helper = world.coordinator().unwrap_or(0);
                world.operate(helper, Change::Leave { node });
            }
            _ => panic!("{verb} is no word of a script"),
        }
    }

    fn move_service(&mut self, service: &str, to: &str) {
        let host = self.host(to);
        let (service, wish) = (ServiceId::from(service), Some(self.world.hosts[host].id));
        let assignment = self.world.state().and_then(|it| it.assignments.get(&service).cloned());
        let base = assignment.map(|it| it.epoch).unwrap_or_default();
        self.world.operate(host, Change::Stop { service, base, cause: Cause::Planned, wish });
    }

    fn ride_out(&mut self, millis: u64) {
        let base = self.world.state().map(|state| state.revision).unwrap_or_default();
        let mut wanted = config(&self.world.plan);
        wanted.ride_out = Span::from_millis(millis);
        let host = self.world.coordinator().unwrap_or(0);
        self.world.operate(host, Change::Configure { base, config: wanted });
    }

    /// What happened, and how it ended.
    fn transcript(&self) -> String {
        let mut text = String::new();
        let mut said: Vec<(u64, &str)> = Vec::new();
        for (time, node, line) in &self.world.trace {
            let again = said.iter().any(|(at, old)| old == line && time - at < 1_500_000);
            said.push((*time, line));
            if !again {
                let line = self.world.line(&(time - self.begin, *node, line.clone()));
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        text.push_str("in the end:");
        let members = self.world.state().map(|state| state.members.len()).unwrap_or_default();
        let view = self.world.state().map(|state| state.view.keys().map(|it| name(*it)).collect());
        let view: Vec<_> = view.unwrap_or_default();
        let _ = writeln!(text, " view {} of {members}", view.join(" "));
        for service in 0..self.world.plan.services {
            let server = self.world.server(service);
            let server = server.map_or("nobody", |host| name(self.world.hosts[host].id));
            let silent = self.world.judge.longest_gap(service) / 100;
            let address = address(service);
            let (whole, part) = (silent / 10, silent % 10);
            let _ = writeln!(text, "  s{service} {address} {server}, silent for {whole}.{part} ms");
        }
        text
    }
}

fn play(script: &str) -> String {
    let lines: Vec<Vec<&str>> = script
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let mut story = Story::new(&lines);
    for words in &lines {
        story.act(words);
    }
    story.transcript()
}

fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (script, expected) = text.split_once(RULE).unwrap_or((&text, ""));
    let happened = play(script);
    if happened == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{script}{RULE}{happened}");
        return std::fs::write(path, text).map_err(|error| error.to_string());
    }
    let first = expected.lines().zip(happened.lines()).find(|(old, new)| old != new);
    Err(format!("{}: expected and happened differ first in {first:#?}", path.display()))
}

#[test]
fn every_story_goes_as_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(folder).expect("core/tests/golden is there");
    let mut files: Vec<_> = files.filter_map(|file| file.ok().map(|file| file.path())).collect();
    files.sort();
    assert!(files.len() >= 20, "stories are missing");
    let failed: Vec<_> = files.iter().filter_map(|file| check(file).err()).collect();
    assert!(failed.is_empty(), "{}\nUPDATE=1 writes what happened.", failed.join("\n"));
}
