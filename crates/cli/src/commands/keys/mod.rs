//! `llmopt keys`: who may ask the server.

mod create;
mod list;
mod revoke;
mod rotate;

use std::time::Duration;

use clap::Subcommand;
use llmopt_domain::ApiKey;
use llmopt_service::IssuedKey;
use serde_json::json;

use crate::{context::Context, failure::Failure, output::note};

/// Makes, lists, rotates and revokes the keys that the server asks for.
///
/// A server on this machine alone is open as long as there is no key. With `LLMOPT_STORE=aws` the keys of the
/// platform in an AWS account are meant.
#[derive(Subcommand, Debug)]
pub(crate) enum KeysCommand {
    Create(create::CreateArguments),
    List(list::ListArguments),
    Rotate(rotate::RotateArguments),
    Revoke(revoke::RevokeArguments),
}

pub(super) async fn run(context: &mut Context, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create(arguments) => create::run(context, arguments).await,
        KeysCommand::List(_) => list::run(context).await,
        KeysCommand::Rotate(arguments) => rotate::run(context, &arguments).await,
        KeysCommand::Revoke(arguments) => revoke::run(context, &arguments).await,
    }
}

/// Shows a key's text, this once.
fn show(context: &mut Context, issued: &IssuedKey) -> Result<(), Failure> {
    let text = issued.text.expose();
    if context.output.is_json() {
        let shown = json!({ "id": issued.key.id, "name": issued.key.name, "key": text });
        return context.output.json(&shown);
    }
    note("keep it: it is shown this once");
    context.output.line(text)
}

fn scopes(key: &ApiKey) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.join(",")
}

fn hours(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3_600)
}
