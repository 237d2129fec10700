//! The configuration of a client's agent.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, User};
use serde::Deserialize;
use stead_edge::http::Url;
use thiserror::Error;

use crate::knowledge::{KeyDigest, is_name};
use crate::lasting::Lasting;
use crate::notify::WaySettings;
use crate::program::Command;

/// The longest file, in bytes.
const LONGEST: u64 = 1024 * 1024;
/// Servers that are watched, services that are followed, files that are written, and ways of
/// messages. Their product is a number of connections.
const SERVERS: usize = 16;
const SERVICES: usize = 64;
const FILES: usize = 64;
const WAYS: usize = 16;
/// How often a server is asked that has no stream.
const USUAL_POLL: Duration = Duration::from_secs(5);
/// How long a check or a reload may take.
const USUAL_TIMEOUT: Duration = Duration::from_secs(30);

/// What is wrong with a configuration. Nothing was done.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no TOML, has keys that are not known, or values that can't be. The text shows the
    /// line.
    #[error("{} is not understood:\n{said}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        said: String,
    },
    /// Its parts do not fit.
    #[error("{}: {said}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the key.
        said: String,
    },
}

/// The name of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Name(pub(super) String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        if is_name(&name) { Ok(Self(name)) } else { Err("it is no name: a to z, 0 to 9 and -") }
    }
}

/// A path from the root on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Whole(PathBuf);

impl TryFrom<String> for Whole {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, &'static str> {
        let whole = Path::new(&path).is_absolute() && !path.contains('\0');
        if whole { Ok(Self(path.into())) } else { Err("it has to be a whole path, from / on") }
    }
}

/// Rights of a file, in octal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Mode(u32);

impl TryFrom<String> for Mode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        let mode = if octal { u32::from_str_radix(&text, 8).ok() } else { None };
        // Nothing that is written by a program for a program runs as somebody else.
        let mode = mode.filter(|mode| mode & 0o7000 == 0);
        mode.map(Self).ok_or("it is no mode: write for example \"0644\"")
    }
}

/// Whose a file is: `user` or `user:group`, by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Owner {
    user: String,
    group: Option<String>,
}

impl TryFrom<String> for Owner {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text.as_str(), None),
        };
        let bad = |name: &str| name.is_empty() || name.contains(['\0', ':']);
        if bad(user) || group.is_some_and(bad) {
            return Err("write `user` or `user:group`");
        }
        Ok(Self { user: user.to_owned(), group: group.map(str::to_owned) })
    }
}

impl Owner {
    /// Their numbers, looked up now.
    ///
    /// # Errors
    /// There is no such user or group, or nobody can tell.
    pub(super) fn numbers(&self) -> io::Result<(u32, u32)> {
        let unknown = |what: &str, name: &str| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} `{name}` here"))
        };
        let user = User::from_name(&self.user)?.ok_or_else(|| unknown("user", &self.user))?;
        let group = match &self.group {
            Some(name) => Group::from_name(name)?.ok_or_else(|| unknown("group", name))?.gid,
            None => user.gid,
        };
        Ok((user.uid.as_raw(), group.as_raw()))
    }
}

/// A file that is written: a table `[[files]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// The services that stand in it.
    pub services: BTreeSet<String>,
    /// What it is made of.
    pub template: PathBuf,
    /// The file.
    pub target: PathBuf,
    /// Its rights.
    pub mode: u32,
    /// Whose it is; ours, if nobody is named.
    pub owner: Option<Owner>,
    /// Looks at the next content before it is put in place: `{file}` is where that is.
    pub check: Option<Command>,
    /// Has it read.
    pub reload: Option<Command>,
    /// How long each of them may take.
    pub timeout: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileTable {
    services: BTreeSet<Name>,
    template: Whole,
    target: Whole,
    mode: Option<Mode>,
    owner: Option<Owner>,
    check: Option<Command>,
    reload: Option<Command>,
    timeout: Option<Lasting>,
}

impl From<FileTable> for FileSettings {
    fn from(table: FileTable) -> Self {
        Self {
            services: table.services.into_iter().map(|name| name.0).collect(),
            template: table.template.0,
            target: table.target.0,
            mode: table.mode.map_or(0o644, |mode| mode.0),
            owner: table.owner,
            check: table.check,
            reload: table.reload,
            timeout: table.timeout.map_or(USUAL_TIMEOUT, |it| it.0),
        }
    }
}

