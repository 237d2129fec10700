//! `stead register`.

use clap::{Args, Subcommand};

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::{Look, Tone, harmless};
use super::table::{Cell, table};
use crate::api::message::Request;
use crate::api::register::{
    Kind, Owner, RegisterAnswer, RegisterEntry, RegisterRequest, ReservedAnswer,
};

const AFTER: &str = "\
Examples:
  stead register
  stead register printer
  stead register --kind address --json
  stead register reserve 10.0.0.50 --note \"printer, 2nd floor\"
  stead register reserve shop.example.com --for shop
  stead register release 10.0.0.50
  stead register allocate lan --for mail
  stead register allocate mac --note \"VM build7\"";

/// List which address, prefix, MAC and name is whose, and reserve some.
///
/// What cluster.toml gives to services and nodes stands there; what is kept for somebody else, or
/// for a service to come, is reserved here, and a configuration that uses it for another is
/// refused.
#[derive(Debug, Args)]
#[command(after_help = AFTER, args_conflicts_with_subcommands = true)]
pub(super) struct Register {
    /// Only what has this in it: in what it is, whose, or what for
    word: Option<String>,
    /// Only this kind
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Keep an address, prefix, MAC or name for somebody
    ///
    /// A MAC that is kept for a service is the one that the service gets.
    #[command(after_help = "Examples:\n  stead register reserve 10.0.0.50 --note printer\n  \
                            stead register reserve 10.0.8.0/24 --for mail")]
    Reserve {
        /// 10.0.0.50, 10.0.8.0/24, 02:00:5e:00:53:01 or www.shop.example
        what: String,
        #[command(flatten)]
        keep: Keep,
    },
    /// Keep something no longer
    #[command(after_help = "Example:\n  stead register release 10.0.0.50")]
    Release {
        /// As `stead register` lists it
        what: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Keep the lowest free address of a network's pool, or a MAC
    ///
    /// Free is what the register knows of nobody, and what nobody answers for on the network. Two
    /// who ask at once get different ones.
    #[command(after_help = "Examples:\n  stead register allocate lan --for mail\n  \
                            stead register allocate mac --note \"VM build7\"")]
    Allocate {
        /// The network, of which cluster.toml has a `pool`; or mac
        network: String,
        #[command(flatten)]
        keep: Keep,
        /// Don't ask on the network whether an address is in use: none there could answer
        #[arg(long)]
        unasked: bool,
    },
}

/// For whom, and how to say what came of it.
#[derive(Debug, Args)]
struct Keep {
    /// For this service, which may not be there yet
    #[arg(long = "for", value_name = "SERVICE")]
    service: Option<String>,
    /// What for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Register {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { word, kind, json, act } = self;
        match act {
            Some(act) => act.run(context),
            None => {
                let request = Request::Register(RegisterRequest::List);
                let mut answer: RegisterAnswer = context.ask(&request)?;
                let word = word.map(|it| it.to_lowercase());
                answer.entries.retain(|it| fits(it, kind, word.as_deref()));
                if json {
                    print_json(&answer)?;
                } else {
                    print(&shown(&answer, context.out))?;
                }
                Ok(Exit::Done)
            }
        }
    }
}

impl Act {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (request, json, done) = match self {
            Self::Reserve { what, keep: Keep { service, note, json } } => {
                (RegisterRequest::Reserve { what, service, note }, json, "is reserved")
            }
            Self::Release { what, json } => {
                (RegisterRequest::Release { what }, json, "is reserved no longer")
            }
            Self::Allocate { network: from, keep: Keep { service, note, json }, unasked } => {
                let request = RegisterRequest::Allocate { from, service, note, unasked };
                (request, json, "is reserved")
            }
        };
        let answer: ReservedAnswer = context.ask(&Request::Register(request))?;
        if json {
            print_json(&answer)?;
            return Ok(Exit::Done);
        }
        for stranger in &answer.passed_over {
            println!("Passed over: {}", harmless(stranger));
        }
        println!("{} {done}.", harmless(&answer.what));
        if let Some(next) = &answer.next {
            println!("Next: {}", harmless(next));
        }
        Ok(Exit::Done)
    }
}

/// Whether somebody who looks for that sees it.
fn fits(entry: &RegisterEntry, kind: Option<Kind>, word: Option<&str>) -> bool {
    let RegisterEntry { kind: own, what, owner: _, services, node, note, reserved_on: _ } = entry;
    let texts = services.iter().chain(node).chain(note).chain([what]);
    let mut texts = texts.map(|it| it.to_lowercase());
    kind.is_none_or(|it| it == *own) && word.is_none_or(|word| texts.any(|it| it.contains(word)))
}

