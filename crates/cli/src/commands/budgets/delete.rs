use axum::http::Method;
use clap::Args;
use serde_json::json;

use super::super::usage::encoded;
use crate::{context::Context, failure::Failure, platform_client::ServerFlags};

/// Takes the budget of a scope away, which may spend anything then.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt budgets delete provider/openai")]
pub(crate) struct DeleteArguments {
    /// Whose, as `llmopt budgets list` shows it
    scope: String,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn run(context: &mut Context, arguments: &DeleteArguments) -> Result<(), Failure> {
    let client = arguments.server.client(context).await?;
    let path = format!("/commercial/budgets/{}", encoded(&arguments.scope));
    let reply = client.send(Method::DELETE, &path, None).await?;
    reply.succeeded().await?;
    if context.output.is_json() {
        return context.output.json(&json!({ "deleted": arguments.scope }));
    }
    context.output.line(format!(
        "`{}` has no budget any more: it may spend anything that others allow",
        arguments.scope
    ))
}
