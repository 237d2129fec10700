//! Packs the release binary and `packaging/` into a Debian package.
//!
//! `dpkg-deb` writes the archive and `dpkg-shlibdeps` says which libraries the binary needs; both
//! come with `dpkg-dev`. Nothing of debhelper runs, neither here nor at installation.
//!
//! The same tree and binary give the same package, byte by byte: times are those of the last
//! commit. What the binary can print about itself (man page, completions) is asked for only if its
//! help offers it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// Source below the root, place in the package, mode.
const FILES: [(&str, &str, u32); 11] = [
    ("packaging/stead-guard.service", "usr/lib/systemd/system/stead-guard.service", 0o644),
    ("packaging/stead-daemon.service", "usr/lib/systemd/system/stead-daemon.service", 0o644),
    (
        "packaging/stead-quorum-server.service",
        "usr/lib/systemd/system/stead-quorum-server.service",
        0o644,
    ),
    ("packaging/stead-client.service", "usr/lib/systemd/system/stead-client.service", 0o644),
    ("packaging/logind.conf", "usr/lib/systemd/logind.conf.d/stead.conf", 0o644),
    ("packaging/default", "etc/default/stead", 0o644),
    ("packaging/needrestart.conf", "etc/needrestart/conf.d/stead.conf", 0o644),
    ("packaging/README.Debian", "usr/share/doc/stead/README.Debian", 0o644),
    ("packaging/copyright", "usr/share/doc/stead/copyright", 0o644),
    ("packaging/cluster.toml", "usr/share/doc/stead/examples/cluster.toml", 0o644),
    ("CHANGELOG.md", "usr/share/doc/stead/changelog", 0o644),
];

/// Folders that are empty at first, with the mode that keeps others out.
const FOLDERS: [(&str, u32); 2] = [("etc/stead", 0o750), ("var/lib/stead", 0o700)];

/// Scripts of the package manager.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What the binary may print about itself: the word in its help, the arguments, the place.
const PRINTED: [(&str, &[&str], &str); 4] = [
    ("man", &["man"], "usr/share/man/man1/stead.1"),
    ("completions", &["completions", "bash"], "usr/share/bash-completion/completions/stead"),
    ("completions", &["completions", "zsh"], "usr/share/zsh/vendor-completions/_stead"),
    ("completions", &["completions", "fish"], "usr/share/fish/vendor_completions.d/stead.fish"),
];

/// `cargo xtask deb [--binary FILE] [--version VERSION]`. Without a binary one is built.
pub fn run(root: &Path, args: &[String]) -> Result<ExitCode> {
    let (mut binary, mut version) = (None, version(root)?);
    for pair in args.chunks(2) {
        match pair {
            [name, value] if name == "--binary" => binary = Some(PathBuf::from(value)),
            [name, value] if name == "--version" => version.clone_from(value),
            _ => bail!("usage: cargo xtask deb [--binary FILE] [--version VERSION]"),
        }
    }
    let binary = match binary {
        Some(binary) => binary,
        None => build(root)?,
    };
    let package = pack(root, &binary, &version)?;
    println!("{}", package.display());
    Ok(ExitCode::SUCCESS)
}

fn build(root: &Path) -> Result<PathBuf> {
    let cargo = ["build", "--release", "--locked", "--package", "stead"];
    succeed(Command::new("cargo").args(cargo).current_dir(root))?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(PathBuf::from(dir)));
    Ok(target.join("release/stead"))
}

/// Stages the package's tree, then lets `dpkg-deb` pack it.
fn pack(root: &Path, binary: &Path, version: &str) -> Result<PathBuf> {
    let out = root.join("target/debian");
    let stage = out.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).context("the last package's folder could not be removed")?;
    }
    place(binary, &stage.join("usr/bin/stead"), 0o755)?;
    let _ = Command::new("strip").arg(stage.join("usr/bin/stead")).status();
    for (from, to, mode) in FILES {
        place(&root.join(from), &stage.join(to), mode)?;
    }
    for (folder, mode) in FOLDERS {
        let folder = stage.join(folder);
        fs::create_dir_all(&folder).context("staging")?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).context("staging")?;
    }
    printed(binary, &stage)?;
    for page in ["usr/share/doc/stead/changelog", "usr/share/man/man1/stead.1"] {
        if stage.join(page).exists() {
            succeed(Command::new("gzip").args(["-9n"]).arg(stage.join(page)))?;
        }
    }
    let (architecture, depends) = (architecture()?, shared_libraries(&out, &stage)?);
    let control = control(version, &architecture, &depends, kibibytes(&stage)?);
    fs::create_dir_all(stage.join("DEBIAN")).context("staging")?;
    fs::write(stage.join("DEBIAN/control"), control).context("staging")?;
    fs::write(stage.join("DEBIAN/conffiles"), conffiles()).context("staging")?;
    for script in SCRIPTS {
        place(&root.join("packaging").join(script), &stage.join("DEBIAN").join(script), 0o755)?;
    }
    let package = out.join(format!("stead_{version}_{architecture}.deb"));
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Zxz", "--build"]).arg(&stage).arg(&package);
    if let Some(epoch) = last_commit(root) {
        pack.env("SOURCE_DATE_EPOCH", epoch);
    }
    succeed(&mut pack)?;
    Ok(package)
}

