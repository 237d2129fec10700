//! `stead redirect client-config`.

use clap::Args;

use crate::api::message::Request;
use crate::api::redirect::client::ClientAnswer;
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;

/// Print the configuration of `stead client` for this cluster
///
/// It has the cluster's identity, the keys of its members, and where they tell where services are.
/// What shall be done on the client's machine is added there: files, commands, messages.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead redirect client-config > client.toml")]
pub(in crate::cli) struct ClientConfig {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl ClientConfig {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer: ClientAnswer = context.connect()?.ask(&Request::RedirectClient)?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(&text(&answer))?;
        }
        Ok(Exit::Done)
    }
}

/// What is printed where the nodes ask for a token.
const TOKEN: &str = "# What the nodes ask for (`documents-token`); to be copied there, mode 0600.\n\
                     token = \"/etc/stead/client.token\"\n";

fn text(answer: &ClientAnswer) -> String {
    let list = |texts: &[String]| {
        let lines: Vec<_> = texts.iter().map(|text| format!("  {text:?},\n")).collect();
        format!("[\n{}]", lines.concat())
    };
    format!(
        "# For `stead client` on a client's machine.\n\
         cluster = {:?}\n\
         trust = {}\n\
         # The nodes as they reach each other. Does this client reach them elsewhere? Write that.\n\
         watch = {}\n\
         {}\
         state = \"/var/lib/stead-client\"\n\
         services = {:?}\n\
         \n\
         # What is done there when a service moves, for example:\n\
         # [[files]]\n\
         # services = [\"{}\"]\n\
         # template = \"/etc/stead/upstream.conf.j2\"\n\
         # target = \"/etc/nginx/conf.d/upstream.conf\"\n\
         # reload = [\"/usr/sbin/nginx\", \"-s\", \"reload\"]\n",
        answer.cluster,
        list(&answer.trust),
        list(&answer.watch),
        if answer.token { TOKEN } else { "" },
        answer.services,
        answer.services.first().map_or("web", String::as_str),
    )
}
