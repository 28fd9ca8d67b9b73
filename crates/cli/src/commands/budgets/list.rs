use clap::Args;
use serde_json::Value;

use super::{super::usage::encoded, show};
use crate::{context::Context, failure::Failure, platform_client::ServerFlags};

/// Lists the budgets, and how each limit stands now.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt budgets list
  llmopt budgets list --json
  llmopt budgets list --url https://llmopt.example.com --key-file admin.key")]
pub(crate) struct ListArguments {
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn run(context: &mut Context, arguments: &ListArguments) -> Result<(), Failure> {
    let client = arguments.server.client(context).await?;
    let mut budgets: Vec<Value> = Vec::new();
    let mut path = "/commercial/budgets?limit=100".to_owned();
    loop {
        let page = client.get(&path).await?.succeeded().await?.json().await?;
        budgets.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/commercial/budgets?limit=100&cursor={}", encoded(next)),
            None => break,
        }
    }
    if context.output.is_json() {
        return context.output.json(&budgets);
    }
    if budgets.is_empty() {
        return context.output.line(
            "no budgets: anything may be spent; make one with `llmopt budgets set all --daily 5`",
        );
    }
    show(&mut context.output, &budgets)
}
