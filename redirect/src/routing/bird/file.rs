//! The file that the operator's `bird.conf` includes.
//!
//! It defines one function, by which the operator's own filters let the cluster's prefixes pass,
//! and a number by which a running BIRD is asked whether it has read this very file: after a power
//! loss between the writing and the reading, the file alone would not tell.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use stead_linux::durable::{WriteError, write_atomically};
use thiserror::Error;

use super::super::{Announce, Applied, Source};
use super::control::{Control, ControlError};
use super::{absent_is_none, read};

/// The function of the file.
pub(super) const FILTER: &str = "stead_announces";
/// The number of the file.
const DIGEST: &str = "STEAD_DIGEST";
/// BIRD reads it under its own user, and nothing in it is a secret.
const MODE: u32 = 0o644;
/// "Reading configuration from" comes first; then that it is good.
const GOOD: u16 = 20;
/// "Reconfigured", "Reconfiguration in progress", "Reconfiguration already in progress".
const TAKEN: [u16; 3] = [3, 4, 5];

/// BIRD was not told what it may announce.
#[derive(Debug, Error)]
pub enum ConfigureError {
    /// BIRD is not there, or does not answer.
    #[error("BIRD was not told what it may announce; {after}")]
    Control {
        /// What holds now.
        after: &'static str,
        /// Why not.
        #[source]
        source: ControlError,
    },
    /// Our file can't be read.
    #[error("can't read {}; nothing was changed", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Our file can't be written.
    #[error("can't write what BIRD may announce")]
    Write(#[source] WriteError),
    /// BIRD does not take its configuration with our file in it.
    #[error(
        "BIRD refuses its configuration: {words}; {} was put back as it was, and BIRD goes on with \
         what it had",
        path.display()
    )]
    Refused {
        /// Our file.
        path: PathBuf,
        /// What BIRD says, with file and line.
        words: String,
    },
    /// BIRD refuses, and the former file could not be put back.
    #[error(
        "BIRD refuses its configuration: {words}; it goes on with what it had, but {} is the \
         refused one now; mend it before BIRD starts again",
        path.display()
    )]
    NotPutBack {
        /// Our file.
        path: PathBuf,
        /// What BIRD says, with file and line.
        words: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// BIRD read its configuration, and not our file.
    #[error(
        "BIRD's configuration does not include {}; add the line `include \"{}\";` to it",
        path.display(),
        path.display()
    )]
    NotIncluded {
        /// Our file.
        path: PathBuf,
    },
    /// The path would end the string in which BIRD reads it.
    #[error("{} can't be named in BIRD's configuration; nothing was changed", path.display())]
    Path {
        /// Our file.
        path: PathBuf,
    },
}

/// See [`super::super::Daemon::configure`].
pub(in super::super) async fn configure(
    socket: &Path,
    file: &Path,
    announce: &Announce,
) -> Result<Applied, ConfigureError> {
    if file.to_str().is_none_or(|path| path.contains(['"', '\n', '\\'])) {
        return Err(ConfigureError::Path { path: file.to_owned() });
    }
    let unchanged = |source| ConfigureError::Control { after: "nothing was changed", source };
    let text = text(announce);
    let old = read_old(file)?;
    let same = old.as_deref() == Some(text.as_bytes());
    let mut control = match Control::open(socket).await {
        Ok(control) => control,
        // BIRD can't start without a file that it includes.
        Err(source @ (ControlError::Absent { .. } | ControlError::Ended { .. })) => {
            if !same {
                write_atomically(file, text.as_bytes(), MODE).map_err(ConfigureError::Write)?;
            }
            let after = "the file is written, and is read when BIRD starts";
            return Err(ConfigureError::Control { after, source });
        }
        Err(source) => return Err(unchanged(source)),
    };
    let has = loaded(&mut control).await.map_err(unchanged)?;
    if same && has == Some(digest(announce)) {
        return Ok(Applied::Unchanged);
    }
    if !same {
        write_atomically(file, text.as_bytes(), MODE).map_err(ConfigureError::Write)?;
    }
    if let Err(error) = accepted(&mut control, "configure check", &[GOOD]).await {
        return Err(take_back(file, old.as_deref(), error));
    }
    let written = |source| {
        let after = "the file is good, and is read when BIRD is asked again, or starts";
        ConfigureError::Control { after, source }
    };
    accepted(&mut control, "configure", &TAKEN).await.map_err(written)?;
    match loaded(&mut control).await.map_err(written)? {
        Some(_) => Ok(Applied::Changed),
        None => Err(ConfigureError::NotIncluded { path: file.to_owned() }),
    }
}

/// The number of the file that BIRD has read; `None` if none.
pub(super) async fn loaded(control: &mut Control) -> Result<Option<u32>, ControlError> {
    let answer = control.ask(&format!("eval {DIGEST}")).await;
    Ok(absent_is_none(answer)?.and_then(|lines| read::number(&lines)))
}

