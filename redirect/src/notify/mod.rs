//! Messages to people and to programs: a program that is run, a webhook, a mail.
//!
//! # What it is for
//! What has to be known by somebody who is not looking: a file on a client that could not be
//! written, a service that moved. One [`Notifier`] with all its [`Way`]s, for the client's agent
//! and for the alerts of a cluster alike.
//!
//! # Happy path
//! ```text
//! send(Message) ─▶ a queue for each way ─▶ tried ─▶ said: once, in order
//!                                            │ ▲
//!                                            ▼ │ pauses that grow, within bounds
//!                                          failed ─▶ given up: an event, and counted
//! ```
//! [`Notifier::send`] returns at once. Each way has a task and a queue of its own, so that a mail
//! server that hangs holds up no webhook.
//!
//! # Failures
//! A message that fails is tried again ([`Retries`]), and those behind it wait, for their order
//! tells a story. After its last attempt it is given up, which is told as an event and counted in
//! [`Notifier::state`]. Where more wait than there is room for, the oldest that is not being tried
//! is dropped: what is new counts more. A message may arrive twice, if an answer was lost: it says
//! its [`Message::id`], by which its reader knows it again.
//!
//! # Deliberately absent
//! A queue on disk: after a restart the state is looked at anew, and what is wrong is said then.
//! Deciding what is worth saying.

#[cfg(test)]
mod fuzz;
mod mail;
mod message;
mod program;
mod queue;
mod way;
mod webhook;

pub use mail::{Mail, MailError, Tls};
pub use message::Message;
pub use queue::{Notifier, Retries, WayState};
pub use way::{NotifyError, Way, WayError, WaySettings};
pub use webhook::{Webhook, WebhookError};
