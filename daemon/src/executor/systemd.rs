//! systemd over D-Bus: its units, its jobs, and the signals by which it tells of both.
//!
//! Only what is documented as stable (org.freedesktop.systemd1(5)). Nobody waits here for ever: who
//! calls has a time for the whole of what he does.

use std::collections::HashMap;

use futures::StreamExt;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, Message, Proxy, proxy};

const DESTINATION: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const SLICE: &str = "org.freedesktop.systemd1.Slice";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// All properties of one interface, by their names.
type Values = HashMap<String, OwnedValue>;

/// A connection to it.
#[derive(Clone, Debug)]
pub(super) struct Systemd {
    bus: Connection,
    manager: Proxy<'static>,
}

/// Where a unit is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    /// `active`, `inactive`, `failed`, ...
    pub(super) active: String,
    /// The same in the words of its kind: `running`, `exited`, ...
    pub(super) sub: String,
}

impl At {
    /// It is there and may be used.
    pub(super) fn works(&self) -> bool {
        matches!(&*self.active, "active" | "reloading" | "refreshing")
    }

    /// Something of it may be there.
    pub(super) fn is_there(&self) -> bool {
        !matches!(&*self.active, "inactive" | "failed")
    }

    /// It is there without a process.
    pub(super) fn has_exited(&self) -> bool {
        self.active == "active" && self.sub == "exited"
    }
}

/// What systemd says of a unit of kind service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) at: At,
    /// `loaded`, `not-found`, `masked`, ...
    pub(super) load: String,
    /// Why it is not loaded.
    pub(super) load_error: String,
    /// `enabled`, `disabled`, `static`, ...
    pub(super) file: String,
    /// Its files are newer than what systemd has read.
    pub(super) needs_reload: bool,
    pub(super) slice: String,
    /// The kernel's path of its control group; empty if it has none now.
    pub(super) group: String,
    /// Whether systemd starts it again when it ends.
    pub(super) restart: String,
    /// How it ended: `success`, `exit-code`, `signal`, `timeout`, ...
    pub(super) result: String,
    /// What it says itself of how it is (sd_notify).
    pub(super) status: String,
    /// How its main process ended: 1 by itself, 2 and 3 by a signal.
    pub(super) code: i32,
    /// With that status or signal.
    pub(super) number: i32,
    /// This run of it, in the journal.
    pub(super) run: String,
}

