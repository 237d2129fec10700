//! The folder of the state: whether it can be written, how fast, how full.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::{Finding, Patient};

/// So many writes are timed.
const WRITES: usize = 20;
/// As large as a small entry of the log.
const BLOCK: [u8; 4_096] = [0; 4_096];
/// An election waits two writes of a disk; beyond this it is no longer short.
const SLOW: Duration = Duration::from_millis(20);
/// A disk that takes longer than this for a write makes elections and takeovers long.
const TOO_SLOW: Duration = Duration::from_millis(200);
/// Less room than this is soon none, in bytes.
const ROOM: u64 = 256 << 20;

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let folder = existing(&patient.paths.state);
    vec![
        speed(&folder),
        room(&folder),
        secrets(&[patient.paths.keys(), patient.paths.heartbeat_secret()]),
    ]
}

/// The folder, or the nearest one above it that is there: before `init` and `join` there is none.
fn existing(folder: &Path) -> PathBuf {
    let mut ancestors = folder.ancestors().filter(|it| it.is_dir());
    ancestors.next().unwrap_or(Path::new("/")).to_owned()
}

fn speed(folder: &Path) -> Finding {
    const CHECK: &str = "disk speed";
    let mut times = match measure(folder) {
        Ok(times) => times,
        Err(error) => {
            let advice = "the folder of the state has to be writable for the daemon: look at its \
                          owner, its mode, and how its file system is mounted";
            return Finding::bad(CHECK, format!("{}: {error}", folder.display()), advice);
        }
    };
    times.sort_unstable();
    let (middle, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let seen = format!(
        "{}: a durable write takes {:.1} ms, the longest of {WRITES} {:.1} ms",
        folder.display(),
        ms(middle),
        ms(longest)
    );
    if middle > TOO_SLOW {
        Finding::bad(CHECK, seen, "keep the state on another disk: every takeover waits for it")
    } else if longest > SLOW {
        Finding::warning(
            CHECK,
            seen,
            "a takeover waits for two such writes; a faster or less busy \
                                       disk for the state makes it shorter",
        )
    } else {
        Finding::good(CHECK, seen)
    }
}

/// The times of some durable writes to a file that is removed again.
fn measure(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!(".stead-doctor-{}", std::process::id()));
    let measured: io::Result<Vec<Duration>> = (|| {
        let mut file = File::create_new(&path)?;
        (0..WRITES)
            .map(|_| {
                let begun = Instant::now();
                file.write_all(&BLOCK)?;
                file.sync_data()?;
                Ok(begun.elapsed())
            })
            .collect()
    })();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => measured.and(Err(error)),
        _ => measured,
    }
}

fn room(folder: &Path) -> Finding {
    const CHECK: &str = "disk room";
    match statvfs(folder) {
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let seen = format!("{}: {} MiB are free", folder.display(), free >> 20);
            if free < ROOM {
                Finding::warning(CHECK, seen, "a node whose disk is full gives up what it serves")
            } else {
                Finding::good(CHECK, seen)
            }
        }
        Err(errno) => Finding::unknown(CHECK, format!("{}: {errno}", folder.display())),
    }
}

/// What nobody else may read.
fn secrets(files: &[PathBuf]) -> Finding {
    const CHECK: &str = "secrets";
    let hidden = |path: &&PathBuf| {
        let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
        fs::symlink_metadata(path).is_err_and(refused)
            || path.is_dir() && fs::read_dir(path).is_err_and(refused)
    };
    if let Some(path) = files.iter().find(hidden) {
        let seen = format!("{} can't be looked into; run this as root", path.display());
        return Finding::unknown(CHECK, seen);
    }
    // A folder stands for the files in it.
    let inside = |path: &PathBuf| {
        let files = fs::read_dir(path).into_iter().flatten().flatten().map(|it| it.path());
        files.chain([path.clone()]).filter(|it| it.is_file()).collect::<Vec<_>>()
    };
    let there: Vec<_> = files.iter().flat_map(inside).collect();
    if there.is_empty() {
        return Finding::good(CHECK, "none are here: the machine is no node yet");
    }
    let open =
        |path: &&PathBuf| fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o077 != 0);
    let open: Vec<_> = there.iter().filter(open).map(|it| it.display().to_string()).collect();
    if open.is_empty() {
        return Finding::good(CHECK, "only their owner can read them");
    }
    let advice =
        "chmod 600 the files and find out who could read them; if in doubt, replace the node";
    Finding::bad(CHECK, format!("others can read {}", open.join(" and ")), advice)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_folder_is_timed_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let found = speed(folder.path());
        assert_ne!(found.verdict, Verdict::Unknown, "{found:?}");
        assert!(found.seen.contains("a durable write takes"), "{found:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(speed(Path::new("/proc")).verdict, Verdict::Bad);
        assert_ne!(room(folder.path()).verdict, Verdict::Unknown);
    }

    #[test]
    fn before_there_is_a_state_the_folder_above_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("a/b/c")), folder.path());
    }

    #[test]
    fn a_secret_that_others_can_read_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        assert_eq!(secrets(from_ref(&key)).verdict, Verdict::Good);
        fs::write(&key, "secret").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secrets(from_ref(&key)).verdict, Verdict::Good);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let found = secrets(from_ref(&key));
        assert_eq!(found.verdict, Verdict::Bad);
        assert!(found.seen.contains("key"), "{found:?}");
    }
}
