//! The five scenarios: what is done, what has to come of it, how it is undone.

use std::time::{Duration, Instant};

use stead_lab::prober::now;

use super::super::fleet::{Client, FleetError, PATIENCE};
use super::super::outcome::{Evidence, Outcome};
use super::super::picture::Harm;
use super::super::show::Ink;
use super::super::stage::{API, WEB};
use super::{JERSEY, LINE, SERVER, Story, YORK};

/// What is watched after the last change, so that a late blink is not missed.
const AFTERWARDS: Duration = Duration::from_millis(400);
/// How long a cluster that has stopped may take once its server is back: nodes look for it again
/// after pauses that grow to five seconds.
const FOUND_AGAIN: Duration = Duration::from_secs(15);

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing fails.
    AllUp,
    /// One site loses its power.
    SiteDown,
    /// The line between the sites is cut.
    LinkLost,
    /// The quorum server dies.
    ServerDown,
    /// The quorum server dies, and then a site.
    BothDown,
}

/// What came of a scenario, beside what clients saw.
#[derive(Default)]
struct Played {
    /// Of the service that it was about; nothing: of the first.
    about: Option<&'static str>,
    /// Who served that while it lasted; nothing: nobody.
    to: Option<String>,
    /// How long its outage may be.
    bound: Duration,
    /// How long the other's may be.
    other_bound: Duration,
    /// What is not as it should be.
    complaint: Option<String>,
    /// What there was to see, for people.
    seen: String,
}

impl Act {
    pub(super) const ALL: [Self; 5] =
        [Self::AllUp, Self::SiteDown, Self::LinkLost, Self::ServerDown, Self::BothDown];

    /// Its name for programs.
    fn name(self) -> &'static str {
        match self {
            Self::AllUp => "all-up",
            Self::SiteDown => "site-down",
            Self::LinkLost => "link-lost",
            Self::ServerDown => "server-down",
            Self::BothDown => "site-and-server-down",
        }
    }

    /// In the table's words.
    fn what(self) -> &'static str {
        match self {
            Self::AllUp => "everything is up",
            Self::SiteDown => "New Jersey is down",
            Self::LinkLost => "the link between the sites is lost",
            Self::ServerDown => "the quorum server is down",
            Self::BothDown => "New Jersey and the server are down",
        }
    }

    /// What to look for.
    fn hint(self) -> &'static str {
        match self {
            Self::AllUp => {
                "All four vote: a majority, and nobody is asked. The server grants nothing."
            }
            Self::SiteDown => {
                "Two of four are a tie. The server grants New York, which takes over."
            }
            Self::LinkLost => {
                "Both ask, one is granted. The other falls silent before its service moves."
            }
            Self::ServerDown => "Four of four vote. The server is no single point of failure.",
            Self::BothDown => {
                "Two of four, and nobody to ask: New York stops rather than act beside New Jersey."
            }
        }
    }
}

