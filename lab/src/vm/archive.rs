//! An initramfs: a cpio archive of the form `newc`, as the kernel reads it
//! (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).

use crate::error::{LabError, Step};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;

/// An archive that grows. Everything in it belongs to root.
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    pub(super) fn new() -> Archive {
        Archive { bytes: Vec::new(), entries: 0 }
    }

    /// A folder; those above it first.
    pub(super) fn folder(&mut self, path: &str) -> Result<(), LabError> {
        self.entry(path, FOLDER, &[])
    }

    /// A file in a folder that is there, with these bits of mode.
    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), LabError> {
        self.entry(path, FILE | mode, bytes)
    }

    /// The whole.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, LabError> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), LabError> {
        let size = u32::try_from(bytes.len()).map_err(std::io::Error::other);
        let size = size.step(|| format!("{path} is too long for an initramfs"))?;
        let name = u32::try_from(path.len() + 1).map_err(std::io::Error::other);
        let name = name.step(|| "the path of a file in an initramfs is too long".to_owned())?;
        self.entries += 1;
        let links = if mode & FOLDER == FOLDER { 2 } else { 1 };
        // inode, mode, user, group, links, time, size, four numbers of devices, length of the
        // name, checksum
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
        Ok(())
    }

    /// To a multiple of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn busybox_finds_in_it_what_was_put_there() {
        let mut archive = Archive::new();
        archive.folder("etc").expect("added");
        archive.file("etc/hostname", 0o644, b"node1\n").expect("added");
        archive.file("init", 0o755, b"#!/bin/sh\n").expect("added");
        let bytes = archive.finish().expect("finished");
        let mut command = Command::new("busybox");
        command.args(["cpio", "-tv"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("busybox-static is there (tests/packages.txt)");
        child.stdin.take().expect("a pipe").write_all(&bytes).expect("written");
        let done = child.wait_with_output().expect("ended");
        let list = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{list}");
        let words: Vec<Vec<&str>> =
            list.lines().map(|line| line.split_whitespace().collect()).collect();
        let found: Vec<_> = words.iter().map(|it| (it[0], it[2], it[it.len() - 1])).collect();
        let wanted = [
            ("drwxr-xr-x", "0", "etc"),
            ("-rw-r--r--", "6", "etc/hostname"),
            ("-rwxr-xr-x", "10", "init"),
        ];
        assert_eq!(found, wanted, "{list}");
    }
}
