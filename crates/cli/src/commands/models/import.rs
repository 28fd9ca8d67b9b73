use clap::Args;
use llmopt_domain::ModelName;
use llmopt_service::ServiceError;
use llmopt_storage::StorageError;

use crate::{context::Context, failure::Failure};

/// Copies a base model into the data directory, or with LLMOPT_STORE=aws into the bucket, where `base:NAME` names it for training and serving.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt models import distilgpt2
  llmopt models import bases/tiny --name tiny
  llmopt train --base-model base:tiny --dataset orders.jsonl --name orders")]
pub(crate) struct ImportArguments {
    /// A folder in Hugging Face layout with weights as safetensors, or a Hub name
    model: String,
    /// The name to keep it under [default: the last part of the folder's or the Hub's]
    #[arg(long)]
    name: Option<ModelName>,
}

pub(super) async fn run(context: &mut Context, arguments: &ImportArguments) -> Result<(), Failure> {
    let store = context.any_store().await?;
    let found = context.resolve(&*store, &arguments.model).await?;
    let name = arguments.name.clone().unwrap_or(found.short_name);
    let imported = context.models(&*store).import(&found.path, &name).await;
    let base = imported.map_err(|error| match error {
        ServiceError::Storage(StorageError::AlreadyExists { .. }) => {
            Failure::input(format!("there is a base `base:{name}` already"))
                .next("choose another `--name`")
        }
        error => error.into(),
    })?;
    if context.output.is_json() {
        let imported = serde_json::json!({ "id": base.name, "path": base.path });
        return context.output.json(&imported);
    }
    context.output.line(format!("imported `{}`", base.name))?;
    context.output.line(format!(
        "next: llmopt train --base-model {} --dataset FILE --name NAME",
        base.name
    ))
}
