//! What a unit is told while stead holds it: a file of this run of the machine, taken away after.
//!
//! It says two things. `Restart=no`: what ends is started by stead or not at all. And a slice of
//! its own, below the one that it had, so that the limits of that go on to hold: a control group
//! that stays where it is while the unit comes and goes, and that can be sealed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where such files lie. They are gone with the next start of the machine.
const ROOT: &str = "/run/systemd/system";
/// Of several, the one with the last name holds.
const FILE: &str = "zzz-stead.conf";
/// No name of a unit is longer. Bytes.
const LONGEST_NAME: usize = 255;
/// The end of a slice's name.
const SLICE: &str = ".slice";

/// The slice for a unit whose own is that one, or is the one for it already.
///
/// # Errors
/// It would have too long a name, or the former one is no slice; in words.
pub(super) fn slice_for(unit: &str, former: &str) -> Result<String, String> {
    let own = format!("stead\\x2d{}", escape(unit));
    let stem = former.strip_suffix(SLICE).filter(|stem| !stem.is_empty());
    let stem =
        stem.ok_or_else(|| format!("systemd says that {unit} is in the slice `{former}`"))?;
    if stem == own || stem.strip_suffix(&own).is_some_and(|above| above.ends_with('-')) {
        return Ok(former.to_owned());
    }
    let name = match stem {
        // The root of all slices.
        "-" => format!("{own}{SLICE}"),
        above => format!("{above}-{own}{SLICE}"),
    };
    if name.len() > LONGEST_NAME {
        return Err(format!(
            "the name of {unit} is too long for a slice of its own below {former}"
        ));
    }
    Ok(name)
}

/// As systemd-escape does it: a hyphen would mean another slice above.
fn escape(name: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b':' => {
            char::from(byte).to_string()
        }
        other => format!("\\x{other:02x}"),
    };
    name.bytes().map(one).collect()
}

fn path(unit: &str) -> PathBuf {
    Path::new(ROOT).join(format!("{unit}.d")).join(FILE)
}

/// Whether the unit is told anything.
pub(super) fn exists(unit: &str) -> bool {
    path(unit).exists()
}

/// Tells it; says whether that is new.
///
/// # Errors
/// The file can't be written.
pub(super) fn write(unit: &str, slice: &str) -> io::Result<bool> {
    let path = path(unit);
    let text = format!(
        "# stead holds this unit: it starts and stops it, and takes this file away in the end.\n\
         [Service]\nRestart=no\nSlice={slice}\n"
    );
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, &path)?;
    Ok(true)
}

/// Takes it away; none there is fine.
///
/// # Errors
/// The file can't be removed.
pub(super) fn remove(unit: &str) -> io::Result<()> {
    let path = path(unit);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        // Others may have files there.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_lies_below_the_former_one_and_is_known_again() {
        let below = |unit: &str, former: &str| slice_for(unit, former).expect("there is one");
        let named = below("nginx.service", "system.slice");
        assert_eq!(named, r"system-stead\x2dnginx.service.slice");
        assert_eq!(below("nginx.service", &named), named);
        assert_eq!(below("nginx.service", "-.slice"), r"stead\x2dnginx.service.slice");
        let root = below("nginx.service", "-.slice");
        assert_eq!(below("nginx.service", &root), root);
        assert_eq!(
            below("pg@15-main.service", "a-b.slice"),
            r"a-b-stead\x2dpg\x4015\x2dmain.service.slice"
        );
        for wrong in ["", ".slice", "nginx.service"] {
            slice_for("nginx.service", wrong).expect_err(wrong);
        }
        slice_for("x.service", &format!("{}.slice", "a".repeat(240))).expect_err("too long");
    }
}
