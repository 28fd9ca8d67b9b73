use clap::Args;
use llmopt_domain::Method;
use llmopt_service::ModelSummary;

use crate::{context::Context, failure::Failure, output::count_text};

/// Lists the models trained here, every version.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt models list
  llmopt models list --json")]
pub(crate) struct ListArguments {}

const HEADER: [&str; 7] = [
    "model",
    "version",
    "base",
    "method",
    "rows",
    "held-out loss",
    "exact match",
];

pub(super) async fn run(context: &mut Context) -> Result<(), Failure> {
    let store = context.any_store().await?;
    let models = context.models(&*store).list().await?;
    if context.output.is_json() {
        return context.output.json(&models);
    }
    if models.is_empty() {
        let place = context.data_dir.display();
        return context.output.line(format!(
            "no models in `{place}` yet; make one with `llmopt train --base-model BASE --dataset FILE --name NAME`"
        ));
    }
    context
        .output
        .table(&HEADER, models.iter().map(row).collect())
}

fn row(model: &ModelSummary) -> Vec<String> {
    let metrics = model.evaluation.as_ref().map(|evaluation| evaluation.after);
    let exact_match = metrics.and_then(|metrics| metrics.exact_match);
    vec![
        model.id.to_string(),
        model.version.to_string(),
        model.base.clone(),
        method_text(model.method).to_owned(),
        count_text(model.rows),
        metrics.map_or_else(String::new, |metrics| format!("{:.4}", metrics.loss)),
        exact_match.map_or_else(String::new, |share| format!("{share:.3}")),
    ]
}

pub(super) fn method_text(method: Method) -> &'static str {
    match method {
        Method::Lora => "lora",
        Method::Full => "full",
    }
}
