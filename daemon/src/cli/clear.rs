//! `stead clear`.

use clap::Args;

use super::context::Context;
use super::exit::Exit;
use crate::api::message::{ChangeAnswer, Request};

/// Forget how often services failed, once the reason is mended.
///
/// A service prefers nodes on which it failed less often.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead clear web\n  stead clear")]
pub(super) struct Clear {
    /// The service; if not given, all
    service: Option<String>,
}

impl Clear {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let of = self.service.clone().map_or("all services".to_owned(), |it| it);
        let _done: ChangeAnswer = context.ask(&Request::Clear { service: self.service })?;
        println!("The failures of {of} are forgotten.");
        Ok(Exit::Done)
    }
}
