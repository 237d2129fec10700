//! What is asked of an engine, and what its answers say. Paths have no version: each engine speaks
//! its own, and what is used here is the same in all of them.

use std::collections::BTreeMap;

use hyper::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, EngineError, Excess};
use super::lines;

/// How many of a container's last lines are asked for.
const LINES: usize = 10;

/// What an engine says of itself, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Info {
    /// By whom it has control groups made: `systemd` or `cgroupfs`.
    pub(super) cgroup_driver: String,
    /// `1` or `2`; empty with engines that don't say.
    pub(super) cgroup_version: String,
}

/// A container, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) config: Labelled,
}

/// Where it is in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    pub(super) running: bool,
    pub(super) paused: bool,
    pub(super) exit_code: i64,
    #[serde(rename = "OOMKilled")]
    pub(super) out_of_memory: bool,
    /// Why it did not start.
    pub(super) error: String,
    /// What the check says that the image brings, if it brings one.
    pub(super) health: Option<Health>,
}

/// The image's own check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Health {
    /// `starting`, `healthy`, `unhealthy` or `none`.
    pub(super) status: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Labelled {
    /// Some engines say `null` where there are none.
    pub(super) labels: Option<BTreeMap<String, String>>,
}

/// What a container shall be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wish {
    pub(super) image: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_signal: Option<String>,
    pub(super) host_config: Host,
}

/// What it shall be on this machine.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Host {
    pub(super) cgroup_parent: String,
    pub(super) network_mode: String,
    pub(super) mounts: Vec<Mount>,
    pub(super) restart_policy: Policy,
    pub(super) auto_remove: bool,
}

/// A folder of the node's. As a mount and not as a `Bind`: with that an engine makes a folder that
/// is not there, and a container whose data is missing starts with none.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    #[serde(rename = "Type")]
    pub(super) kind: &'static str,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) read_only: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    pub(super) name: &'static str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
}

impl Engine {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let told = self.ask_soon(Method::GET, path, None, Excess::Refuse).await?;
        serde_json::from_slice(&told).map_err(EngineError::Senseless)
    }

    /// What it says of itself.
    pub(super) async fn info(&self) -> Result<Info, EngineError> {
        self.get("/info").await
    }

    /// The container of that name, if there is one.
    pub(super) async fn show(&self, name: &str) -> Result<Option<Shown>, EngineError> {
        absent_is_none(self.get(&format!("/containers/{name}/json")).await)
    }

    /// Makes one, and says how it is called.
    pub(super) async fn create(&self, name: &str, wish: &Wish) -> Result<String, EngineError> {
        let body = serde_json::to_vec(wish).map_err(EngineError::Senseless)?;
        let path = format!("/containers/create?name={name}");
        let told = self.ask_soon(Method::POST, &path, Some(body), Excess::Refuse).await?;
        let created: Created = serde_json::from_slice(&told).map_err(EngineError::Senseless)?;
        let plain = |c: char| c.is_ascii_alphanumeric();
        if created.id.is_empty() || !created.id.chars().all(plain) {
            return Err(EngineError::Refused(200, "it is called nothing".to_owned()));
        }
        Ok(created.id)
    }

    /// Starts it; that takes as long as it takes.
    pub(super) async fn start(&self, id: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{id}/start");
        self.ask(Method::POST, &path, None, Excess::Refuse).await.map(drop)
    }

    /// Waits until it has ended; says with which status.
    pub(super) async fn wait(&self, id: &str) -> Result<i64, EngineError> {
        let path = format!("/containers/{id}/wait");
        let told = self.ask(Method::POST, &path, None, Excess::Refuse).await?;
        let waited: Waited = serde_json::from_slice(&told).map_err(EngineError::Senseless)?;
        Ok(waited.status_code)
    }

    /// Asks it to end, and waits until it has; the engine kills it after that many seconds. One
    /// that is not there has ended.
    pub(super) async fn stop(&self, name: &str, seconds: u64) -> Result<(), EngineError> {
        let path = format!("/containers/{name}/stop?t={seconds}");
        let told = self.ask(Method::POST, &path, None, Excess::Refuse).await.map(drop);
        absent_is_none(told).map(drop)
    }

    /// Takes it away, with what it wrote elsewhere than into mounts.
    pub(super) async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{name}?force=true&v=true");
        let told = self.ask_soon(Method::DELETE, &path, None, Excess::Refuse).await.map(drop);
        absent_is_none(told).map(drop)
    }

    /// What it printed last. Engines may keep nothing of that.
    pub(super) async fn last_lines(&self, id: &str) -> Vec<String> {
        let path = format!("/containers/{id}/logs?stdout=true&stderr=true&tail={LINES}");
        let told = self.ask_soon(Method::GET, &path, None, Excess::Cut).await;
        lines::read(&told.unwrap_or_default(), LINES)
    }
}

fn absent_is_none<T>(told: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match told {
        Err(error) if error.status() == Some(404) => Ok(None),
        told => told.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::tests::stand_in;
    use super::*;

    fn json(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn what_is_said_of_a_container_is_read_and_other_things_are_refused() {
        let shown = async |body: &str| {
            let (_folder, engine) = stand_in(json(body));
            engine.show("x").await
        };
        let told = shown(
            r#"{"Id":"a1","State":{"Running":true,"ExitCode":3,"OOMKilled":true,
                "Health":{"Status":"unhealthy"}},"Config":{"Labels":null,"Other":7}}"#,
        );
        let told = told.await.unwrap().unwrap();
        assert!(told.state.running && told.state.out_of_memory && told.state.exit_code == 3);
        assert_eq!(told.state.health.unwrap().status, "unhealthy");
        assert_eq!(shown("{}").await.unwrap(), Some(Shown::default()));
        for wrong in ["", "[7]", "null", "{\"State\":7}", "{\"Id\":7}", "{\"Id\":\"\u{0}"] {
            let told = shown(wrong).await.unwrap_err();
            assert!(matches!(told, EngineError::Senseless(_)), "{wrong}: {told}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_not_asked_about() {
        let wish = Wish {
            image: "x".to_owned(),
            cmd: Vec::new(),
            env: Vec::new(),
            labels: BTreeMap::new(),
            stop_signal: None,
            host_config: Host {
                cgroup_parent: "/x".to_owned(),
                network_mode: "host".to_owned(),
                mounts: Vec::new(),
                restart_policy: Policy { name: "no" },
                auto_remove: false,
            },
        };
        for (body, good) in
            [(r#"{"Id":"a1"}"#, true), (r#"{"Id":""}"#, false), (r#"{"Id":"a/../b"}"#, false)]
        {
            let (_folder, engine) = stand_in(json(body));
            assert_eq!(engine.create("x", &wish).await.is_ok(), good, "{body}");
        }
        let text = serde_json::to_string(&wish).unwrap();
        assert!(!text.contains("Cmd") && !text.contains("StopSignal"), "{text}");
        assert!(text.contains(r#""RestartPolicy":{"Name":"no"}"#), "{text}");
    }
}
