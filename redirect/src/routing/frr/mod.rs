//! FRR 8: its shell, what it prints as JSON, and the lists of ours in its configuration.
//!
//! [`vtysh`] runs FRR's own program without a shell around it, [`read`] understands what it prints,
//! [`configure`] changes what is ours and nothing else. Deliberately absent: FRR's sockets, whose
//! protocol is no promise of anybody; its northbound gRPC, which Debian does not build; `write
//! memory`, which would save the operator's trials with ours.

mod configure;
pub(super) mod read;
pub(super) mod running;
mod vtysh;

use std::collections::BTreeMap;

pub use configure::ConfigureError;
pub(super) use configure::{configure, explain};
pub use vtysh::{Vtysh, VtyshError};

use super::{MOST_NEIGHBOURS, Prefix, Watched};

pub(super) async fn watch(vtysh: &Vtysh, prefixes: &[Prefix]) -> Result<Watched, VtyshError> {
    let version = read::version(&vtysh.run(&["show version"]).await?);
    let running = running::Running::read(&vtysh.run(&["show running-config"]).await?);
    let mut neighbours = vtysh.read("show bgp neighbors json", read::neighbours).await?;
    neighbours.truncate(MOST_NEIGHBOURS);
    let sessions = match vtysh.read("show bfd peers json", read::bfd).await {
        Ok(sessions) => sessions,
        // Without bfdd nobody has BFD.
        Err(VtyshError::Refused { .. }) => BTreeMap::new(),
        Err(error) => return Err(error),
    };
    for neighbour in &mut neighbours {
        if let Some(bfd) = sessions.get(&neighbour.address) {
            neighbour.bfd = *bfd;
        }
    }
    let configured = running.is_configured();
    let mut watched = Watched { version, configured, neighbours, ..Watched::default() };
    for &prefix in prefixes {
        let family = if prefix.address().is_ipv4() { "ipv4" } else { "ipv6" };
        let question = format!("show bgp {family} unicast {prefix} json");
        if let Some(to) = vtysh.read(&question, read::advertised).await? {
            watched.learnt.insert(prefix);
            let known = |name: &String| watched.neighbours.iter().any(|it| it.name == *name);
            let to = to.into_iter().filter(known).collect();
            watched.exported.insert(prefix, to);
        }
    }
    Ok(watched)
}
