//! The one thread that starts all programs of a bed.
//!
//! Two properties of Linux make it needed. The process namespace of future children belongs to the
//! thread that starts them; and where there is no such namespace, the kernel's promise to kill a
//! child with its parent is bound to the parent's *thread*.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use stead_linux::namespace::{ChildSetup, NetNs, ProcessTree};

use crate::error::{LabError, Step};

struct Order {
    command: Command,
    network: NetNs,
    answer: Sender<io::Result<Child>>,
}

/// Starts programs; ends them all when it goes.
pub(crate) struct Launcher {
    orders: Mutex<Option<Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<Option<ProcessTree>>>>,
    contained: bool,
    /// Every program that was started: a process namespace ends only when all are collected.
    children: Mutex<Vec<Arc<Mutex<Child>>>>,
}

/// A lock whose holder panicked guards nothing but plain data here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Launcher {
    pub(crate) fn new(bed: &str) -> Result<Launcher, LabError> {
        // in a sandbox that forbids a /proc of its own, programs would see foreign numbers: there
        // they live in our process namespace and only the kernel's parent-death signal binds them
        let tree = ProcessTree::create().ok().filter(ProcessTree::own_proc);
        let contained = tree.is_some();
        let (orders, inbox) = channel();
        let (ready, told) = channel();
        let body = move || {
            let adopted = match &tree {
                Some(tree) => tree.adopt_children_of_this_thread(),
                None => Ok(()),
            };
            let usable = adopted.is_ok();
            let _ = ready.send(adopted);
            if usable {
                serve(&inbox, contained);
            }
            tree
        };
        let thread = thread::Builder::new().name(format!("{bed}-launch")).spawn(body);
        let thread = thread.step(|| "cannot start the launcher's thread".to_owned())?;
        told.recv()
            .map_err(io::Error::other)
            .step(|| "the launcher's thread ended".to_owned())?
            .step(|| "cannot enter the bed's process namespace".to_owned())?;
        let (orders, thread) = (Mutex::new(Some(orders)), Mutex::new(Some(thread)));
        Ok(Launcher { orders, thread, contained, children: Mutex::default() })
    }

    /// The programs live in a process namespace of their own.
    pub(crate) fn contained(&self) -> bool {
        self.contained
    }

    /// Starts a program in a network namespace, in a session of its own.
    pub(crate) fn start(&self, command: Command, network: NetNs) -> io::Result<Arc<Mutex<Child>>> {
        let (answer, result) = channel();
        let order = Order { command, network, answer };
        let sent = lock(&self.orders).as_ref().map(|orders| orders.send(order).is_ok());
        if sent != Some(true) {
            return Err(io::Error::other("the bed has ended"));
        }
        let child = Arc::new(Mutex::new(result.recv().map_err(io::Error::other)??));
        lock(&self.children).push(Arc::clone(&child));
        Ok(child)
    }

    /// Ends the thread and every program.
    pub(crate) fn end(&self) {
        let tree = self.release();
        if let Some(tree) = &tree {
            tree.kill();
        }
        for child in lock(&self.children).drain(..) {
            let mut child = lock(&child);
            // whoever has ended already is only collected
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends the thread and hands out the process namespace with all programs in it.
    pub(crate) fn release(&self) -> Option<ProcessTree> {
        lock(&self.orders).take();
        let thread = lock(&self.thread).take()?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(inbox: &Receiver<Order>, contained: bool) {
    for Order { mut command, network, answer } in inbox {
        let setup = ChildSetup {
            network: Some(network),
            session: true,
            dies_with_thread: !contained,
            own_proc: contained,
        };
        setup.apply(&mut command);
        let _ = answer.send(command.spawn());
    }
}
