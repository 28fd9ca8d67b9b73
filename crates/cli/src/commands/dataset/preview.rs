use std::{num::NonZeroUsize, path::PathBuf};

use anstyle::{AnsiColor, Style};
use clap::Args;
use llmopt_service::{Preview, PreviewToken, model_context, open_encoder, preview};

use crate::{
    commands::columns::ColumnFlags, config_file::read, context::Context, failure::Failure,
};

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
    /// The longest row that is to be trained on, in tokens [default: what the model takes]
    #[arg(long, value_name = "TOKENS")]
    max_length: Option<NonZeroUsize>,
    /// A file with the chat template's Jinja source [default: the model's own]
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnFlags,
}

pub(super) async fn run(
    context: &mut Context,
    arguments: &PreviewArguments,
) -> Result<(), Failure> {
    let template = arguments.chat_template.as_deref().map(read).transpose()?;
    let store = context.store()?;
    let model = context.resolve(&store, &arguments.base_model).await?;
    let encoder = open_encoder(&model, template.as_deref())?;
    let longest = match arguments.max_length {
        Some(longest) => longest.get(),
        None => model_context(&model)?,
    };
    let (file, options) = (&arguments.file, arguments.columns.options());
    let shown = preview(file, &options, arguments.row, &encoder, Some(longest))?;
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
        for call in &turn.tool_calls {
            let arguments = serde_json::to_string(&call.arguments).unwrap_or_default();
            output.line(format!("  calls {}: {arguments}", call.name))?;
        }
    }
    output.line("")?;
    // What is learnt, and what is too much, where it stands in the text.
    let text: String = shown
        .tokens
        .iter()
        .enumerate()
        .map(|(index, token)| output.paint(style(shown, index, token), &token.text))
        .collect();
    output.line(text)?;
    output.line("")?;
    let rows = shown.tokens.iter().enumerate().map(|(index, token)| {
        let trained = match (token.loss, is_beyond(shown, index)) {
            (_, true) => "too long",
            (true, false) => "yes",
            (false, false) => "",
        };
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
    ))?;
    match shown.max_length {
        Some(longest) if !shown.fits => output.line(format!(
            "the row is longer than {longest} tokens: it is not trained on; shorten it, or allow more with `--max-length`"
        )),
        _ => Ok(()),
    }
}

fn style(shown: &Preview, index: usize, token: &PreviewToken) -> Style {
    let style = Style::new();
    match (token.loss, is_beyond(shown, index)) {
        (_, true) => style.fg_color(Some(AnsiColor::Red.into())).strikethrough(),
        (true, false) => style.fg_color(Some(AnsiColor::Green.into())),
        (false, false) => style.dimmed(),
    }
}

/// Tells whether the token at `index` is one too many.
fn is_beyond(shown: &Preview, index: usize) -> bool {
    shown.max_length.is_some_and(|longest| index >= longest)
}
