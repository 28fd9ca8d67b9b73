use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::usage::{count, dollars};
use crate::{
    context::Context,
    failure::Failure,
    output::Output,
    platform_client::{PlatformClient, ServerFlags},
};

/// Compares models on the same texts: what each would cost, and with --run what each answers and takes.
///
/// Texts are priced by model because models do not count the same tokens. Budgets and limits hold as they do for a
/// server; without --run nothing is asked, and nothing spent.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt compare --model gpt-5.6-luna --model claude-haiku-5-5 --text 'Explain gradient descent'
  llmopt compare --model orders --model gpt-5.6-luna --texts questions.txt --max-tokens 64 --run
  llmopt compare --model gpt-5.6-luna --model gpt-6-luna --texts questions.txt --json")]
pub(crate) struct CompareArguments {
    /// A model: one trained here, `base:NAME`, a commercial one, `PROVIDER/MODEL` or an alias; up to 10
    #[arg(long = "model", value_name = "MODEL", required = true)]
    models: Vec<String>,
    /// A text that each model is asked; up to 20
    #[arg(long = "text", value_name = "TEXT", required_unless_present = "texts")]
    text: Vec<String>,
    /// A file with one text on each line
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// Tokens of each answer at most
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    max_tokens: u32,
    /// Ask the models, which costs what it costs
    #[arg(long)]
    run: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn run(context: &mut Context, arguments: CompareArguments) -> Result<(), Failure> {
    let texts = arguments.all_texts()?;
    let body = json!({
        "models": arguments.models, "texts": texts,
        "max_tokens": arguments.max_tokens, "run": arguments.run,
    });
    let client = arguments.server.client(context).await?;
    let answered = async {
        let reply = client.post("/commercial/compare", &body).await?;
        reply.succeeded().await?.json().await
    };
    let compared = tokio::select! {
        answered = answered => answered?,
        _ = tokio::signal::ctrl_c() => return Err(stopped(&client).await),
    };
    let output = &mut context.output;
    if output.is_json() {
        output.json(&compared)?;
    } else {
        show(output, &compared, &texts)?;
    }
    match failed(&compared) {
        0 => Ok(()),
        failed => Err(Failure::failed(format!(
            "{failed} of {} could not be {}",
            texts.len() * arguments.models.len(),
            if arguments.run { "answered" } else { "priced" },
        ))),
    }
}

/// Waits until this process has settled what it asked for, if it is the one that did.
async fn stopped(client: &PlatformClient) -> Failure {
    client.settled().await;
    Failure::interrupted("the comparison was stopped: what was used of commercial models is billed")
}

impl CompareArguments {
    fn all_texts(&self) -> Result<Vec<String>, Failure> {
        let mut texts = self.text.clone();
        if let Some(path) = &self.texts {
            let read = std::fs::read_to_string(path).map_err(|error| {
                Failure::input(format!("failed to read `{}`: {error}", path.display()))
            })?;
            let lines = read.lines().filter(|line| !line.trim().is_empty());
            texts.extend(lines.map(str::to_owned));
        }
        Ok(texts)
    }
}

fn failed(compared: &Value) -> usize {
    let cells = cells(compared).filter(|(_, cell)| cell["error"].is_object());
    cells.count()
}

/// Returns what became of each model with each text, the number of the text before it.
fn cells(compared: &Value) -> impl Iterator<Item = (u64, &Value)> {
    let texts = compared["texts"].as_array().into_iter().flatten();
    texts.flat_map(|text| {
        let number = text["text"].as_u64().unwrap_or_default();
        let results = text["results"].as_array().into_iter().flatten();
        results.map(move |cell| (number, cell))
    })
}

const QUOTES: [&str; 6] = ["text", "model", "provider", "input", "estimate", "at most"];
const ANSWERS: [&str; 7] = ["text", "model", "provider", "input", "output", "cost", "ms"];
const TOTALS: [&str; 6] = [
    "model",
    "estimate",
    "at most",
    "cost",
    "median ms",
    "failed",
];

fn show(output: &mut Output, compared: &Value, texts: &[String]) -> Result<(), Failure> {
    let answers: Vec<_> = cells(compared)
        .filter(|(_, cell)| cell["answer"].is_object())
        .collect();
    if answers.is_empty() {
        let quoted = cells(compared).filter(|(_, cell)| cell["quote"].is_object());
        output.table(&QUOTES, quoted.map(quote_row).collect())?;
    } else {
        show_texts(output, &answers, texts)?;
        output.table(&ANSWERS, answers.into_iter().map(answer_row).collect())?;
    }
    for (number, cell) in cells(compared) {
        if let Some(detail) = cell["error"]["detail"].as_str() {
            let model = text(&cell["model_id"]);
            output.line(format!("text {}, `{model}`: {detail}", number + 1))?;
        }
    }
    let models = compared["models"].as_array().into_iter().flatten();
    output.table(&TOTALS, models.map(total_row).collect())
}

/// Shows what each model said to each text.
fn show_texts(
    output: &mut Output,
    answers: &[(u64, &Value)],
    texts: &[String],
) -> Result<(), Failure> {
    for (place, asked) in texts.iter().enumerate() {
        output.part(&format!("text {}: {asked}", place + 1))?;
        output.end_line()?;
        let ours = answers.iter().filter(|(number, _)| *number == place as u64);
        for (_, cell) in ours {
            output.part(&format!(
                "`{}`: {}",
                text(&cell["model_id"]),
                text(&cell["answer"]["text"]).trim()
            ))?;
            output.end_line()?;
        }
    }
    Ok(())
}

fn quote_row((number, cell): (u64, &Value)) -> Vec<String> {
    let quote = &cell["quote"];
    vec![
        (number + 1).to_string(),
        text(&cell["model_id"]).to_owned(),
        provider(&quote["provider"]),
        count(&quote["estimated_input_tokens"]),
        dollars(&quote["estimate_usd"]),
        dollars(&quote["bound_usd"]),
    ]
}

fn answer_row((number, cell): (u64, &Value)) -> Vec<String> {
    let answer = &cell["answer"];
    vec![
        (number + 1).to_string(),
        text(&cell["model_id"]).to_owned(),
        provider(&answer["provider"]),
        count(&answer["input_tokens"]),
        count(&answer["output_tokens"]),
        dollars(&answer["cost_usd"]),
        count(&answer["latency_ms"]),
    ]
}

fn total_row(model: &Value) -> Vec<String> {
    vec![
        text(&model["model_id"]).to_owned(),
        dollars(&model["estimate_usd"]),
        dollars(&model["bound_usd"]),
        match model["answered"].as_u64() {
            Some(0) | None => "-".to_owned(),
            Some(_) => dollars(&model["cost_usd"]),
        },
        match model["median_latency_ms"].as_u64() {
            None => "-".to_owned(),
            Some(_) => count(&model["median_latency_ms"]),
        },
        count(&model["failed"]),
    ]
}

fn provider(value: &Value) -> String {
    value.as_str().unwrap_or("llmopt").to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
