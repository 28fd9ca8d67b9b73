use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use llmopt_preparation::{
    Existing, FilesError, LongRows, Manifest, Origin, Padding, PrepareOptions, PreparedFormat,
    Preparing, prepare_training_data, tokenize_dataset,
};
use llmopt_service::{model_context, open_encoder};
use serde_json::json;

use crate::{
    commands::columns::ColumnFlags,
    config_file::read,
    context::Context,
    failure::Failure,
    long_work::{failure, watched},
    output::{Output, count_text},
};

/// Writes a dataset as tokens and labels, in files that other programs train from.
///
/// Each row has `input_ids`, `labels` (-100 where a token carries no loss), `attention_mask` and `row`, its number.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt dataset prepare orders.jsonl --base-model distilgpt2 --output prepared
  llmopt dataset prepare orders.jsonl --base-model distilgpt2 --output orders.parquet --format parquet
  llmopt dataset prepare orders.jsonl --base-model ./my-model --max-length 512 --overlong drop --pad 8

A folder opens with `datasets.load_from_disk(\"prepared\")`, a Parquet file with
`datasets.load_dataset(\"parquet\", data_files=\"orders.parquet\")`.")]
pub(crate) struct PrepareArguments {
    /// The dataset
    file: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    /// Whose tokenizer and chat template to use: a folder, a published model, or a Hub name
    #[arg(long, value_name = "MODEL")]
    base_model: String,
    /// The new folder, or the new file where it ends in `.parquet` [default: a folder in the data
    /// directory, which is found again while nothing has changed]
    #[arg(long, value_name = "DIR|FILE.parquet")]
    output: Option<PathBuf>,
    /// What to write [default: parquet if the output ends so, else arrow]
    #[arg(long)]
    format: Option<FormatName>,
    /// The longest row in tokens [default: what the model takes]
    #[arg(long, value_name = "TOKENS")]
    max_length: Option<NonZeroUsize>,
    /// What to do with longer rows: refuse the dataset, leave them out, or cut their ends off
    #[arg(long, value_enum, default_value = "error")]
    overlong: OverlongName,
    /// Fills rows up: `none`, `max-length`, or a number that lengths are to be a multiple of
    #[arg(long, value_name = "none|max-length|NUMBER", default_value = "none", value_parser = padding)]
    pad: Padding,
    /// A file with the chat template's Jinja source [default: the model's own]
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
    /// Replaces a prepared dataset that is there
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Arrow,
    Parquet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OverlongName {
    Error,
    Drop,
    Truncate,
}

fn padding(text: &str) -> Result<Padding, String> {
    match text {
        "none" => Ok(Padding::None),
        "max-length" => Ok(Padding::MaxLength),
        number => number.parse().map(Padding::Multiple).map_err(|_| {
            "expected `none`, `max-length` or a number of tokens from 1 on, such as `8`".to_owned()
        }),
    }
}

/// What was written, or was there.
struct Written {
    path: PathBuf,
    manifest: Manifest,
    origin: Origin,
}

pub(super) async fn run(
    context: &mut Context,
    arguments: &PrepareArguments,
) -> Result<(), Failure> {
    let template = arguments.chat_template.as_deref().map(read).transpose()?;
    let format = format(arguments)?;
    let store = context.store()?;
    let model = context.resolve(&store, &arguments.base_model).await?;
    let encoder = open_encoder(&model, template.as_deref())?;
    let max_length = match arguments.max_length {
        Some(longest) => Some(longest),
        None => NonZeroUsize::new(model_context(&model)?),
    };
    let options = PrepareOptions {
        max_length,
        overlong: match arguments.overlong {
            OverlongName::Error => LongRows::Error,
            OverlongName::Drop => LongRows::Drop,
            OverlongName::Truncate => LongRows::Truncate,
        },
        padding: arguments.pad,
        format,
    };
    let place = Place::of(arguments, context);
    let read_options = arguments.columns.options();
    let (dataset, threads) = (arguments.file.clone(), threads(context));
    let written = watched("preparing", move |watch| {
        let preparing = Preparing {
            dataset: &dataset,
            read: &read_options,
            encoder: &encoder,
            options,
            threads,
        };
        let mut tell = |progress| watch.tell(progress);
        match place {
            Place::Output(path, existing) => {
                let manifest = tokenize_dataset(&preparing, &path, existing, &mut tell)?;
                let origin = Origin::Made;
                Ok(Written {
                    path,
                    manifest,
                    origin,
                })
            }
            Place::Cache(cache) => {
                let cached = prepare_training_data(&preparing, &cache, &mut tell)?;
                Ok(Written {
                    path: cached.folder,
                    manifest: cached.manifest,
                    origin: cached.origin,
                })
            }
        }
    });
    let written = written.await?.map_err(refused)?;
    if context.output.is_json() {
        return context.output.json(&summary(&written));
    }
    show(&mut context.output, &written)
}

fn refused(error: FilesError) -> Failure {
    let exists = matches!(error, FilesError::Exists { .. });
    let failure = failure(error);
    match exists {
        true => failure.next("name another place, or add `--force`"),
        false => failure,
    }
}

/// Where the files go.
enum Place {
    Output(PathBuf, Existing),
    Cache(PathBuf),
}

impl Place {
    fn of(arguments: &PrepareArguments, context: &Context) -> Self {
        let existing = match arguments.force {
            true => Existing::Replace,
            false => Existing::Keep,
        };
        match &arguments.output {
            Some(output) => Self::Output(output.clone(), existing),
            None => Self::Cache(context.data_dir.join("prepared")),
        }
    }
}

fn threads(context: &Context) -> NonZeroUsize {
    let threads = usize::try_from(context.settings.threads).ok();
    threads
        .and_then(NonZeroUsize::new)
        .unwrap_or(NonZeroUsize::MIN)
}

fn format(arguments: &PrepareArguments) -> Result<PreparedFormat, Failure> {
    let is_file = arguments.output.as_deref().is_some_and(is_parquet);
    match (arguments.format, is_file) {
        (Some(FormatName::Arrow), true) => Err(Failure::input(
            "Arrow is written into a folder, and the output ends in `.parquet`",
        )
        .next("name a folder, or leave `--format` out")),
        (Some(FormatName::Parquet), _) | (None, true) => Ok(PreparedFormat::Parquet),
        (Some(FormatName::Arrow) | None, false) => Ok(PreparedFormat::Arrow),
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "parquet")
}

fn summary(written: &Written) -> serde_json::Value {
    let (origin, damage) = match &written.origin {
        Origin::Made => ("made", None),
        Origin::Found => ("found", None),
        Origin::Remade { damage } => ("remade", Some(damage)),
    };
    json!({
        "path": written.path,
        "origin": origin,
        "damage": damage,
        "summary": written.manifest.summary,
        "inputs": written.manifest.inputs,
        "files": written.manifest.files,
    })
}

fn show(output: &mut Output, written: &Written) -> Result<(), Failure> {
    let summary = &written.manifest.summary;
    if let Origin::Remade { damage } = &written.origin {
        output.line(format!(
            "what was there is damaged and was made anew: {damage}"
        ))?;
    }
    let there = match written.origin {
        Origin::Found => "are there already",
        Origin::Made | Origin::Remade { .. } => "were written",
    };
    output.line(format!(
        "{} rows {there} in `{}`: {} tokens, {} of them trained on, {} of padding beside them",
        count_text(summary.rows),
        written.path.display(),
        count_text(summary.tokens),
        count_text(summary.trainable_tokens),
        count_text(summary.padding_tokens),
    ))?;
    let longest = written.manifest.inputs.options.max_length;
    let longest = longest.map_or(0, NonZeroUsize::get);
    for (rows, became) in [
        (summary.dropped_rows, "left out"),
        (summary.truncated_rows, "cut off there"),
        (
            summary.emptied_rows,
            "left out, as no response begins before that",
        ),
    ] {
        if rows > 0 {
            let rows = count_text(rows);
            output.line(format!(
                "rows longer than {longest} tokens that were {became}: {rows}"
            ))?;
        }
    }
    Ok(())
}
