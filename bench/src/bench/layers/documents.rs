//! Documents: each node says where the service is, and `stead client` on the client's host follows
//! all of them and writes it into a file, as it would for a program's configuration. The client
//! reads that file before each question, and asks where it says. Each node has addresses of its
//! own.
//!
//! No peer: nobody else tells clients so.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::stead::demo::fleet::{Family, Fleet, Node, client_address};
use stead_lab::prober::{Prober, Seek};

use super::stead::{Between, own_addresses};
use super::{number, seeker};
use crate::error::{BenchError, Step};
use crate::subject::SERVICE;
use crate::tools::{PATIENCE, PORT as WEB, Tools, write};

/// Where nodes say it.
const PORT: u16 = 7420;
/// One address a line, and nothing while it moves.
const TEMPLATE: &str = "{% for it in service.addresses %}{{ it }}\n{% endfor %}";

/// What is on the client's host.
pub(super) struct Documents {
    tools: Tools,
    folder: PathBuf,
}

impl Documents {
    pub(super) fn lay(fleet: &Fleet, tools: &Tools) -> Result<Self, BenchError> {
        let folder = fleet.folder().join("client");
        write(&folder.join("where.j2"), TEMPLATE)?;
        Ok(Self { tools: tools.clone(), folder })
    }

    fn target(&self) -> PathBuf {
        self.folder.join("where")
    }

    /// What `stead client` is told: where the nodes are as clients reach them, and what to write.
    fn client(&self, printed: &str, nodes: &[Node]) -> Result<String, BenchError> {
        let mut watch = Vec::new();
        for node in nodes {
            let at = ::stead::demo::fleet::service_address(Family::V4, number(node.name())?);
            watch.push(format!("http://{}", SocketAddr::new(at, PORT)));
        }
        configured(printed, &watch, &self.folder)
    }
}

/// The configuration that a node printed, with these servers, and with the file in that folder.
fn configured(printed: &str, watch: &[String], folder: &Path) -> Result<String, BenchError> {
    let what = || "what a node prints for clients is not understood".to_owned();
    let mut table: toml::Table = toml::from_str(printed).map_err(io::Error::other).step(what)?;
    let text = |path: &Path| toml::Value::from(path.display().to_string());
    let mut file = toml::Table::new();
    file.insert("services".to_owned(), vec![SERVICE].into());
    file.insert("template".to_owned(), text(&folder.join("where.j2")));
    file.insert("target".to_owned(), text(&folder.join("where")));
    table.insert("watch".to_owned(), watch.to_vec().into());
    table.insert("state".to_owned(), text(&folder.join("state")));
    table.insert("files".to_owned(), vec![toml::Value::Table(file)].into());
    toml::to_string(&table).map_err(io::Error::other).step(what)
}

impl Between for Documents {
    fn services(&self) -> String {
        let addresses = own_addresses();
        format!(
            "\n[services.{SERVICE}]\naddresses = [{addresses}]\n\n[redirect]\ndocuments = {PORT}\n"
        )
    }

    /// The agent knows the cluster from what a node prints, so there has to be one.
    fn serves(&self, fleet: &Fleet) -> Result<(), BenchError> {
        let Some(first) = fleet.nodes().first() else { return Ok(()) };
        let printed = first.stead(&["redirect", "client-config"])?.expect_success()?;
        let file = self.folder.join("client.toml");
        write(&file, &self.client(&printed, fleet.nodes())?)?;
        let mut command = Command::new(&self.tools.stead);
        command.args(["client", "run", "--config"]).arg(&file);
        let log = self.folder.join("log");
        fleet.client().spawn(command, &log)?;
        let written = self.tools.wait_until("the client is told", PATIENCE, || {
            Ok(address(&self.target(), Family::V4).is_some())
        });
        written.inspect_err(|_| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            eprintln!("--- stead client\n{said}");
        })
    }

    fn ask(&self, fleet: &Fleet, family: Family) -> Result<Prober, BenchError> {
        let target = self.target();
        seeker(fleet.client(), family, move || Ok(Told { target, family, due: false }))
    }
}

/// Reads the file.
struct Told {
    target: PathBuf,
    family: Family,
    due: bool,
}

impl Seek for Told {
    const EVERY: Duration = Duration::from_millis(1);

    fn begin(&mut self) -> io::Result<()> {
        self.due = true;
        Ok(())
    }

    fn found(&mut self) -> Option<SocketAddr> {
        let due = std::mem::take(&mut self.due);
        let address = due.then(|| address(&self.target, self.family)).flatten()?;
        Some(SocketAddr::new(address, WEB))
    }
}

/// The address of that family in a file.
fn address(file: &Path, family: Family) -> Option<IpAddr> {
    first(&std::fs::read_to_string(file).unwrap_or_default(), family)
}

fn first(text: &str, family: Family) -> Option<IpAddr> {
    let mut all = text.lines().filter_map(|line| line.trim().parse::<IpAddr>().ok());
    all.find(|it| it.is_ipv4() == client_address(family).is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_both_families_or_nothing() {
        let text = "10.77.0.102\nfd77::66\n";
        assert_eq!(first(text, Family::V4), "10.77.0.102".parse().ok());
        assert_eq!(first(text, Family::V6), "fd77::66".parse().ok());
        assert_eq!(first("", Family::V4), None, "it moves");
        assert_eq!(address(Path::new("/no/such/file"), Family::V6), None);
    }

    #[test]
    fn what_was_printed_stays_but_for_places() {
        let printed = "# For clients\ncluster = \"c\"\ntrust = [\"sha256:1\"]\n\
                       watch = [\"http://10.77.1.1:7420\"]\nstate = \"/var/lib/stead-client\"\n\
                       services = [\"web\"]\n";
        let watch = vec!["http://10.77.0.1:7420".to_owned()];
        let text = configured(printed, &watch, Path::new("/tmp/x")).expect("understood");
        let told: toml::Table = toml::from_str(&text).expect("TOML");
        let is = |key: &str, value: toml::Value| assert_eq!(told.get(key), Some(&value), "{text}");
        is("cluster", "c".into());
        is("trust", vec!["sha256:1"].into());
        is("watch", watch.into());
        is("state", "/tmp/x/state".into());
        let target = told.get("files").and_then(|files| files.get(0)?.get("target")?.as_str());
        assert_eq!(target, Some("/tmp/x/where"), "{text}");
    }
}