/// What an agent does. As a file:
///
/// ```toml
/// cluster = "shop"                                      # its name, or better its identity
/// trust = ["sha256:5f0e..."]                            # keys of nodes
/// watch = ["http://10.0.0.1:7420", "http://10.0.0.2:7420"]
/// state = "/var/lib/stead-client"
/// # token = "/etc/stead/client.token"                   # what the nodes ask for, if they do
/// # poll = "5s"                                         # of servers that have no streams
/// # services = ["mail"]                                 # followed beside those in files
/// # publish = "/srv/www/stead"                          # the documents as a web server's files
///
/// [[files]]
/// services = ["web"]
/// template = "/etc/stead/upstream.conf.j2"
/// target = "/etc/nginx/conf.d/upstream.conf"
/// mode = "0644"
/// owner = "root:root"
/// check = ["/usr/sbin/nginx", "-t", "-c", "{file}"]
/// reload = ["/usr/sbin/nginx", "-s", "reload"]
/// timeout = "30s"
/// ```
/// and tables `[[notify]]` ([`WaySettings`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster: its identity in 32 hexadecimal digits, or its name.
    pub cluster: String,
    /// The keys that are believed at first.
    pub trust: BTreeSet<KeyDigest>,
    /// The servers.
    pub watch: BTreeSet<Url>,
    /// The file with the token that they ask for.
    pub token: Option<PathBuf>,
    /// The folder for what must not be forgotten.
    pub state: PathBuf,
    /// How often a server without streams is asked.
    pub poll: Duration,
    /// The services that are followed: those of files, and others.
    pub services: BTreeSet<String>,
    /// The root of a web server that hands the documents on, as files.
    pub publish: Option<PathBuf>,
    /// The files that are written.
    pub files: Vec<FileSettings>,
    /// The ways of messages.
    pub notify: Vec<WaySettings>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    cluster: Name,
    trust: BTreeSet<KeyDigest>,
    watch: BTreeSet<Url>,
    token: Option<Whole>,
    state: Whole,
    poll: Option<Lasting>,
    #[serde(default)]
    services: BTreeSet<Name>,
    publish: Option<Whole>,
    #[serde(default)]
    files: Vec<FileTable>,
    #[serde(default)]
    notify: Vec<WaySettings>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        if fs::metadata(path).map_err(failed)?.len() > LONGEST {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Self::read(&fs::read_to_string(path).map_err(failed)?, path)
    }

    /// Reads a text; `path` stands in errors.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let table: Table = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            said: error.to_string().trim_end().to_owned(),
        })?;
        let files: Vec<FileSettings> = table.files.into_iter().map(FileSettings::from).collect();
        let mut services: BTreeSet<_> = table.services.into_iter().map(|name| name.0).collect();
        services.extend(files.iter().flat_map(|file| file.services.iter().cloned()));
        let config = Self {
            cluster: table.cluster.0,
            trust: table.trust,
            watch: table.watch,
            token: table.token.map(|it| it.0),
            state: table.state.0,
            poll: table.poll.map_or(USUAL_POLL, |it| it.0),
            services,
            publish: table.publish.map(|it| it.0),
            files,
            notify: table.notify,
        };
        match config.wrong() {
            None => Ok(config),
            Some(said) => Err(ConfigError::Wrong { path: path.to_owned(), said }),
        }
    }

    fn wrong(&self) -> Option<String> {
        let counts = [
            ("watch", self.watch.len(), SERVERS),
            ("services", self.services.len(), SERVICES),
            ("files", self.files.len(), FILES),
            ("notify", self.notify.len(), WAYS),
        ];
        if let Some((key, count, most)) = counts.into_iter().find(|(_, count, most)| count > most) {
            return Some(format!("`{key}`: {count} are named, and {most} is the most"));
        }
        let empty = [
            ("trust", self.trust.is_empty(), "without a key nothing is believed"),
            ("watch", self.watch.is_empty(), "without a server nothing is heard"),
            ("services", self.services.is_empty(), "no file and no other key names a service"),
        ];
        if let Some((key, _, why)) = empty.into_iter().find(|(_, empty, _)| *empty) {
            return Some(format!("`{key}`: {why}"));
        }
        let mut targets = BTreeSet::new();
        for file in &self.files {
            let target = file.target.display();
            if file.services.is_empty() {
                return Some(format!("`files`: {target} has no `services`"));
            }
            if file.target.file_name().is_none() {
                return Some(format!("`files`: {target} is no file"));
            }
            if !targets.insert(&file.target) {
                return Some(format!("`files`: {target} is written twice"));
            }
        }
        let mut names = BTreeSet::new();
        let twice = self.notify.iter().find(|way| !names.insert(&way.name));
        twice.map(|way| format!("`notify`: two ways are named {}; give them a `name`", way.name))
    }
}
