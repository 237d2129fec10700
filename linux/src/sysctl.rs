//! Settings of one interface: how it answers ARP, whether it forms addresses by itself.
//!
//! What it is for: an interface with a MAC of services must neither answer for this node's other
//! addresses nor speak in their name, and must form none of its own.
//!
//! Happy path: [`read`], and [`write()`] if it is something else. Each [`Setting`] says what its
//! numbers mean.
//!
//! Which network namespace: that of the thread which opens the file, at that moment. The kernel
//! looks `/proc/sys/net` up in the namespace of whoever asks, and not in the one in which /proc was
//! mounted; so a thread that has entered another namespace reads and writes there, and no path by
//! way of a thread's number is needed (there is none).
//!
//! Failures: the error names the file, and nothing was changed. An interface that has gone away is
//! [`SysctlError::not_there`]; so are IPv6's settings where IPv6 was turned off when the kernel
//! started, and all of them where /proc isn't mounted. In many containers /proc/sys is read-only.
//!
//! Deliberately absent: settings of a whole namespace, except that `all` and `default` may stand in
//! the place of an interface's name; setting back what was there before.

use std::fs;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What can be set of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// 0: ARP questions for any address of this machine are answered. 1: only for those that stand
    /// on the interface itself. The larger of `all` and the interface counts.
    ArpIgnore,
    /// 0: ARP questions are asked from any address of this machine. 2: from the best one of the
    /// interface. The larger of `all` and the interface counts.
    ArpAnnounce,
    /// 0: packets may come in by any interface. 1: only by the one by which their sender would be
    /// answered (RFC 3704 2.2, strict). 2: if there is any way to the sender. The larger of `all`
    /// and the interface counts.
    RpFilter,
    /// 1: packets from addresses of this machine itself are taken. `all` alone is enough.
    AcceptLocal,
    /// 1: when the first address of a network goes, the next one takes its place; 0: all addresses
    /// of that network go with it. `all` alone is enough.
    PromoteSecondaries,
    /// 0: no duplicate address detection (RFC 4862 5.4). 1: with it. 2: and IPv6 is turned off on
    /// the interface if its link-local address, formed of the MAC, is taken.
    AcceptDad,
    /// 0: router advertisements are not heeded. 1: unless this machine forwards. 2: always. Where
    /// they are, the interface gets an address of its MAC and a default route, whatever
    /// [`Setting::AddrGenMode`] says; a default route by way of an interface that may not speak
    /// leads nowhere.
    AcceptRa,
    /// How link-local addresses are formed: 0 of the MAC, 1 not at all, 2 of a secret, 3 of a
    /// secret that the kernel draws. Takes effect when the interface is turned on.
    AddrGenMode,
    /// 1: IPv6 addresses without a lifetime stay when the interface is turned off.
    KeepAddrOnDown,
    /// How many router solicitations are sent; -1: without end.
    RouterSolicitations,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ArpIgnore,
        Self::ArpAnnounce,
        Self::RpFilter,
        Self::AcceptLocal,
        Self::PromoteSecondaries,
        Self::AcceptDad,
        Self::AcceptRa,
        Self::AddrGenMode,
        Self::KeepAddrOnDown,
        Self::RouterSolicitations,
    ];

    fn family_and_name(self) -> (&'static str, &'static str) {
        match self {
            Self::ArpIgnore => ("ipv4", "arp_ignore"),
            Self::ArpAnnounce => ("ipv4", "arp_announce"),
            Self::RpFilter => ("ipv4", "rp_filter"),
            Self::AcceptLocal => ("ipv4", "accept_local"),
            Self::PromoteSecondaries => ("ipv4", "promote_secondaries"),
            Self::AcceptDad => ("ipv6", "accept_dad"),
            Self::AcceptRa => ("ipv6", "accept_ra"),
            Self::AddrGenMode => ("ipv6", "addr_gen_mode"),
            Self::KeepAddrOnDown => ("ipv6", "keep_addr_on_down"),
            Self::RouterSolicitations => ("ipv6", "router_solicitations"),
        }
    }

    fn path(self, interface: &str) -> Result<PathBuf, SysctlError> {
        // A name out of a configuration must not lead to another file.
        let leads_away = interface.contains(['/', '\0']) || interface == "." || interface == "..";
        if leads_away || interface.is_empty() {
            return Err(SysctlError::Interface(interface.to_owned()));
        }
        let (family, name) = self.family_and_name();
        let mut path = PathBuf::from("/proc/sys/net");
        path.extend([family, "conf", interface, name]);
        Ok(path)
    }
}

/// Why a setting could not be read or written. Nothing was changed.
#[derive(Debug, Error)]
pub enum SysctlError {
    /// No interface can have that name.
    #[error("{0:?} is no interface's name; nothing was changed")]
    Interface(String),
    /// The file could not be read or written.
    #[error(
        "cannot {action} {path}; nothing was changed; see whether the interface is there and \
         /proc/sys can be written"
    )]
    File {
        /// What was tried, in words that follow "cannot".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The kernel says something that is no number.
    #[error("{path} says {text:?}, which is no number")]
    Value {
        /// The file.
        path: PathBuf,
        /// What stands in it.
        text: String,
    },
}

impl SysctlError {
    /// There is no such interface, or this kernel has no such setting.
    pub fn not_there(&self) -> bool {
        match self {
            Self::File { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Interface(_) | Self::Value { .. } => false,
        }
    }
}

/// What is set, in the network namespace of the calling thread.
///
/// # Errors
/// See [`SysctlError`].
pub fn read(interface: &str, setting: Setting) -> Result<i32, SysctlError> {
    let path = setting.path(interface)?;
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = text.trim_end();
            text.parse().map_err(|_| SysctlError::Value { path, text: text.to_owned() })
        }
        Err(source) => Err(SysctlError::File { action: "read", path, source }),
    }
}

/// Sets it, in the network namespace of the calling thread.
///
/// # Errors
/// See [`SysctlError`]; nothing was changed.
pub fn write(interface: &str, setting: Setting, value: i32) -> Result<(), SysctlError> {
    let path = setting.path(interface)?;
    fs::write(&path, value.to_string()).map_err(|source| SysctlError::File {
        action: "write",
        path,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["", ".", "..", "../all", "a/b", "eth0/../../../../etc", "\0"] {
            let told = read(name, Setting::ArpIgnore);
            assert!(matches!(told, Err(SysctlError::Interface(_))), "{name:?}: {told:?}");
        }
    }
}
