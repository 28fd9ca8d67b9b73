use clap::Args;
use serde_json::json;

use crate::{context::Context, failure::Failure};

/// Ends a key: servers that know it take it for 5 seconds more at most.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt keys revoke AbCdEfGhIjKl")]
pub(crate) struct RevokeArguments {
    /// The key's id, as `llmopt keys list` shows it
    id: String,
}

pub(super) async fn run(context: &mut Context, arguments: &RevokeArguments) -> Result<(), Failure> {
    let key = context.keys().await?.revoke(&arguments.id).await?;
    if context.output.is_json() {
        return context.output.json(&json!({ "revoked": key.id }));
    }
    context
        .output
        .line(format!("revoked `{}` ({})", key.id, key.name))
}
