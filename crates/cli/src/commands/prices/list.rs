use clap::{Args, ValueEnum};
use llmopt_domain::Picodollars;
use llmopt_prices::{Model, Price, Provider};
use serde_json::{Value, json};

use super::{TableArguments, per_million};
use crate::{context::Context, failure::Failure, output::count_text};

/// Lists what models cost that can be asked today, in dollars for a million tokens.
///
/// JSON has picodollars (10^-12 dollars) for one token, as the table has.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt prices list
  llmopt prices list --provider anthropic
  llmopt prices list --at 2026-07-01 --json")]
pub(crate) struct ListArguments {
    /// Only this provider's models
    #[arg(long)]
    provider: Option<ProviderName>,
    #[command(flatten)]
    table: TableArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProviderName {
    Openai,
    Anthropic,
}

const HEADER: [&str; 9] = [
    "model",
    "provider",
    "input",
    "output",
    "cache read",
    "cache write",
    "long write",
    "dearer above",
    "ends",
];

pub(super) fn run(context: &mut Context, arguments: &ListArguments) -> Result<(), Failure> {
    let table = arguments.table.open()?;
    let at = arguments.table.day();
    let provider = arguments.provider.map(Provider::from);
    let sold = table.models().iter().filter_map(|model| {
        let theirs = provider.is_none_or(|provider| provider == model.provider);
        let answers = theirs && model.shutdown_by(at).is_none();
        model
            .price(at)
            .filter(|_| answers)
            .map(|price| (model, price))
    });
    let output = &mut context.output;
    if output.is_json() {
        let models: Vec<Value> = sold.map(json_of).collect();
        let version = table.version();
        return output.json(&json!({
            "date": version.date, "digest": version.digest, "at": at, "models": models,
        }));
    }
    output.table(&HEADER, sold.map(row).collect())?;
    output.line(format!(
        "dollars for a million tokens on {at}; table of {}",
        table.version()
    ))
}

fn json_of((model, price): (&Model, &Price)) -> Value {
    json!({
        "id": model.id, "provider": model.provider, "aliases": model.aliases, "apis": model.apis,
        "max_input_tokens": model.max_input_tokens, "max_output_tokens": model.max_output_tokens,
        "rejects": model.rejects, "shutdown": model.shutdown, "price": price,
    })
}

fn row((model, price): (&Model, &Price)) -> Vec<String> {
    let rates = &price.rates;
    let apart = |rate: Option<Picodollars>| rate.map_or_else(String::new, per_million);
    let above = price.long_prompts.first();
    vec![
        model.id.clone(),
        model.provider.name().to_owned(),
        per_million(rates.input),
        per_million(rates.output),
        apart(rates.cache_read),
        apart(rates.cache_write),
        apart(rates.cache_write_long),
        above.map_or_else(String::new, |long| count_text(long.above_prompt_tokens)),
        model
            .shutdown
            .as_ref()
            .map_or_else(String::new, |shutdown| shutdown.on.to_string()),
    ]
}

impl From<ProviderName> for Provider {
    fn from(name: ProviderName) -> Self {
        match name {
            ProviderName::Openai => Self::Openai,
            ProviderName::Anthropic => Self::Anthropic,
        }
    }
}
