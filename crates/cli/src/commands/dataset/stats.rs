use std::path::PathBuf;

use clap::Args;
use llmopt_dataset::{Lengths, ValidationReport, validate};
use llmopt_service::{TokenStatistics, model_context, open_encoder, token_statistics};

use super::token_report::show_statistics;
use crate::{
    commands::columns::ColumnFlags,
    context::Context,
    failure::Failure,
    output::{Output, count_text},
};

/// Shows how many rows a dataset has and how long they are, in tokens of a model if one is named.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt dataset stats orders.jsonl
  llmopt dataset stats orders.jsonl --base-model distilgpt2 --json")]
pub(crate) struct StatsArguments {
    /// The dataset
    file: PathBuf,
    /// Whose tokenizer to count with: a folder, a published model, or a Hub name
    #[arg(long, value_name = "MODEL")]
    base_model: Option<String>,
    /// Longest row in tokens [default: the model's context]
    #[arg(long, value_name = "TOKENS", requires = "base_model")]
    max_length: Option<usize>,
    #[command(flatten)]
    columns: ColumnFlags,
}

pub(super) async fn run(context: &mut Context, arguments: &StatsArguments) -> Result<(), Failure> {
    let report = validate(&arguments.file, &arguments.columns.options().into())
        .map_err(|error| Failure::input_from(&error))?;
    if report.has_errors() {
        return Err(llmopt_service::ServiceError::Findings {
            report: Box::new(report),
        }
        .into());
    }
    let tokens = count_tokens(context, arguments).await?;
    let output = &mut context.output;
    if output.is_json() {
        return output.json(&serde_json::json!({"report": report, "tokens": tokens}));
    }
    show_characters(output, &report)?;
    match tokens {
        Some(tokens) => show_statistics(output, &tokens),
        None => Ok(()),
    }
}

async fn count_tokens(
    context: &Context,
    arguments: &StatsArguments,
) -> Result<Option<TokenStatistics>, Failure> {
    let Some(name) = &arguments.base_model else {
        return Ok(None);
    };
    let store = context.store()?;
    let model = context.resolve(&store, name).await?;
    let encoder = open_encoder(&model, None)?;
    let longest = model_context(&model)?;
    let longest = arguments
        .max_length
        .map_or(longest, |length| length.min(longest));
    let (file, options) = (&arguments.file, arguments.columns.options());
    Ok(Some(token_statistics(file, &options, &encoder, longest)?))
}

fn show_characters(output: &mut Output, report: &ValidationReport) -> Result<(), Failure> {
    let statistics = &report.statistics;
    output.line(format!(
        "{} rows, {} of them said before",
        count_text(report.rows),
        count_text(statistics.duplicates)
    ))?;
    let row = |name: &str, lengths: &Lengths| {
        let numbers = [lengths.min, lengths.median, lengths.p95, lengths.max];
        let numbers = numbers.map(count_text);
        std::iter::once(name.to_owned()).chain(numbers).collect()
    };
    let rows = vec![
        row("prompt", &statistics.prompt),
        row("response", &statistics.response),
    ];
    output.table(
        &[
            "characters",
            "shortest",
            "median",
            "95 in 100 at most",
            "longest",
        ],
        rows,
    )
}
