use std::path::PathBuf;

use anstyle::Style;
use clap::Args;
use llmopt_service::{Preview, open_encoder, preview};

use crate::{config_file::read, context::Context, failure::Failure};

/// Shows a row as a model will see it: its tokens, and which of them carry loss.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt dataset preview orders.jsonl --base-model distilgpt2
  llmopt dataset preview orders.jsonl --base-model ./my-model --row 12 --json")]
pub(crate) struct PreviewArguments {
    /// The dataset
    file: PathBuf,
    /// Whose tokenizer and chat template to use: a folder, a published model, or a Hub name
    #[arg(long, value_name = "MODEL")]
    base_model: String,
    /// The row, counted from 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    row: u64,
    /// A file with the chat template's Jinja source [default: the model's own]
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
}

pub(super) async fn run(
    context: &mut Context,
    arguments: &PreviewArguments,
) -> Result<(), Failure> {
    let template = arguments.chat_template.as_deref().map(read).transpose()?;
    let store = context.store()?;
    let model = context.resolve(&store, &arguments.base_model).await?;
    let encoder = open_encoder(&model, template.as_deref())?;
    let shown = preview(&arguments.file, arguments.row, &encoder)?;
    if context.output.is_json() {
        return context.output.json(&shown);
    }
    show(context, &shown)
}

fn show(context: &mut Context, shown: &Preview) -> Result<(), Failure> {
    let output = &mut context.output;
    for turn in &shown.conversation.messages {
        let role = output.paint(Style::new().bold(), turn.role.as_str());
        output.line(format!("{role}: {}", turn.content))?;
    }
    output.line("")?;
    let rows = shown.tokens.iter().map(|token| {
        let trained = if token.loss { "yes" } else { "" };
        vec![
            token.id.to_string(),
            format!("{:?}", token.text),
            trained.to_owned(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    output.table(&["id", "token", "trained on"], rows)?;
    output.line(format!(
        "row {}: {} tokens, {} of them trained on",
        shown.row,
        shown.tokens.len(),
        shown.trainable_tokens
    ))
}
