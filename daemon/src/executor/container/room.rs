//! The control group below which a container runs: one of ours, that stays while containers come
//! and go, and that can be sealed.

use stead_edge::chain;

use super::super::drop_in;
use super::super::systemd::Systemd;
use super::api::Info;
use crate::agent::cgroup::Group;

/// Below this slice engines put containers of which nothing is said.
const ABOVE: &str = "system.slice";

/// Where it is, for each of the two ways in which engines have groups made.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// The kernel's path of it, where the engine makes groups itself.
    path: String,
    /// The slice, where it has systemd make them; why there can be none, in words.
    slice: Result<String, String>,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Nor will there be.
    Ever(String),
    Now(String),
}

impl Room {
    pub(super) fn of(instance: &str) -> Self {
        let slice = drop_in::slice_for(instance, ABOVE);
        // Not below the daemon's own group: that has processes, so nothing in it could have limits.
        // And not with a name of which it tidies away what looks left: this one has to stay sealed.
        Self { path: format!("/stead.{instance}"), slice }
    }

    /// Those of both ways that are there.
    pub(super) fn groups(&self) -> Vec<Group> {
        let of_slice = self.slice.iter().map(|slice| format!("/{ABOVE}/{slice}"));
        let paths = of_slice.chain([self.path.clone()]);
        let groups = paths.filter_map(|path| Group::of_path(&path));
        groups.filter(|group| group.folder().exists()).collect()
    }

    /// Whether anything runs in them; who can't see must not say that nothing does.
    pub(super) fn is_populated(&self) -> bool {
        self.groups().iter().any(|group| group.is_populated().unwrap_or(true))
    }

    /// Has it made for that engine. Says what the engine calls it as well.
    pub(super) async fn make(&self, info: &Info) -> Result<(String, Group), NoRoom> {
        if matches!(&*info.cgroup_version, "1" | "v1") {
            return Err(NoRoom::Ever(
                "the container engine works with version 1 of control groups, in which a container \
                 can't be frozen and killed as a whole, so nothing would end it with the node's \
                 lease: boot with  systemd.unified_cgroup_hierarchy=1"
                    .to_owned(),
            ));
        }
        let (name, group) = match &*info.cgroup_driver {
            "systemd" => {
                let slice = self.slice.clone().map_err(NoRoom::Ever)?;
                let group = of_slice(&slice).await?;
                (slice, group)
            }
            "cgroupfs" => {
                let made = Group::made(&self.path).map_err(|error| {
                    NoRoom::Now(format!("its control group can't be made: {error}"))
                })?;
                (self.path.clone(), made)
            }
            other => {
                let reason = format!("the container engine has control groups made by `{other}`");
                return Err(NoRoom::Ever(format!("{reason}, which stead does not know")));
            }
        };
        match group.filter(Group::can_be_sealed) {
            Some(group) => Ok((name, group)),
            None => Err(NoRoom::Ever(
                "its control group can't be frozen and killed as a whole (that takes version 2 and \
                 Linux 5.14), so nothing would end it with the node's lease"
                    .to_owned(),
            )),
        }
    }

    /// Takes it away. Nothing may run in it.
    pub(super) async fn unmake(&self, group: &Group) -> Result<(), String> {
        let is_path =
            Group::of_path(&self.path).is_some_and(|ours| ours.folder() == group.folder());
        if is_path {
            return group.remove().map_err(|error| error.to_string());
        }
        let slice = self.slice.clone()?;
        let systemd = Systemd::connect().await.map_err(|error| chain(&error))?;
        systemd.job("StopUnit", &slice).await.map(drop).map_err(|error| chain(&error))
    }
}

async fn of_slice(slice: &str) -> Result<Option<Group>, NoRoom> {
    let failed = |error: zbus::Error| NoRoom::Now(format!("{slice}: {}", chain(&error)));
    let systemd = Systemd::connect().await.map_err(failed)?;
    match systemd.job("StartUnit", slice).await {
        Ok(result) if result == "done" => {}
        Ok(result) => return Err(NoRoom::Now(format!("{slice} is not there: {result}"))),
        Err(error) => return Err(failed(error)),
    }
    let path = systemd.group_of_slice(slice).await.map_err(failed)?;
    Ok(Some(path).filter(|path| !path.is_empty()).and_then(|path| Group::of_path(&path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_whose_groups_cannot_be_sealed_is_refused_with_the_reason() {
        let room = Room::of("web.front");
        let no = async |driver: &str, version: &str| {
            let (driver, version) = (driver.to_owned(), version.to_owned());
            let info = Info { cgroup_driver: driver, cgroup_version: version };
            match room.make(&info).await {
                Err(NoRoom::Ever(reason)) => reason,
                other => panic!("{other:?}"),
            }
        };
        assert!(no("cgroupfs", "1").await.contains("works with version 1"));
        assert!(no("none", "2").await.contains("made by `none`"));
        let long = Room::of(&format!("{}.{}", "a-".repeat(31), "b-".repeat(31)));
        let told = long.make(&Info { cgroup_driver: "systemd".into(), ..Info::default() }).await;
        assert!(matches!(told, Err(NoRoom::Ever(reason)) if reason.contains("too long")));
    }
}