/// The workspace's version, in Debian's spelling: a pre-release sorts before its release.
fn version(root: &Path) -> Result<String> {
    let text = fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let table: Table = text.parse().context("Cargo.toml")?;
    let version = table
        .get("workspace")
        .and_then(|w| w.get("package"))
        .and_then(|p| p.get("version"))
        .and_then(Value::as_str)
        .context("Cargo.toml names no version")?;
    Ok(version.replacen('-', "~", 1))
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let what = || format!("{} could not be staged", from.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(what)?;
    }
    fs::copy(from, to).with_context(what)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(what)
}

/// Man page and completions, as far as the binary offers them.
fn printed(binary: &Path, stage: &Path) -> Result<()> {
    let help = Command::new(binary).arg("--help").output().context("stead --help")?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for (word, args, place) in PRINTED {
        if !offers(&help, word) {
            continue;
        }
        let output = Command::new(binary).args(args).output().context("stead")?;
        if !output.status.success() || output.stdout.is_empty() {
            bail!("`stead {}` is offered by its help and failed", args.join(" "));
        }
        let path = stage.join(place);
        fs::create_dir_all(path.parent().context("a place has a folder")?).context("staging")?;
        fs::write(&path, &output.stdout).context("staging")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).context("staging")?;
    }
    Ok(())
}

/// Whether a line of the help begins with the command's name.
fn offers(help: &str, command: &str) -> bool {
    help.lines()
        .any(|line| line.starts_with(' ') && line.split_whitespace().next() == Some(command))
}

fn architecture() -> Result<String> {
    Ok(succeed(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

/// The packages whose libraries the binary needs, as `dpkg-shlibdeps` finds them.
fn shared_libraries(out: &Path, stage: &Path) -> Result<String> {
    let folder = out.join("shlibdeps");
    fs::create_dir_all(folder.join("debian")).context("staging")?;
    let source = "Source: stead\nPackage: stead\nArchitecture: any\nDescription: x\n";
    fs::write(folder.join("debian/control"), source).context("staging")?;
    let binary = stage.join("usr/bin/stead");
    let text = succeed(
        Command::new("dpkg-shlibdeps").arg("-O").arg("-e").arg(binary).current_dir(&folder),
    )?;
    parse_shared_libraries(&text).context("dpkg-shlibdeps printed no shlibs:Depends")
}

fn parse_shared_libraries(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("shlibs:Depends=")).map(str::to_owned)
}

fn control(version: &str, architecture: &str, depends: &str, kibibytes: u64) -> String {
    format!(
        "Package: stead\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: The stead developers <stead@localhost>\n\
         Installed-Size: {kibibytes}\n\
         Depends: {depends}\n\
         Pre-Depends: init-system-helpers (>= 1.54~)\n\
         Suggests: resource-agents, fence-agents\n\
         Section: admin\n\
         Priority: optional\n\
         Description: high-availability cluster manager that moves service addresses\n \
         When a machine or a link fails, another node takes over the addresses and\n \
         the programs behind them, within a time that is set in milliseconds. A lease\n \
         that the kernel enforces keeps two nodes from answering at once.\n"
    )
}

/// Everything below `/etc` belongs to the administrator once it is installed.
fn conffiles() -> String {
    let lines = FILES.iter().filter(|(_, to, _)| to.starts_with("etc/"));
    lines.map(|(_, to, _)| format!("/{to}\n")).collect()
}

fn kibibytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder).context("staging")? {
        let entry = entry.context("staging")?;
        let meta = entry.metadata().context("staging")?;
        sum += if meta.is_dir() { kibibytes(&entry.path())? } else { meta.len().div_ceil(1024) };
    }
    Ok(sum + 1)
}

/// The time of the last commit; nothing outside a repository.
fn last_commit(root: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(root);
    succeed(&mut git).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Runs a command to its end and returns what it printed; its own words are the error.
fn succeed(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().with_context(|| format!("{name} could not be started: installed?"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_has_one_field_per_line_and_folds_its_description() {
        let text = control("0.1.0", "amd64", "libc6 (>= 2.34)", 7);
        assert!(text.lines().all(|line| line.starts_with(' ') || line.contains(": ")), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with(' ')).count(), 3);
    }

    #[test]
    fn what_lies_below_etc_is_a_conffile() {
        assert!(conffiles().lines().all(|line| line.starts_with("/etc/")));
        assert_eq!(conffiles().lines().count(), 2);
    }

    #[test]
    fn only_commands_that_the_help_lists_are_asked_for() {
        let help =
            "Usage: stead\n\nCommands:\n  man   prints man pages\n  status  the completions\n";
        assert!(offers(help, "man"));
        assert!(!offers(help, "completions"));
    }

    #[test]
    fn the_libraries_are_read_from_the_tool_that_knows() {
        let text = "shlibs:Depends=libc6 (>= 2.34), libgcc-s1 (>= 4.2)\n";
        assert_eq!(
            parse_shared_libraries(text).as_deref(),
            Some("libc6 (>= 2.34), libgcc-s1 (>= 4.2)")
        );
        assert_eq!(parse_shared_libraries("dpkg-shlibdeps: warning\n"), None);
    }
}
