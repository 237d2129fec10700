//! The kernel that guests boot, and its modules.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{LabError, Step};

/// A kernel as `tests/guest-kernel` lays it down: `vmlinux`, `release`, and `lib/modules`.
#[derive(Debug, Clone)]
pub struct Kernel {
    folder: PathBuf,
    release: String,
}

impl Kernel {
    /// The kernel in that folder.
    ///
    /// # Errors
    /// There is none; the text says how to get it.
    pub fn at(folder: &Path) -> Result<Kernel, LabError> {
        let missing =
            || format!("there is no kernel for guests; type:  tests/guest-kernel  ({folder:?})");
        let folder = folder.canonicalize().step(missing)?;
        let release = fs::read_to_string(folder.join("release")).step(missing)?;
        Ok(Kernel { folder, release: release.trim().to_owned() })
    }

    /// Where it is, from the root.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is booted: an ELF file with a note for PVH, so that nothing is decompressed.
    pub(super) fn vmlinux(&self) -> PathBuf {
        self.folder.join("vmlinux")
    }

    /// The files of these modules and of all that they need, in the order in which to load them.
    pub(super) fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>, LabError> {
        let folder = self.folder.join("lib/modules").join(&self.release);
        let path = folder.join("modules.dep");
        let list = fs::read_to_string(&path).step(|| format!("cannot read {}", path.display()))?;
        let mut files = Vec::new();
        for name in names {
            let Some(found) = needed(&list, name) else {
                let cause = std::io::Error::other(format!("{name} is not in modules.dep"));
                return Err(cause).step(|| format!("kernel {} lacks a module", self.release));
            };
            for file in found {
                if !files.contains(&folder.join(file)) {
                    files.push(folder.join(file));
                }
            }
        }
        Ok(files)
    }
}

/// A module's file behind those that it needs: a line names what to load last first.
fn needed<'a>(list: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let line = list.lines().find_map(|line| {
        let (file, needs) = line.split_once(':')?;
        let stem = Path::new(file).file_stem()?.to_str()?;
        (stem.replace('-', "_") == name.replace('-', "_")).then_some((file, needs))
    });
    let (file, needs) = line?;
    Some(needs.split_whitespace().rev().chain([file]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_behind_what_it_needs() {
        let list = "kernel/a/base.ko:\nkernel/b/my-net.ko: kernel/a/mid.ko kernel/a/base.ko\n\
                    kernel/a/mid.ko: kernel/a/base.ko\n";
        let found = needed(list, "my_net");
        assert_eq!(found, Some(vec!["kernel/a/base.ko", "kernel/a/mid.ko", "kernel/b/my-net.ko"]));
        assert_eq!(needed(list, "base"), Some(vec!["kernel/a/base.ko"]));
        assert_eq!(needed(list, "net"), None);
    }
}
