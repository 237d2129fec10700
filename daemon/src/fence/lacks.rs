//! What a machine lacks to ask a device: programs and secrets. Nothing is run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stead_core::state::config::{DeviceConfig, FenceAgent};

use super::name::AgentName;
use stead_edge::private::Secret;

/// Any of the three bits.
const EXECUTABLE: u32 = 0o111;

/// What is missing here to ask that device; nothing if all is there.
#[must_use]
pub fn lacks(device: &DeviceConfig, folders: &[PathBuf]) -> Option<String> {
    match &device.agent {
        FenceAgent::Agent { name, secrets, .. } => {
            let known = name.parse::<AgentName>().ok();
            if known.is_none_or(|it| it.find(folders).is_none()) {
                return Some(format!("{name} is not installed here"));
            }
            secrets.values().find_map(|path| unreadable(path))
        }
        FenceAgent::Exec { command } => {
            let program = command.first().map(String::as_str).unwrap_or_default();
            let found = fs::metadata(program);
            let runs =
                found.is_ok_and(|it| it.is_file() && it.permissions().mode() & EXECUTABLE != 0);
            (!runs).then(|| format!("{program} is no program here"))
        }
        FenceAgent::Webhook { secret, .. } => secret.as_ref().and_then(|path| unreadable(path)),
    }
}

fn unreadable(path: &str) -> Option<String> {
    Secret::read(Path::new(path)).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use stead_core::time::Span;

    use super::*;

    fn told(agent: FenceAgent, folders: &[PathBuf]) -> Option<String> {
        lacks(&DeviceConfig { agent, timeout: Span::from_millis(1_000), retries: 0 }, folders)
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let agent = |secrets: &[(&str, &str)]| FenceAgent::Agent {
            name: "fence_some".to_owned(),
            parameters: Default::default(),
            secrets: secrets.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        };
        assert_eq!(told(agent(&[]), &folders).unwrap(), "fence_some is not installed here");
        let program = folder.path().join("fence_some");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let exec = FenceAgent::Exec { command: vec![program.display().to_string()] };
        assert!(told(exec.clone(), &folders).unwrap().ends_with("is no program here"));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(told(exec, &folders), None);
        assert_eq!(told(agent(&[]), &folders), None);
        let secret = folder.path().join("secret");
        let path = secret.display().to_string();
        assert!(told(agent(&[("password", &path)]), &folders).unwrap().contains(&path));
        let mut file = fs::File::create(&secret).unwrap();
        file.write_all(b"word\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(told(agent(&[("password", &path)]), &folders), None);
        let url = "http://192.0.2.1/".to_owned();
        assert_eq!(told(FenceAgent::Webhook { url, secret: Some(path) }, &folders), None);
    }
}