fn read_old(file: &Path) -> Result<Option<Vec<u8>>, ConfigureError> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigureError::Read { path: file.to_owned(), source }),
    }
}

async fn accepted(control: &mut Control, word: &str, by: &[u16]) -> Result<(), ControlError> {
    let lines = control.ask(word).await?;
    match lines.last() {
        Some(line) if by.contains(&line.code) => Ok(()),
        Some(line) => Err(ControlError::Refused {
            question: word.to_owned(),
            code: line.code,
            words: line.text.clone(),
        }),
        None => {
            Err(ControlError::Unreadable { question: word.to_owned(), reason: "it has no line" })
        }
    }
}

/// Without a former file an empty one is left: the operator includes it, and BIRD would not start
/// without.
fn take_back(file: &Path, old: Option<&[u8]>, error: ControlError) -> ConfigureError {
    let back = write_atomically(file, old.unwrap_or_default(), MODE);
    let path = file.to_owned();
    match (back, error) {
        (Err(error), refusal) => ConfigureError::NotPutBack {
            path,
            words: refusal.to_string(),
            source: io::Error::other(error),
        },
        (Ok(()), ControlError::Refused { words, .. }) => ConfigureError::Refused { path, words },
        (Ok(()), source) => {
            let after = "its file was put back, and nothing was changed";
            ConfigureError::Control { after, source }
        }
    }
}

/// The whole file.
fn text(announce: &Announce) -> String {
    format!(
        "# Written by stead; what is changed here by hand is lost.\n\
         define {DIGEST} = {};\n{}",
        digest(announce),
        body(announce)
    )
}

fn body(announce: &Announce) -> String {
    let origin = match announce.source() {
        Source::Interface(name) => format!(
            "  if source != RTS_DEVICE then return false;\n  \
             if ifname != \"{name}\" then return false;\n"
        ),
        Source::Kernel(number) => format!(
            "  if source != RTS_INHERIT then return false;\n  \
             if krt_source != {number} then return false;\n"
        ),
    };
    let mut text = format!("function {FILTER}()\n{{\n{origin}");
    for (v4, family) in [(true, "NET_IP4"), (false, "NET_IP6")] {
        let all: Vec<_> = announce.of_family(v4).map(ToString::to_string).collect();
        if !all.is_empty() {
            let all = all.join(", ");
            // Writing into a string has no way to fail.
            let _ = writeln!(text, "  if net.type = {family} then return net ~ [ {all} ];");
        }
    }
    text.push_str("  return false;\n}\n");
    if let Source::Interface(name) = announce.source() {
        let _ = write!(
            text,
            "protocol direct stead {{\n  interface \"{name}\";\n  \
             ipv4 {{ import where {FILTER}(); }};\n  \
             ipv6 {{ import where {FILTER}(); }};\n}}\n"
        );
    }
    text
}

/// FNV-1a: it tells our files apart, and nobody has a reason to forge one.
fn digest(announce: &Announce) -> u32 {
    body(announce)
        .bytes()
        .fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// See [`super::super::Daemon::explain`].
pub(in super::super) fn explain(file: &Path, announce: &Announce) -> String {
    let kernel = match announce.source() {
        Source::Interface(_) => {
            "# The kernel is told what neighbours say, and nothing of its own addresses:\n\
             protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }\n\
             protocol kernel { ipv6 { import none; export where source = RTS_BGP; }; }\n"
                .to_owned()
        }
        Source::Kernel(_) => format!(
            "# Routes of the kernel are learnt. Older kernels don't tell of a route that ends\n\
             # with its source address: that is found after the scan time, in seconds.\n\
             protocol kernel {{ learn; scan time 2; ipv4 {{ import where {FILTER}(); export where \
             source = RTS_BGP; }}; }}\n\
             protocol kernel {{ learn; scan time 2; ipv6 {{ import where {FILTER}(); export where \
             source = RTS_BGP; }}; }}\n"
        ),
    };
    format!(
        "# What BIRD needs beside stead's file, once for each neighbour.\n\
         include \"{}\";\n\
         protocol device {{ }}\n\
         {kernel}\
         # Without BFD a silent node is noticed only after the hold time. The neighbour needs it \
         too.\n\
         protocol bfd {{ interface \"*\" {{ interval 50 ms; multiplier 3; }}; }}\n\
         protocol bgp {{\n  \
           local as 65010;                   # this node's\n  \
           neighbor 192.0.2.1 as 65001;      # the router's\n  \
           bfd on;\n  \
           hold time 9;\n  \
           connect delay time 1; connect retry time 1; error wait time 1, 10;\n  \
           # `import none` where the node has its way to everywhere from somewhere else\n  \
           ipv4 {{ import all; export where {FILTER}(); next hop self; }};\n  \
           ipv6 {{ import all; export where {FILTER}(); next hop self; }};\n\
         }}\n",
        file.display()
    )
}
