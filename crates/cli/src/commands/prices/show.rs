use clap::Args;
use llmopt_prices::{Day, Model, Multipliers, Period, PriceTable, Rates, Refusal, ServiceTier};
use serde::Serialize;
use serde_json::json;

use super::{TableArguments, instead, per_million};
use crate::{
    context::Context,
    failure::Failure,
    output::{Output, count_text},
};

/// Shows what a model costs and has cost, and where that is from.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt prices show gpt-5.6-luna
  llmopt prices show claude-sonnet-4-5-20250929 --json")]
pub(crate) struct ShowArguments {
    /// The model's id, or another name that it has
    model: String,
    #[command(flatten)]
    table: TableArguments,
}

const HEADER: [&str; 8] = [
    "from",
    "until",
    "prompts above",
    "input",
    "output",
    "cache read",
    "cache write",
    "long write",
];

pub(super) fn run(context: &mut Context, arguments: &ShowArguments) -> Result<(), Failure> {
    let table = arguments.table.open()?;
    let Some(model) = table.model(&arguments.model) else {
        let message = format!(
            "the price table of {} has no `{}`",
            table.version(),
            arguments.model
        );
        return Err(Failure::input(message).next("llmopt prices list"));
    };
    let output = &mut context.output;
    if output.is_json() {
        let version = table.version();
        let shown = json!({ "date": version.date, "digest": version.digest, "model": model });
        return output.json(&shown);
    }
    output.facts(&facts(&table, model, arguments.table.day()))?;
    output.line("")?;
    output.table(&HEADER, model.periods.iter().flat_map(rows).collect())?;
    for period in &model.periods {
        sources(output, period)?;
    }
    Ok(())
}

fn facts(table: &PriceTable, model: &Model, at: Day) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("model", model.id.clone()),
        ("provider", model.provider.name().to_owned()),
        (
            "routes",
            model.apis.iter().map(word).collect::<Vec<_>>().join(", "),
        ),
    ];
    if !model.aliases.is_empty() {
        facts.push(("also called", model.aliases.join(", ")));
    }
    if let Some(most) = model.max_input_tokens {
        facts.push(("longest prompt", format!("{} tokens", count_text(most))));
    }
    if let Some(most) = model.max_output_tokens {
        facts.push(("longest answer", format!("{} tokens", count_text(most))));
    }
    if !model.rejects.is_empty() {
        let rejects = model.rejects.iter().map(refusal_text);
        facts.push(("refuses", rejects.collect::<Vec<_>>().join(", ")));
    }
    if let Some(shutdown) = &model.shutdown {
        let ended = if shutdown.on <= at {
            "ended on"
        } else {
            "ends on"
        };
        let instead = instead(table, &model.id, at.max(shutdown.on));
        facts.push(("end", format!("{ended} {}{instead}", shutdown.on)));
    }
    if let Some(note) = &model.note {
        facts.push(("note", note.clone()));
    }
    facts
}

/// A row for the usual prompts, and one for each length from which on they cost more.
fn rows(period: &Period) -> Vec<Vec<String>> {
    let usual = (String::new(), &period.price.rates);
    let long = period.price.long_prompts.iter();
    let long = long.map(|long| (count_text(long.above_prompt_tokens), &long.rates));
    [usual]
        .into_iter()
        .chain(long)
        .map(|(above, rates)| row(period, above, rates))
        .collect()
}

fn row(period: &Period, above: String, rates: &Rates) -> Vec<String> {
    vec![
        period.from.to_string(),
        period.until.map_or_else(String::new, |day| day.to_string()),
        above,
        per_million(rates.input),
        per_million(rates.output),
        per_million(rates.cache_read()),
        per_million(rates.cache_write()),
        per_million(rates.cache_write_long()),
    ]
}

fn sources(output: &mut Output, period: &Period) -> Result<(), Failure> {
    let terms = terms_text(&period.price.multipliers);
    output.line(format!("\nfrom {}{terms}", period.from))?;
    output.line(format!("  read {}: {}", period.verified, period.source))?;
    if let Some(note) = &period.note {
        output.line(format!("  note: {note}"))?;
    }
    if let Some(doubt) = &period.doubt {
        output.line(format!("  doubt: {doubt}"))?;
    }
    Ok(())
}

/// Says what other terms make of the price.
fn terms_text(multipliers: &Multipliers) -> String {
    let tiers = ServiceTier::ALL.into_iter().skip(1);
    let tiers = tiers.map(|tier| (tier.name(), multipliers.tier(tier)));
    let terms = tiers.chain([("regional", multipliers.regional)]);
    terms
        .filter_map(|(name, ratio)| ratio.map(|ratio| format!(", {name} x {ratio}")))
        .collect()
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::SamplingParameters => "sampling parameters".to_owned(),
        Refusal::ForcedToolUse => "tools that must be used".to_owned(),
    }
}

/// The word that the table has for a value.
fn word(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}
