//! The initramfs of one machine: what it has before it has anything.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{LabError, Step};

use super::archive::Archive;
use super::machine::Card;
use super::spec::MachineSpec;

/// Without any of it there is no /host, and so no other module.
const EARLY: [&str; 3] = ["virtio_pci", "9p", "9pnet_virtio"];
/// What every guest has; the rest is loaded by whoever needs it.
const ALWAYS: [&str; 4] = ["virtio_rng", "virtio_net", "virtio_blk", "virtio_console"];

/// The scripts of a guest, by their places in it.
const SCRIPTS: [(&str, u32, &str); 5] = [
    ("init", 0o755, include_str!("guest/init")),
    ("etc/inittab", 0o644, include_str!("guest/inittab")),
    ("guest/boot", 0o755, include_str!("guest/boot")),
    ("guest/keep", 0o755, include_str!("guest/keep")),
    ("guest/commands", 0o755, include_str!("guest/commands")),
];

/// The archive for this machine.
pub(super) fn initramfs(
    name: &str,
    spec: &MachineSpec,
    cards: &[Card],
) -> Result<Vec<u8>, LabError> {
    let mut archive = Archive::new();
    for folder in ["etc", "guest", "guest/early"] {
        archive.folder(folder)?;
    }
    for (path, mode, text) in SCRIPTS {
        archive.file(path, mode, text.as_bytes())?;
    }
    archive.file("guest/busybox", 0o755, &read(&busybox()?)?)?;
    for (number, module) in spec.kernel.modules(&EARLY)?.iter().enumerate() {
        // the shell's `*` sorts them
        archive.file(&format!("guest/early/{number:02}.ko"), 0o644, &read(module)?)?;
    }
    let modules = ALWAYS.iter().copied().chain(spec.modules.iter().map(String::as_str));
    let folder = spec.kernel.folder().display().to_string();
    let lists = [
        ("etc/hostname", lines([name])),
        ("guest/kernel", lines([folder.as_str()])),
        ("guest/etc", lines(spec.etc.iter().map(String::as_str))),
        ("guest/modules", lines(modules)),
        ("guest/network", network(cards)),
        ("guest/programs", programs(spec)),
        ("guest/setup", spec.setup.clone()),
    ];
    for (path, text) in lists {
        archive.file(path, 0o644, text.as_bytes())?;
    }
    let mut made = vec!["etc".to_owned(), "guest".to_owned()];
    for (path, mode, bytes) in &spec.files {
        let path = path.trim_start_matches('/');
        for folder in folders(path) {
            if !made.contains(&folder) {
                archive.folder(&folder)?;
                made.push(folder);
            }
        }
        archive.file(path, *mode, bytes)?;
    }
    archive.finish()
}

/// The folders that lead to a file, the uppermost first.
fn folders(path: &str) -> Vec<String> {
    let slashes = path.match_indices('/');
    slashes.map(|(at, _)| path[..at].to_owned()).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, LabError> {
    fs::read(path).step(|| format!("cannot read {}", path.display()))
}

/// The one of busybox-static: nothing else runs where there are no libraries.
fn busybox() -> Result<PathBuf, LabError> {
    let places = ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from);
    let found = places.into_iter().find(|path| path.exists());
    let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
    found.ok_or(cause).step(|| "busybox is missing; type:  apt-get install busybox-static".into())
}

fn lines<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().fold(String::new(), |text, word| text + word + "\n")
}

fn network(cards: &[Card]) -> String {
    let mut text = String::new();
    for card in cards {
        // writing to a text can't fail
        let _ = write!(text, "{} {}", card.ifname, card.mac);
        for (address, prefix) in &card.addrs {
            let _ = write!(text, " {address}/{prefix}");
        }
        text.push('\n');
    }
    text
}

fn programs(spec: &MachineSpec) -> String {
    let line = |it: &super::spec::Program| {
        format!("{} {} {}\n", it.name, it.again.as_secs_f64(), it.command)
    };
    spec.programs.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them() {
        assert_eq!(folders("etc/stead/cluster.toml"), ["etc", "etc/stead"]);
        assert!(folders("init").is_empty());
    }
}
