use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use llmopt_service::{DatasetSource, InitRequest, ModelSizes, init_model};

use crate::{
    commands::columns::ColumnFlags, config_file::read, context::Context, failure::Failure,
    output::count_text,
};

/// Makes a small GPT-2 with random weights, and a tokenizer trained on datasets: a base to learn from
/// nothing, where no network is.
#[derive(Args, Debug)]
#[command(after_help = "\
The file of --config is a JSON object such as
  {\"vocab_size\": 2048, \"n_positions\": 256, \"n_embd\": 128, \"n_layer\": 4, \"n_head\": 4, \"seed\": 1}

Examples:
  llmopt models init --dataset orders.jsonl --config model.json --output bases/tiny
  llmopt models init --dataset a.jsonl --dataset b.csv --config model.json --output bases/tiny
  llmopt models init --dataset fragen.csv --columns prompt=frage,response=antwort --config model.json --output bases/tiny")]
pub(crate) struct InitArguments {
    /// A dataset to train the tokenizer on; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    dataset: Vec<PathBuf>,
    #[command(flatten)]
    columns: ColumnFlags,
    /// A JSON file with the model's sizes and its seed
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The folder to make
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

pub(super) fn run(context: &mut Context, arguments: &InitArguments) -> Result<(), Failure> {
    let sizes = read_sizes(&arguments.config)?;
    let staged = stage(&arguments.output)?;
    let folder = staged.path().join("model");
    let source = |path: &PathBuf| DatasetSource {
        path: path.clone(),
        columns: arguments.columns.map(),
    };
    let datasets: Vec<DatasetSource> = arguments.dataset.iter().map(source).collect();
    let request = InitRequest {
        datasets: &datasets,
        sizes: &sizes,
        folder: &folder,
    };
    let made = init_model(request)?;
    fs::rename(&folder, &arguments.output).map_err(cannot_write(&arguments.output))?;
    if context.output.is_json() {
        let path = absolute(&arguments.output)?;
        return context.output.json(&serde_json::json!({
            "path": path,
            "parameters": made.parameters,
            "vocab_size": made.vocab_size,
        }));
    }
    let output = arguments.output.display();
    context.output.line(format!(
        "made `{output}`: {} parameters, a vocabulary of {} tokens",
        count_text(made.parameters),
        count_text(made.vocab_size as u64)
    ))?;
    context.output.line(format!(
        "next: llmopt train --base-model {output} --method full --dataset FILE --name NAME"
    ))
}

fn read_sizes(path: &Path) -> Result<ModelSizes, Failure> {
    serde_json::from_str(&read(path)?).map_err(|error| {
        Failure::input(format!(
            "`{}`: expected one JSON object with the model's sizes, found {error}",
            path.display()
        ))
        .next("`llmopt models init --help` shows such a file")
    })
}

/// Makes a folder beside the output, so that the model appears all at once.
fn stage(output: &Path) -> Result<tempfile::TempDir, Failure> {
    if output.exists() {
        return Err(
            Failure::input(format!("`{}` exists already", output.display()))
                .next("choose another folder, or remove it"),
        );
    }
    let parent = absolute(output)?
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf);
    fs::create_dir_all(&parent).map_err(cannot_write(&parent))?;
    tempfile::Builder::new()
        .prefix(".staging-")
        .tempdir_in(&parent)
        .map_err(cannot_write(&parent))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(cannot_write(path))
}

fn cannot_write(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |error| Failure::failed(format!("failed to write `{}`: {error}", path.display()))
}