impl Shown {
    /// What is missing or of another type counts as empty.
    fn of(unit: &Values, service: &Values) -> Self {
        let text = |of: &Values, name: &str| match of.get(name).map(|value| &**value) {
            Some(Value::Str(text)) => text.as_str().to_owned(),
            _ => String::new(),
        };
        let number = |name: &str| match service.get(name).map(|value| &**value) {
            Some(Value::I32(number)) => *number,
            _ => 0,
        };
        let run = match unit.get("InvocationID").map(|value| &**value) {
            Some(Value::Array(bytes)) => bytes
                .iter()
                .filter_map(|byte| if let Value::U8(byte) = byte { Some(byte) } else { None })
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            _ => String::new(),
        };
        let load_error = match unit.get("LoadError").map(|value| &**value) {
            Some(Value::Structure(error)) => match error.fields() {
                [_, Value::Str(message)] => message.as_str().to_owned(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        let needs_reload = unit.get("NeedDaemonReload").map(|value| &**value);
        Self {
            at: At { active: text(unit, "ActiveState"), sub: text(unit, "SubState") },
            load: text(unit, "LoadState"),
            load_error,
            file: text(unit, "UnitFileState"),
            needs_reload: needs_reload == Some(&Value::Bool(true)),
            slice: text(service, "Slice"),
            group: text(service, "ControlGroup"),
            restart: text(service, "Restart"),
            result: text(service, "Result"),
            status: text(service, "StatusText"),
            code: number("ExecMainCode"),
            number: number("ExecMainStatus"),
            run,
        }
    }
}

/// A unit that was changed: what of its place changed.
pub(super) fn changed(message: &Message) -> Option<(Option<String>, Option<String>)> {
    let body = message.body();
    let (interface, values, _): (String, HashMap<String, Value<'_>>, Vec<String>) =
        body.deserialize().ok()?;
    let text = |name: &str| match values.get(name) {
        Some(Value::Str(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    (interface == UNIT).then(|| (text("ActiveState"), text("SubState")))
}

impl Systemd {
    /// Connects, and has signals sent.
    pub(super) async fn connect() -> zbus::Result<Self> {
        let bus = Connection::system().await?;
        let manager = proxy(&bus, PATH.try_into()?, MANAGER).await?;
        let _: () = manager.call("Subscribe", &()).await?;
        Ok(Self { bus, manager })
    }

    /// Where the bus has a unit, which is loaded for it.
    async fn path(&self, unit: &str) -> zbus::Result<OwnedObjectPath> {
        self.manager.call("LoadUnit", &(unit)).await
    }

    /// What it says of a service.
    pub(super) async fn show(&self, unit: &str) -> zbus::Result<Shown> {
        let path = self.path(unit).await?;
        let properties = proxy(&self.bus, path, PROPERTIES).await?;
        let of_unit: Values = properties.call("GetAll", &(UNIT)).await?;
        let of_service: Values = properties.call("GetAll", &(SERVICE)).await?;
        Ok(Shown::of(&of_unit, &of_service))
    }

    /// The kernel's path of a slice's control group; empty if it is not active.
    pub(super) async fn group_of_slice(&self, slice: &str) -> zbus::Result<String> {
        let path = self.path(slice).await?;
        let properties = proxy(&self.bus, path, PROPERTIES).await?;
        let value: OwnedValue = properties.call("Get", &(SLICE, "ControlGroup")).await?;
        Ok(String::try_from(value)?)
    }

    /// Asks for a job (`StartUnit`, `StopUnit`), in the place of one that is under way, and waits
    /// for its end: `done`, `failed`, `timeout`, ...
    pub(super) async fn job(&self, method: &str, unit: &str) -> zbus::Result<String> {
        // First, or the end could be missed.
        let mut ends = self.manager.receive_signal("JobRemoved").await?;
        let job: OwnedObjectPath = self.manager.call(method, &(unit, "replace")).await?;
        while let Some(end) = ends.next().await {
            let body = end.body();
            let (_, ended, _, result): (u32, OwnedObjectPath, String, String) =
                body.deserialize()?;
            if ended == job {
                return Ok(result);
            }
        }
        Err(zbus::Error::Failure("the connection to systemd broke".to_owned()))
    }

    /// Has it read all files of units again.
    pub(super) async fn reload(&self) -> zbus::Result<()> {
        self.manager.call("Reload", &()).await
    }

    /// Forgets that a unit failed, and how often it was started.
    pub(super) async fn reset(&self, unit: &str) -> zbus::Result<()> {
        self.manager.call("ResetFailedUnit", &(unit)).await
    }

    /// Tells of a unit's changes.
    pub(super) async fn changes(&self, unit: &str) -> zbus::Result<proxy::SignalStream<'static>> {
        let path = self.path(unit).await?;
        let properties = proxy(&self.bus, path, PROPERTIES).await?;
        properties.receive_signal("PropertiesChanged").await
    }
}

async fn proxy(
    bus: &Connection,
    path: OwnedObjectPath,
    interface: &'static str,
) -> zbus::Result<Proxy<'static>> {
    proxy::Builder::new(bus)
        .destination(DESTINATION)?
        .path(path)?
        .interface(interface)?
        .cache_properties(proxy::CacheProperties::No)
        .build()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(all: &[(&str, Value<'_>)]) -> Values {
        let owned = |value: &Value<'_>| value.try_to_owned().expect("no descriptor");
        all.iter().map(|(name, value)| ((*name).to_owned(), owned(value))).collect()
    }

    #[test]
    fn what_is_told_is_read_and_what_is_not_as_it_should_be_is_empty() {
        let unit = values(&[
            ("ActiveState", "failed".into()),
            ("SubState", "failed".into()),
            ("LoadState", "loaded".into()),
            ("LoadError", Value::from(("org.x.NoSuchUnit", "Unit x.service not found."))),
            ("NeedDaemonReload", true.into()),
            ("InvocationID", vec![0u8, 171].into()),
        ]);
        let service = values(&[
            ("Slice", "system.slice".into()),
            ("Result", "exit-code".into()),
            ("ExecMainCode", 1i32.into()),
            ("ExecMainStatus", 3i32.into()),
        ]);
        let shown = Shown::of(&unit, &service);
        assert!(!shown.at.works() && !shown.at.is_there() && shown.needs_reload);
        assert_eq!((&*shown.slice, &*shown.result), ("system.slice", "exit-code"));
        assert_eq!((shown.code, shown.number, &*shown.run), (1, 3, "00ab"));
        assert_eq!(shown.load_error, "Unit x.service not found.");
        let odd = values(&[
            ("ActiveState", 7u32.into()),
            ("LoadError", "x".into()),
            ("NeedDaemonReload", "true".into()),
            ("InvocationID", vec!["x"].into()),
            ("ExecMainCode", "1".into()),
        ]);
        assert_eq!(Shown::of(&odd, &odd), Shown::default());
        assert!(Shown::default().at.is_there(), "nobody knows");
    }

    #[test]
    fn a_change_is_read_and_another_message_is_none() {
        let about = |interface: &str, body: HashMap<&str, Value<'_>>| {
            let message = Message::signal(PATH, PROPERTIES, "PropertiesChanged").expect("valid");
            let invalidated: Vec<String> = Vec::new();
            changed(&message.build(&(interface, body, invalidated)).expect("built"))
        };
        let text = |word: &str| Some(word.to_owned());
        let state = || HashMap::from([("ActiveState", Value::from("active"))]);
        assert_eq!(about(UNIT, state()), Some((text("active"), None)));
        assert_eq!(about(SERVICE, state()), None);
        let odd = HashMap::from([("ActiveState", Value::from(7u8)), ("SubState", "x".into())]);
        assert_eq!(about(UNIT, odd), Some((None, text("x"))));
        let message = Message::signal(PATH, PROPERTIES, "PropertiesChanged").expect("valid");
        assert_eq!(changed(&message.build(&(7u8)).expect("built")), None);
    }
}
