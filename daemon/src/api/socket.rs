//! The socket: who may open it is decided by its file, before it can be connected to.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen as nix_listen, socket,
};
use nix::unistd::{Gid, Group, chown};
use tokio::net::UnixListener;

/// Members of this group may use the API beside root.
const GROUP: &str = "stead";
/// Connections that wait to be accepted.
const WAITING: i32 = 128;

/// The API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its socket can't be made.
    #[error("can't {step} the socket {}; nothing is served there", path.display())]
    Socket {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The group [`GROUP`] too, if there is one.
    Group,
    /// The owner, and root.
    Owner,
}

/// Makes the socket in place of one that a former run left. The caller holds the process's lock.
pub(crate) fn listen(path: &Path, access: Access) -> Result<UnixListener, ServeError> {
    // Nobody can connect before `listen`, and nobody sees the name before the mode is right.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let failed =
        |step, source: io::Error| ServeError::Socket { step, path: path.to_owned(), source };
    match fs::remove_file(&new) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("replace", error)),
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .map_err(|error| failed("make", error.into()))?;
    let address = UnixAddr::new(&new).map_err(|error| failed("name", error.into()))?;
    bind(made.as_raw_fd(), &address).map_err(|error| failed("bind", error.into()))?;
    let ready = permit(&new, access)
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| Ok(nix_listen(&made, Backlog::new(WAITING)?)?));
    if let Err(error) = ready {
        // The first error is the one to tell.
        drop(fs::remove_file(&new));
        return Err(failed("open", error));
    }
    let listener = std::os::unix::net::UnixListener::from(made);
    UnixListener::from_std(listener).map_err(|error| failed("serve", error))
}

/// Lets the group in if it may and there is one, else the owner only.
fn permit(path: &Path, access: Access) -> io::Result<()> {
    let group: Option<Gid> = match access {
        Access::Group => Group::from_name(GROUP).ok().flatten().map(|group| group.gid),
        Access::Owner => None,
    };
    let given = group.is_some_and(|gid| chown(path, None, Some(gid)).is_ok());
    fs::set_permissions(path, Permissions::from_mode(if given { 0o660 } else { 0o600 }))
}
