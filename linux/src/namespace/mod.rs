//! Network, user and process namespaces: the rooms in which hosts of a test bed live.
//!
//! A [`NetNs`] is held by an open file descriptor, so it needs no name under /run and vanishes with
//! its last holder, whatever way that one ends. Happy path: [`NetNs::create`], then
//! [`NetNs::netlink`] to furnish it, [`NetNs::run`] or [`NetNs::spawn_thread`] to act inside,
//! [`ChildSetup`] to start programs inside. [`ProcessTree`] puts programs into a process namespace
//! that dies as a whole with us. An ordinary user calls [`enter_user_namespace`] first, at the very
//! start of the program, and is root from there on, inside.
//!
//! Failures: every call says which step failed and with which errno. `run` starts a thread; a panic
//! of the closure goes on in the caller.
//!
//! Deliberately absent: changing the namespace of the calling thread and back again. A thread that
//! fails to come back would act in the wrong network; a thread of its own cannot.

mod child;
mod tree;
mod user;

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::netlink::{Monitor, Netlink, NetlinkError};

pub use child::{ChildSetup, mounts_for_us_only, mounts_of_own, proc_of_own};
pub use tree::ProcessTree;
pub use user::{UserNamespaceRefused, enter_user_namespace, user_namespaces_permitted};

/// Failure of a namespace call. Nothing outlives a failed call.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// A system call said no.
    #[error("cannot {action}: {errno}")]
    System {
        /// What was tried, in words that follow "cannot".
        action: String,
        /// The kernel's reason.
        #[source]
        errno: Errno,
    },
    /// A file could not be opened, read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried, in words that follow "cannot".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start a thread for the namespace")]
    Thread(#[source] io::Error),
    /// The netlink socket inside failed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

pub(crate) fn system(action: &str) -> impl Fn(Errno) -> NamespaceError + '_ {
    move |errno| NamespaceError::System { action: action.to_owned(), errno }
}

fn file<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> NamespaceError + use<'a> {
    move |source| NamespaceError::File { action, path: path.to_owned(), source }
}

/// A network namespace, held open. Cheap to clone; the last clone to go lets go of it.
#[derive(Debug, Clone)]
pub struct NetNs {
    held: Arc<OwnedFd>,
    inode: u64,
}

impl NetNs {
    /// Makes a new, empty network namespace (its loopback is down) and turns its loopback on.
    /// The calling thread stays where it is.
    pub fn create() -> Result<NetNs, NamespaceError> {
        let made = thread::scope(|scope| {
            let helper = thread::Builder::new().name("new-netns".to_owned());
            let helper = helper
                .spawn_scoped(scope, || {
                    unshare(CloneFlags::CLONE_NEWNET)
                        .map_err(system("make a network namespace"))?;
                    NetNs::current()
                })
                .map_err(NamespaceError::Thread)?;
            helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        made.loopback_up()?;
        Ok(made)
    }

    /// The network namespace of the calling thread.
    pub fn current() -> Result<NetNs, NamespaceError> {
        NetNs::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace bound at a path, such as /run/netns/NAME or /proc/PID/ns/net.
    pub fn open(path: &Path) -> Result<NetNs, NamespaceError> {
        let opened = fs::File::open(path).map_err(file("open", path))?;
        let inode = opened.metadata().map_err(file("inspect", path))?.ino();
        Ok(NetNs { held: Arc::new(OwnedFd::from(opened)), inode })
    }

    /// The kernel's number of this namespace, unique while it exists.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Moves the calling thread into the namespace, for good.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        setns(&*self.held, CloneFlags::CLONE_NEWNET).map_err(system("enter a network namespace"))
    }

    /// Runs a closure in a thread inside the namespace and waits for it.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        thread::scope(|scope| {
            let inside = thread::Builder::new().name("in-netns".to_owned());
            let inside = inside
                .spawn_scoped(scope, || self.enter().map(|()| act()))
                .map_err(NamespaceError::Thread)?;
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a named thread inside the namespace that lives on its own.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        name: &str,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T, NamespaceError>>, NamespaceError> {
        let namespace = self.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || namespace.enter().map(|()| act()))
            .map_err(NamespaceError::Thread)
    }

    /// A netlink socket that belongs to this namespace; usable from any thread.
    pub fn netlink(&self) -> Result<Netlink, NamespaceError> {
        Ok(self.run(Netlink::open)??)
    }

    /// A socket that is told of this namespace's changes; usable from any thread.
    pub fn monitor(&self) -> Result<Monitor, NamespaceError> {
        Ok(self.run(Monitor::open)??)
    }

    /// Turns the loopback interface on.
    pub fn loopback_up(&self) -> Result<(), NamespaceError> {
        let mut netlink = self.netlink()?;
        let index = netlink.link_named("lo")?.index;
        Ok(netlink.set_up(index)?)
    }

    /// Writes a network setting of this namespace; `name` as under /proc/sys, for example
    /// `net/ipv4/ip_forward`. /proc/sys/net shows the namespace of the thread that opens it.
    pub fn write_sysctl(&self, name: &str, value: &str) -> Result<(), NamespaceError> {
        let path = Path::new("/proc/sys").join(name);
        self.run(|| fs::write(&path, value))?.map_err(file("write", &path))
    }

    /// Reads a network setting of this namespace, without the line's end.
    pub fn read_sysctl(&self, name: &str) -> Result<String, NamespaceError> {
        let path = Path::new("/proc/sys").join(name);
        let text = self.run(|| fs::read_to_string(&path))?.map_err(file("read", &path))?;
        Ok(text.trim_end().to_owned())
    }

    /// Processes whose first thread is in this namespace, by their number in our own process
    /// namespace. What must not be looked into (another user's process) is not listed.
    pub fn processes(&self) -> Result<Vec<i32>, NamespaceError> {
        let proc = Path::new("/proc");
        let mut inside = Vec::new();
        for entry in fs::read_dir(proc).map_err(file("list", proc))? {
            let entry = entry.map_err(file("list", proc))?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // a process that has just ended, or is a zombie, has no namespace any more
            let net = fs::metadata(entry.path().join("ns/net"));
            if net.is_ok_and(|net| net.ino() == self.inode) {
                inside.push(pid);
            }
        }
        Ok(inside)
    }

    /// Binds the namespace to a file so that it outlives us (as `ip netns add` does). The file is
    /// created. Undone by unmounting and removing it.
    pub fn bind_to(&self, path: &Path) -> Result<(), NamespaceError> {
        fs::File::create_new(path).map_err(file("create", path))?;
        self.run(|| {
            let us = Path::new("/proc/thread-self/ns/net");
            mount(Some(us), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        })?
        .map_err(|errno| {
            // an empty file would look like a namespace to other tools
            let _ = fs::remove_file(path);
            system("bind a network namespace to a file")(errno)
        })
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}