fn shown(answer: &RegisterAnswer, look: Look) -> String {
    let row = |it: &RegisterEntry| -> Vec<Cell> {
        let tone = match it.owner {
            Owner::Service | Owner::Node | Owner::Announced => Tone::Plain,
            Owner::Reserved => Tone::Warn,
        };
        let on = it.reserved_on.as_ref().map(|node| format!("on {node}")).unwrap_or_default();
        vec![
            it.kind.name().into(),
            it.what.as_str().into(),
            Cell::new(tone, whose(it)),
            on.into(),
            it.note.as_deref().unwrap_or_default().into(),
        ]
    };
    let mut text = match answer.entries.is_empty() {
        true => "Nothing of that is anybody's.\n".to_owned(),
        false => {
            let rows: Vec<_> = answer.entries.iter().map(row).collect();
            table(look, &["KIND", "WHAT", "WHOSE", "RESERVED", "WHAT FOR"], &rows)
        }
    };
    for pool in &answer.pools {
        let (network, range, free) = (harmless(&pool.network), &pool.range, pool.free);
        text.push_str(&format!("Pool of {network}: {range}, {free} free.\n"));
    }
    text
}

fn whose(it: &RegisterEntry) -> String {
    let services = it.services.join(", ");
    match it.owner {
        Owner::Service => format!("service {services}"),
        Owner::Node => format!("node {}", it.node.as_deref().unwrap_or_default()),
        Owner::Announced if services.is_empty() => "announced".to_owned(),
        Owner::Announced => format!("announced for {services}"),
        Owner::Reserved if services.is_empty() => "reserved".to_owned(),
        Owner::Reserved => format!("reserved for {services}"),
    }
}

impl Kind {
    /// As the table says it.
    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Mac => "MAC",
            Self::Name => "name",
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::api::register::PoolReport;

    fn entry(kind: Kind, what: &str, owner: Owner, services: &[&str]) -> RegisterEntry {
        let services = services.iter().map(|it| (*it).to_owned()).collect();
        let what = what.to_owned();
        RegisterEntry { kind, what, owner, services, node: None, note: None, reserved_on: None }
    }

    #[test]
    fn a_list_says_whose_what_is_and_is_searched() {
        let own = entry(Kind::Address, "10.0.0.1", Owner::Node, &[]);
        let kept = entry(Kind::Address, "10.0.0.50", Owner::Reserved, &[]);
        let note = Some("Printer\u{1b}[2J, 2nd floor".to_owned());
        let entries = vec![
            RegisterEntry { node: Some("node1".to_owned()), ..own },
            RegisterEntry { note, reserved_on: Some("node1".to_owned()), ..kept },
            entry(Kind::Address, "10.0.0.100", Owner::Service, &["web"]),
            entry(Kind::Prefix, "203.0.113.0/24", Owner::Announced, &["mail", "web"]),
            entry(Kind::Mac, "02:07:07:07:00:01", Owner::Service, &["web"]),
            entry(Kind::Name, "new.shop.example", Owner::Reserved, &["new"]),
        ];
        let (network, range) = ("lan".to_owned(), "10.0.0.50-10.0.0.99".to_owned());
        let pools = vec![PoolReport { network, range, free: 49 }];
        let mut answer = RegisterAnswer { entries, pools };
        expect![[r#"
            KIND     WHAT               WHOSE                    RESERVED  WHAT FOR
            address  10.0.0.1           node node1
            address  10.0.0.50          reserved                 on node1  Printer�[2J, 2nd floor
            address  10.0.0.100         service web
            prefix   203.0.113.0/24     announced for mail, web
            MAC      02:07:07:07:00:01  service web
            name     new.shop.example   reserved for new
            Pool of lan: 10.0.0.50-10.0.0.99, 49 free.
        "#]]
        .assert_eq(&shown(&answer, Look::plain(100)));
        let found = |kind, word| answer.entries.iter().filter(|it| fits(it, kind, word)).count();
        assert_eq!((found(Some(Kind::Address), None), found(None, Some("web"))), (3, 3));
        assert_eq!((found(None, Some("printer")), found(None, Some("node1"))), (1, 1));
        assert_eq!(found(Some(Kind::Mac), Some("mail")), 0);
        answer.entries.clear();
        assert!(shown(&answer, Look::plain(100)).starts_with("Nothing of that"));
    }
}
