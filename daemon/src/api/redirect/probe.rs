//! Trials of takeovers on the real segment, with an address or a MAC that nobody uses.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::{NodeId, ServiceId};
use stead_core::state::State;
use stead_core::state::config::ServiceAddress;
use stead_core::time::Span;
use stead_edge::chain;
use stead_redirect::probe::{
    self, Answer as Played, Cast, Findings, Form, Nodes, Order, Place, Saying, Trial, Verdict,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::Desk;
use super::super::message::Failure;
use super::super::requests::{Answered, config_of, member};
use crate::layers::observe::{Eyes, Observers, Question, Sight, owned};

/// How long a node may take for one order.
const ORDER: Duration = Duration::from_secs(3);
/// How many answers wait for a client that is slow.
const WAITING: usize = 16;
/// Two holders, and somebody who watches.
const LEAST: usize = 3;

/// What shall be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Probe {
    /// On the segments of this service's addresses.
    pub service: String,
    /// The throw-away address; drawn by chance if none.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// The nodes that take part: two holders, then observers; those of the cluster if none.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// How long a takeover is waited for, in seconds.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// One of the answers, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeNews {
    /// A trial begins.
    Begins {
        /// What moves.
        form: String,
        /// The throw-away address.
        address: IpAddr,
        /// From which node to which.
        holders: [String; 2],
        /// Who watches.
        observers: Vec<String>,
    },
    /// What was found in it.
    Found(Box<Findings>),
    /// It could not be made.
    Failed {
        /// What was to move.
        form: String,
        /// Why not.
        why: String,
    },
    /// What all of them together show.
    Verdicts(Vec<Verdict>),
}

pub(in crate::api) type News = mpsc::Receiver<Answered<ProbeNews>>;

/// The way of a trial's orders to the nodes.
struct Way {
    eyes: Eyes,
    observers: Observers,
    state: std::sync::Arc<State>,
    me: NodeId,
}

impl Nodes for Way {
    async fn ask(&self, node: &str, order: Order) -> Result<Played, String> {
        let id = self.state.node(node).ok_or_else(|| "it is no member".to_owned())?;
        let sight = if id == self.me {
            self.eyes.play(order, owned(&self.state)).await
        } else {
            let deadline = Instant::now() + ORDER;
            self.observers.one(id, Question::Play(order), deadline).await?
        };
        match sight {
            Sight::Played(played) => played,
            Sight::Blind(why) | Sight::Other(why) => Err(why),
            Sight::Holder
            | Sight::Places(_)
            | Sight::Interface(_)
            | Sight::Port(_)
            | Sight::Routing(_) => Err("it gave an answer to something else".to_owned()),
        }
    }
}

/// Begins the trials; what comes of them is told as it comes. Who goes away ends them.
pub(in crate::api) fn begin(desk: &Desk, request: Probe) -> News {
    let (tell, news) = mpsc::channel(WAITING);
    let view = desk.handle.view();
    let way = Way {
        eyes: desk.eyes.clone(),
        observers: desk.observers.clone(),
        state: view.state.clone(),
        me: view.identity.node,
    };
    tokio::spawn(async move {
        let closed = tell.clone();
        let done = async {
            if let Err(failure) = all(&way, &request, &tell).await {
                drop(tell.send(Err(failure)).await);
            }
        };
        tokio::select! {
            () = done => {}
            // Dropped in the middle, the roles end by themselves.
            () = closed.closed() => {}
        }
    });
    news
}

async fn all(way: &Way, request: &Probe, tell: &mpsc::Sender<Answered<ProbeNews>>) -> Answered<()> {
    let addresses = addresses(way, request)?;
    let names = names(way, request)?;
    let mut findings = Vec::new();
    for wanted in addresses {
        let places = places(way, &names, &wanted).await?;
        let [first, second, observers @ ..] = &places[..] else { continue };
        let cast = Cast { holders: [first.clone(), second.clone()], observers: observers.to_vec() };
        for form in forms(wanted.ip) {
            let trial = trial(way, request, &wanted, form)?;
            let begins = ProbeNews::Begins {
                form: form.to_string(),
                address: trial.address,
                holders: [first.node.clone(), second.node.clone()],
                observers: observers.iter().map(|it| it.node.clone()).collect(),
            };
            say(tell, begins).await;
            match probe::run(&trial, &cast, &owned(&way.state), way).await {
                Ok(found) => {
                    say(tell, ProbeNews::Found(Box::new(found.clone()))).await;
                    findings.push(found);
                }
                Err(error) => {
                    let (form, why) = (form.to_string(), chain(&error));
                    say(tell, ProbeNews::Failed { form, why }).await;
                }
            }
        }
    }
    say(tell, ProbeNews::Verdicts(probe::judge_all(&findings))).await;
    Ok(())
}

