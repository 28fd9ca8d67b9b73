use std::path::PathBuf;

use clap::Args;
use llmopt_domain::{EvaluationMetrics, EvaluationSpec};
use llmopt_service::{DatasetSource, EvaluationRequest, Weights, prepare_evaluation};

use crate::{
    commands::columns::ColumnFlags,
    context::Context,
    failure::Failure,
    listener::EvaluationListener,
    output::{Output, count_text},
    trainer::Ended,
};

/// Measures a model on rows it was not trained on: loss, and the share of answers that are exactly right.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt evaluate orders --dataset heldout.jsonl --max-new-tokens 64
  llmopt evaluate distilgpt2 --dataset heldout.jsonl
  llmopt evaluate orders:1 --dataset heldout.jsonl --max-new-tokens 64 --predictions answers.jsonl")]
pub(crate) struct EvaluateArguments {
    /// A model trained here, the folder of a model, or a Hub name
    model: String,
    /// The rows to evaluate on
    #[arg(long, value_name = "FILE")]
    dataset: PathBuf,
    /// Tokens to generate at most for each row; 0 measures the loss only
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    max_new_tokens: u32,
    /// Evaluate only the first so many rows
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Where to write one JSON line for each row, with what was generated
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Evaluate the merged weights in place of base and adapter
    #[arg(long)]
    merged: bool,
    #[command(flatten)]
    columns: ColumnFlags,
}

pub(super) async fn run(
    context: &mut Context,
    arguments: EvaluateArguments,
) -> Result<(), Failure> {
    if arguments.predictions.is_some() && arguments.max_new_tokens == 0 {
        return Err(
            Failure::input("`--predictions` has no effect where nothing is generated")
                .next("add `--max-new-tokens 64`, or leave `--predictions` out"),
        );
    }
    let spec = prepare(context, arguments).await?;
    let trainer = context.trainer()?;
    let file = write_spec(&spec)?;
    let mut listener = EvaluationListener::new(&mut context.output);
    let ended = trainer
        .run(&["evaluate"], file.path(), &mut listener)
        .await?;
    let metrics = listener.metrics;
    drop(listener);
    match (ended, metrics) {
        (Ended::Interrupted, _) => Err(Failure::interrupted(
            "the evaluation was stopped; nothing was kept",
        )),
        (Ended::Done, None) => Err(Failure::failed(
            "the trainer ended without saying what the evaluation gave",
        )),
        (Ended::Done, Some(_)) if context.output.is_json() => Ok(()),
        (Ended::Done, Some(metrics)) => show(&mut context.output, &metrics),
    }
}

async fn prepare(
    context: &Context,
    arguments: EvaluateArguments,
) -> Result<EvaluationSpec, Failure> {
    let store = context.store()?;
    let request = EvaluationRequest {
        model: context.resolve(&store, &arguments.model).await?,
        weights: if arguments.merged {
            Weights::Merged
        } else {
            Weights::AsTrained
        },
        dataset: DatasetSource {
            path: arguments.dataset,
            columns: arguments.columns.map(),
        },
        limit: arguments.limit,
        max_new_tokens: arguments.max_new_tokens,
        predictions: arguments.predictions,
        threads: context.settings.threads,
    };
    Ok(prepare_evaluation(request, &context.jobs(&store))?)
}

fn write_spec(spec: &EvaluationSpec) -> Result<tempfile::NamedTempFile, Failure> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new()?;
        serde_json::to_writer_pretty(&mut file, spec)?;
        Ok(file)
    };
    write().map_err(|error: std::io::Error| {
        Failure::failed(format!("failed to write a temporary file: {error}"))
    })
}

fn show(output: &mut Output, metrics: &EvaluationMetrics) -> Result<(), Failure> {
    let mut facts = vec![
        ("rows", count_text(metrics.rows)),
        ("loss", format!("{:.4} nats per token", metrics.loss)),
        ("perplexity", format!("{:.3}", metrics.perplexity)),
    ];
    if let Some(share) = metrics.exact_match {
        facts.push(("exact match", format!("{share:.3}")));
    }
    output.facts(&facts)
}