impl Story<'_> {
    /// Plays a scenario to its end, when all is whole again.
    pub(super) fn act(&self, act: Act) -> Result<Outcome, FleetError> {
        let (stage, show) = (&self.stage, self.stage.show);
        stage.watched(|_| self.go_home())?;
        show.say("");
        show.say(&show.ink(Ink::Bold, act.what()));
        show.say(&format!("  {}", show.ink(Ink::Dim, act.hint())));
        let before = [WEB, API].map(|name| self.client(name).holders().first().cloned());
        let mark = now();
        let played = match stage.watched(|_| self.perform(act)) {
            Ok(played) => played,
            Err(FleetError::Interrupted) => return Err(FleetError::Interrupted),
            Err(error) => {
                let complaint = Some(stead_edge::chain(&error));
                Played { complaint, ..Played::default() }
            }
        };
        self.show_whole();
        let about = played.about.unwrap_or(WEB);
        let other = if about == WEB { API } else { WEB };
        let [of_web, of_api] = before;
        let evidence = Evidence {
            scenario: act.name(),
            what: act.what().to_owned(),
            bound: played.bound,
            from: if about == WEB { of_web } else { of_api },
            to: played.to,
            complaint: played.complaint,
            seen: self.client(about).seen_since(mark),
            other: self.client(other).seen_since(mark),
            other_bound: played.other_bound,
            stages: Vec::new(),
        };
        let outcome = evidence.judge(&stage.bounds);
        self.tell(&outcome, &played.seen, [about, other]);
        Ok(outcome)
    }

    fn perform(&self, act: Act) -> Result<Played, FleetError> {
        match act {
            Act::AllUp => self.all_up(),
            Act::SiteDown => self.site_down(),
            Act::LinkLost => self.link_lost(),
            Act::ServerDown => self.server_down(),
            Act::BothDown => self.both_down(),
        }
    }

    fn all_up(&self) -> Result<Played, FleetError> {
        let before = self.server.granted()?;
        self.stage.fleet.pause(4 * self.stage.bounds.wait)?;
        let granted = self.server.granted()? - before;
        let complaint = (granted > 0).then(|| format!("the server granted {granted} times"));
        Ok(Played { complaint, ..self.untouched("The server was asked for nothing.") })
    }

    fn site_down(&self) -> Result<Played, FleetError> {
        let (fleet, before) = (&self.stage.fleet, self.server.granted()?);
        self.harm(JERSEY, Some(Harm::Off));
        fleet.kill_site(JERSEY)?;
        let to = self.wait_both_at(YORK)?;
        let granted = self.server.granted()?;
        let complaint =
            (granted <= before).then(|| "New York goes on, and was not granted".to_owned());
        fleet.pause(AFTERWARDS)?;
        fleet.revive_site(JERSEY)?;
        self.harm(JERSEY, None);
        self.wait_whole()?;
        let seen = "The server granted New York. New Jersey came back, and votes again.".to_owned();
        Ok(Played { to, complaint, seen, ..self.moved(API) })
    }

    fn link_lost(&self) -> Result<Played, FleetError> {
        let fleet = &self.stage.fleet;
        self.stage.scene.set_thing(LINE, Some("cut"));
        fleet.cut_sites(YORK, JERSEY)?;
        let mut granted = None;
        fleet.wait_until("one site serves all", PATIENCE, || {
            granted = [YORK, JERSEY].into_iter().find(|site| self.serves_all(site));
            Ok(granted.is_some())
        })?;
        let site = granted.unwrap_or(YORK);
        let moved = if site == YORK { API } else { WEB };
        let to = self.wait_both_at(site)?;
        let to = if moved == API { to } else { self.client(WEB).holders().first().cloned() };
        fleet.pause(AFTERWARDS)?;
        fleet.heal_sites(YORK, JERSEY)?;
        self.stage.scene.set_thing(LINE, None);
        self.wait_whole()?;
        let seen = format!("The server chose {}.", spoken(site));
        Ok(Played { to, seen, ..self.moved(moved) })
    }

    fn server_down(&self) -> Result<Played, FleetError> {
        self.kill_server()?;
        self.stage.fleet.pause(4 * self.stage.bounds.wait)?;
        self.start_server()?;
        self.wait_whole()?;
        Ok(self.untouched("`stead status` said that a tie would not be survived. Nothing moved."))
    }

    fn both_down(&self) -> Result<Played, FleetError> {
        let (fleet, began) = (&self.stage.fleet, Instant::now());
        self.kill_server()?;
        self.harm(JERSEY, Some(Harm::Off));
        fleet.kill_site(JERSEY)?;
        fleet.wait_until("nobody serves", PATIENCE, || {
            Ok([WEB, API].iter().all(|name| self.client(name).holders().is_empty()))
        })?;
        fleet.wait_until("New York says why", PATIENCE, || {
            Ok(fleet.quorum("node1")?["verdict"] == "NOQUORUM")
        })?;
        self.stage.show.say("  Nobody serves. An operator who knows that New Jersey is off types:");
        self.stage.show.say("    stead quorum override --reason \"New Jersey is off\" --for 30min");
        self.stage.show.say("  Here the server comes back instead.");
        fleet.pause(AFTERWARDS)?;
        let away = began.elapsed();
        self.start_server()?;
        self.wait_both_at(YORK)?;
        fleet.revive_site(JERSEY)?;
        self.harm(JERSEY, None);
        self.wait_whole()?;
        let bound = away + self.stage.bounds.takeover + FOUND_AGAIN;
        let seen = "New York stopped, and served again when the server was back.".to_owned();
        Ok(Played { bound, other_bound: bound, seen, ..Played::default() })
    }

    fn untouched(&self, seen: &str) -> Played {
        let (none, to) = (self.stage.bounds.none, self.client(WEB).holders().first().cloned());
        let (bound, other_bound, seen) = (none, none, seen.to_owned());
        Played { to, bound, other_bound, seen, ..Played::default() }
    }

    fn moved(&self, about: &'static str) -> Played {
        let (bound, other_bound) = (self.stage.bounds.takeover, self.stage.bounds.none);
        Played { about: Some(about), bound, other_bound, ..Played::default() }
    }

    fn client(&self, service: &str) -> &Client {
        if service == WEB { &self.stage.web } else { &self.stage.api }
    }

    /// Lets each service be at its own site.
    fn go_home(&self) -> Result<(), FleetError> {
        let fleet = &self.stage.fleet;
        for (service, site, home) in [(WEB, YORK, "node1"), (API, JERSEY, "node3")] {
            let client = self.client(service);
            if !self.holds(client, site) {
                fleet.node(home)?.stead(&["move", service, home])?.expect_success()?;
            }
            let what = format!("{service} is at home");
            fleet.wait_until(&what, PATIENCE, || Ok(self.holds(client, site)))?;
            client.wait_served(fleet)?;
        }
        fleet.wait_whole(PATIENCE)
    }

    /// Whether a node of that site, and no other one, answers for a service.
    fn holds(&self, client: &Client, site: &str) -> bool {
        let holders = client.holders();
        let [one] = &holders[..] else { return false };
        self.stage.fleet.nodes_at(site).any(|node| node == one)
    }

    fn serves_all(&self, site: &str) -> bool {
        [WEB, API].iter().all(|service| self.holds(self.client(service), site))
    }

    /// Waits until that site serves both, and clients know. Who serves the second is returned.
    fn wait_both_at(&self, site: &str) -> Result<Option<String>, FleetError> {
        let fleet = &self.stage.fleet;
        let what = format!("{} serves all", spoken(site));
        fleet.wait_until(&what, PATIENCE, || Ok(self.serves_all(site)))?;
        [WEB, API].iter().try_for_each(|service| self.client(service).wait_served(fleet))?;
        Ok(self.client(API).holders().first().cloned())
    }

    /// Waits until nobody complains and all vote.
    fn wait_whole(&self) -> Result<(), FleetError> {
        let fleet = &self.stage.fleet;
        fleet.wait_whole(PATIENCE)?;
        fleet.wait_until("all vote again", PATIENCE, || {
            Ok(fleet.quorum("node1")?["voters"] == fleet.nodes().len())
        })?;
        fleet.pause(AFTERWARDS)
    }

    fn kill_server(&self) -> Result<(), FleetError> {
        self.stage.scene.set_thing(SERVER, Some("down"));
        self.server.kill()?;
        self.stage.fleet.wait_until("the nodes notice", PATIENCE, || {
            let status = |node: &str| self.stage.fleet.node(node)?.status();
            let says = |node| Ok::<_, FleetError>(status(node)?["problems"].to_string());
            Ok(says("node1")?.contains("breaks ties") && says("node3")?.contains("breaks ties"))
        })
    }

    fn start_server(&self) -> Result<(), FleetError> {
        self.server.run(&self.stage.fleet)?;
        self.stage.scene.set_thing(SERVER, None);
        Ok(())
    }

    fn harm(&self, site: &str, harm: Option<Harm>) {
        for node in self.stage.fleet.nodes_at(site) {
            self.stage.scene.set_harm(node, harm);
        }
    }

    fn show_whole(&self) {
        self.harm(YORK, None);
        self.harm(JERSEY, None);
        [LINE, SERVER].into_iter().for_each(|thing| self.stage.scene.set_thing(thing, None));
    }

    /// What came of it, in a line or two.
    fn tell(&self, outcome: &Outcome, seen: &str, [about, other]: [&str; 2]) {
        let show = self.stage.show;
        if !seen.is_empty() {
            show.say(&format!("  {seen}"));
        }
        let verdict =
            if outcome.ok { show.ink(Ink::Green, "ok") } else { show.ink(Ink::Red, "NO") };
        show.say(&format!(
            "  {verdict}: longest gap of {about} {:.0} ms (allowed {:.0}), of {other} {:.0} ms; \
             two nodes answered for {:.0} ms",
            outcome.outage_ms, outcome.bound_ms, outcome.other_outage_ms, outcome.double_ms
        ));
        if let Some(reason) = &outcome.reason {
            show.say(&show.ink(Ink::Red, &format!("  {reason}")));
        }
        if let Ok(value) = serde_json::to_value(outcome) {
            show.object(&value);
        }
    }
}

fn spoken(site: &str) -> &str {
    if site == YORK { "New York" } else { "New Jersey" }
}