/// Nobody may be listening any more, which ends it elsewhere.
async fn say(tell: &mpsc::Sender<Answered<ProbeNews>>, news: ProbeNews) {
    drop(tell.send(Ok(news)).await);
}

fn forms(like: IpAddr) -> [Form; 2] {
    let told = if like.is_ipv4() { Form::Arp(Saying::Both) } else { Form::Nd };
    [told, Form::Mac]
}

fn trial(way: &Way, request: &Probe, wanted: &ServiceAddress, form: Form) -> Answered<Trial> {
    let refused = |error: probe::Unfit| {
        Failure::unchanged(
            format!("the trial can't be made: {error}"),
            "name another address with --address, or another bound with --wait",
        )
    };
    let like = request.address.filter(|it| it.is_ipv4() == wanted.ip.is_ipv4());
    let drawn = || probe::throw_away_address(wanted.ip, wanted.prefix, &owned(&way.state));
    let address = like.map_or_else(drawn, Ok).map_err(refused)?;
    let mut trial = Trial::new(form, address, wanted.prefix).map_err(refused)?;
    if let Some(seconds) = request.seconds {
        trial.bound = Span::from_millis(seconds.saturating_mul(1_000));
    }
    trial.check(&owned(&way.state)).map_err(refused)?;
    Ok(trial)
}

/// One address of the service in each segment and family.
fn addresses(way: &Way, request: &Probe) -> Answered<Vec<ServiceAddress>> {
    let config = config_of(&way.state)?;
    let id = ServiceId(request.service.clone());
    let Some(service) = config.services.get(&id) else {
        return Err(Failure::unchanged(
            format!("there is no service {}; nothing was sent", request.service),
            "`stead status` lists the services; each is probed on the segments of its addresses",
        ));
    };
    let mut chosen: Vec<ServiceAddress> = Vec::new();
    for address in &service.addresses {
        let host = if address.ip.is_ipv4() { 32 } else { 128 };
        let same = |it: &ServiceAddress| {
            let prefix = stead_core::state::config::Prefix::host(it.ip);
            let own =
                stead_core::state::config::Prefix { network: address.ip, length: address.prefix };
            own.contains(prefix.network) && it.interface == address.interface
        };
        if address.prefix < host && !chosen.iter().any(same) {
            chosen.push(address.clone());
        }
    }
    if chosen.is_empty() {
        return Err(Failure::unchanged(
            format!("{} has no address on a segment; nothing was sent", request.service),
            "what is reached by a route alone has no neighbours: see `stead redirect trace`",
        ));
    }
    Ok(chosen)
}

/// Who takes part.
fn names(way: &Way, request: &Probe) -> Answered<Vec<String>> {
    let names: Vec<String> = if request.nodes.is_empty() {
        let here = way.state.view.keys().map(|node| way.state.name(*node));
        here.collect()
    } else {
        for name in &request.nodes {
            member(&way.state, name)?;
        }
        request.nodes.clone()
    };
    if names.len() < LEAST {
        return Err(Failure::unchanged(
            format!(
                "{} nodes take part, and {LEAST} are needed: two that have the address one after \
                 the other, and one that watches; nothing was sent",
                names.len()
            ),
            "let a third machine on that segment join, if only as a satellite",
        ));
    }
    Ok(names)
}

/// By which interface each of them is on the segment; those that are not there are left out.
async fn places(way: &Way, names: &[String], wanted: &ServiceAddress) -> Answered<Vec<Place>> {
    let mut places = Vec::new();
    let mut left_out = Vec::new();
    for name in names {
        let Some(id) = way.state.node(name) else { continue };
        let question = Question::Interface { address: wanted.ip };
        let sight = if id == way.me {
            Ok(way.eyes.look(&way.state, question).await)
        } else {
            way.observers.one(id, question, Instant::now() + ORDER).await
        };
        match sight {
            Ok(Sight::Interface(interface)) => places.push(Place { node: name.clone(), interface }),
            Ok(Sight::Blind(why) | Sight::Other(why)) | Err(why) => {
                left_out.push(format!("{name}: {why}"));
            }
            Ok(
                Sight::Holder
                | Sight::Places(_)
                | Sight::Played(_)
                | Sight::Port(_)
                | Sight::Routing(_),
            ) => {}
        }
    }
    if places.len() < LEAST {
        let why = left_out.join("; ");
        return Err(Failure::unchanged(
            format!(
                "{} nodes are on the segment of {}, and {LEAST} are needed; nothing was sent \
                 ({why})",
                places.len(),
                wanted.ip
            ),
            "name nodes on that segment with --nodes, two that take it over and one that watches",
        ));
    }
    Ok(places)
}
