//! `stead init`.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use stead_core::id::{ClusterId, NodeId};
use stead_core::state::config::Config;
use stead_linux::durable::write_atomically;
use stead_log::transport::Identity as Key;

use super::context::Context;
use super::exit::{Exit, drawn};
use crate::api::join::addresses_of;
use crate::config::{Ask, Example, example, read_file_asking, usable_name};
use crate::identity::{Identity, IdentityError, KnownMember, SECRET_LENGTH};
use crate::paths::Paths;

/// Make a new cluster with this machine as its first node.
///
/// Reads cluster.toml, checks it, and makes the cluster's random identity, its secret, and this
/// node's key. Where there is no cluster.toml a first one is written, to be edited; then run this
/// again. Nothing is started.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead init\n  stead init --node node1 --cluster shop")]
pub(super) struct Init {
    /// This node's name in cluster.toml; if not given, the machine's
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The cluster's name in a cluster.toml that is written
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

impl Init {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let paths = &context.paths;
        if paths.identity().exists() {
            return Err(IdentityError::Present(paths.identity()).into());
        }
        let node = match &self.node {
            Some(node) => node.clone(),
            None => own_name()?,
        };
        let file = paths.configuration();
        if !file.exists() {
            return self.write_example(context, &file, &node);
        }
        let (_, checked) = read_file_asking(&file, Ask::Agents)?;
        for warning in &checked.warnings {
            eprint!("{}", drawn(warning, context));
        }
        let config = &checked.config;
        if !config.nodes.contains_key(&node) {
            let names: Vec<&str> = config.nodes.keys().map(String::as_str).collect();
            bail!(
                "{} has no node {node}; nothing was changed. Its nodes are {}: say which of them \
                 this machine is, with --node NAME",
                file.display(),
                names.join(", ")
            );
        }
        if config.later.satellites.contains(&node) {
            bail!(
                "{node} is a satellite in {}, and has no vote to begin a cluster with; nothing was \
                 changed. Begin on a node that votes, or remove  satellite = true  of {node}",
                file.display()
            );
        }
        let text = crate::config::render(config);
        found(paths, config, &node, &text)?;
        println!("The cluster {} exists, and this machine is its node {node}.", config.name);
        println!("Next: systemctl start stead-guard stead-daemon");
        say_others(config, &node);
        Ok(Exit::Done)
    }

    fn write_example(&self, context: &Context, file: &Path, node: &str) -> anyhow::Result<Exit> {
        let asked = self.node.is_some() || self.cluster.is_some();
        if !asked && !context.interactive {
            bail!(
                "{} is missing; nothing was changed. Write it, or have a first one written with \
                 `stead init --node {node}`",
                file.display()
            );
        }
        let cluster = usable_name(self.cluster.as_deref().unwrap_or("cluster"));
        let link = [("lan", own_address())];
        let text = example(&Example { cluster: &cluster, node: &usable_name(node), links: &link });
        make_folder(&context.paths.etc, 0o750)?;
        write_atomically(file, text.as_bytes(), 0o640)
            .with_context(|| format!("can't write {}", file.display()))?;
        println!("A first configuration is in {}. There is no cluster yet.", file.display());
        println!("Next: edit it (addresses, the other nodes, services), then: stead init");
        Ok(Exit::Done)
    }
}

/// What people call this machine, as a name that a configuration takes.
fn own_name() -> anyhow::Result<String> {
    let name = nix::unistd::gethostname().context("can't read the machine's name; use --node")?;
    Ok(usable_name(&name.to_string_lossy()))
}

/// An address by which others may reach this machine; one for examples if it has none.
fn own_address() -> IpAddr {
    let example = IpAddr::from([192, 0, 2, 11]);
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return example };
    let addresses = interfaces.filter_map(|it| {
        let address = it.address?;
        let v4 = address.as_sockaddr_in().map(|it| IpAddr::from(it.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())))
    });
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    addresses.filter(usable).min_by_key(|ip| ip.is_ipv6()).unwrap_or(example)
}

/// Writes all that makes this machine the first node, the identity last: without it there is none.
fn found(paths: &Paths, config: &Config, node: &str, text: &str) -> anyhow::Result<()> {
    make_folder(&paths.state, 0o700)?;
    let key = own_key(paths)?;
    let identity = Identity {
        cluster: ClusterId(random()?),
        node: NodeId(1),
        name: node.to_owned(),
        members: vec![KnownMember {
            node: NodeId(1),
            key: key.key().0,
            addresses: addresses_of(config, node),
        }],
    };
    let secret: [u8; SECRET_LENGTH] = random()?;
    write_atomically(&paths.founding(), text.as_bytes(), 0o600).context(
        "can't write the configuration that the cluster begins with; there is no cluster",
    )?;
    identity.store(paths, &secret).context("this machine is in no cluster yet; run this again")
}

/// This node's key: the one that an earlier attempt made, or a new one.
pub(super) fn own_key(paths: &Paths) -> anyhow::Result<Key> {
    let keys = paths.keys();
    match Key::generate(&keys) {
        Ok(key) => Ok(key),
        Err(stead_log::transport::IdentityError::Exists(_)) => {
            Key::load(&keys).context("an earlier attempt left a key that can't be used")
        }
        Err(error) => Err(error).context("can't make this node's key; nothing else was changed"),
    }
}

/// Makes a folder that only root, or root and its group, may look into.
pub(super) fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    match made {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| {
            format!("can't make the folder {}; nothing was changed", path.display())
        }),
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        anyhow!("the system gave no random bytes ({error}); there is no cluster")
    })?;
    Ok(bytes)
}

fn say_others(config: &Config, node: &str) {
    let others: Vec<&str> =
        config.nodes.keys().map(String::as_str).filter(|it| *it != node).collect();
    for other in &others {
        println!("Then, to let {other} join: stead token {other}");
    }
    match others.len() {
        0 => println!("One node alone: when it fails, everything stops. Three survive any one."),
        1 if config.later.quorum.chain.register().is_some() => println!(
            "Two nodes: when one fails the other goes on, once what breaks ties answers. A quorum \
             server has to be enrolled at first: there `stead quorum-server enrol`, here what that \
             prints. See: stead quorum"
        ),
        1 => println!(
            "Two nodes: when one fails, the survivor stops as well, for it can't know which of \
             them was cut off. One of these changes that:\n  \
             a quorum server on any third machine: there `stead quorum-server enrol`, here, once \
             both have joined, `stead quorum enrol` with what that prints;\n  \
             a third node; it need not serve anything."
        ),
        _ => {}
    }
}
