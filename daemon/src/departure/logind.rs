//! systemd-logind: it tells of shutdown and sleep, and waits for who asked it to.
//!
//! The delay lasts until its descriptor is closed, at most `InhibitDelayMaxSec` of logind's own
//! configuration (5 s unless somebody says otherwise; the package says 30 s).

use std::time::Duration;

use futures::StreamExt;
use stead_edge::chain;
use zbus::zvariant::OwnedFd;
use zbus::{Connection, Proxy, proxy};

use super::{Departure, Machine};

/// How long after a failure logind is looked for again.
const RETRY: Duration = Duration::from_secs(30);
/// Who delays, in logind's lists (`systemd-inhibit --list`).
pub const WHO: &str = "stead";
/// How long the bus may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Set by whoever started this process, if it is a manager of services: only then is the machine's
/// end this process's end. A cluster in namespaces has no say in it.
const MANAGED: &str = "NOTIFY_SOCKET";

/// Follows logind, if this process is a service of systemd's.
pub fn start(departure: Departure) {
    if std::env::var_os(MANAGED).is_some() {
        tokio::spawn(follow(departure));
    }
}

async fn follow(departure: Departure) {
    let mut said = String::new();
    loop {
        // Also after logind or the bus have started anew.
        if let Err(error) = watch(&departure).await {
            let text = chain(&error);
            if text != said {
                tracing::info!(
                    "systemd-logind can't be followed, so services move only when systemd stops \
                     the guard: {text}"
                );
                said = text;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// logind's manager.
///
/// # Errors
/// There is no bus, or it does not answer.
pub async fn manager() -> zbus::Result<Proxy<'static>> {
    let bus = tokio::time::timeout(PATIENCE, Connection::system()).await;
    let bus = bus.map_err(|_| zbus::Error::Failure("the bus does not answer".to_owned()))??;
    proxy::Builder::new(&bus)
        .destination("org.freedesktop.login1")?
        .path("/org/freedesktop/login1")?
        .interface("org.freedesktop.login1.Manager")?
        .cache_properties(proxy::CacheProperties::No)
        .build()
        .await
}

/// Has logind wait for this node from now on, until the descriptor is closed.
async fn delay(logind: &Proxy<'_>) -> zbus::Result<OwnedFd> {
    let why = "moves its services to other nodes";
    logind.call("Inhibit", &("shutdown:sleep", WHO, why, "delay")).await
}

async fn watch(departure: &Departure) -> zbus::Result<()> {
    let logind = manager().await?;
    let mut shutdown = logind.receive_signal("PrepareForShutdown").await?;
    let mut sleep = logind.receive_signal("PrepareForSleep").await?;
    let mut held = Some(delay(&logind).await?);
    tracing::info!("systemd-logind waits for this node's services before it shuts down or sleeps");
    // A daemon that starts anew while the machine goes down goes on with it.
    let mut going: bool = logind.get_property("PreparingForShutdown").await.unwrap_or(false);
    departure.machine_goes(going.then_some(Machine::Shutdown));
    loop {
        let (message, machine) = tokio::select! {
            Some(message) = shutdown.next() => (message, Machine::Shutdown),
            Some(message) = sleep.next() => (message, Machine::Sleep),
            () = departure.gone(), if going && held.is_some() => {
                held = None;
                tracing::info!("systemd-logind may go on");
                continue;
            }
            else => {
                departure.machine_goes(None);
                return Ok(());
            }
        };
        going = message.body().deserialize::<bool>()?;
        departure.machine_goes(going.then_some(machine));
        if !going && held.is_none() {
            held = Some(delay(&logind).await?);
        }
    }
}
