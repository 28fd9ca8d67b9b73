use clap::Args;
use llmopt_service::ModelSummary;

use super::list::method_text;
use crate::{
    context::Context,
    failure::Failure,
    output::{bytes_text, count_text, seconds_text},
};

/// Shows what a model was made from, what it scored, and where its files lie.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt models show orders
  llmopt models show orders:2
  llmopt models show ft:distilgpt2:orders --json")]
pub(crate) struct ShowArguments {
    /// NAME[:VERSION] or ft:BASE:NAME[:VERSION]; the newest version if none is given
    model: String,
}

pub(super) async fn run(context: &mut Context, arguments: &ShowArguments) -> Result<(), Failure> {
    let store = context.any_store().await?;
    let model = context.models(&*store).show(&arguments.model).await?;
    if context.output.is_json() {
        return context.output.json(&model);
    }
    context.output.facts(&facts(&model))
}

fn facts(model: &ModelSummary) -> Vec<(&'static str, String)> {
    let share = 100.0 * model.trainable_parameters as f64 / (model.parameters as f64).max(1.0);
    let mut facts = vec![
        ("model", model.id.to_string()),
        ("version", model.version.to_string()),
        ("files", model.path.display().to_string()),
        ("base", model.base.clone()),
        ("method", method_text(model.method).to_owned()),
        ("rows", count_text(model.rows)),
        ("steps", count_text(model.steps)),
        (
            "trained parameters",
            format!("{} ({share:.2} %)", count_text(model.trainable_parameters)),
        ),
        ("time", seconds_text(model.seconds)),
        (
            "speed",
            format!("{} tokens/s", count_text(model.tokens_per_second as u64)),
        ),
        ("peak memory", bytes_text(model.peak_memory_bytes)),
        ("device", model.device.clone()),
        ("job", model.job.short().to_owned()),
    ];
    if let Some(loss) = model.training_loss {
        facts.push(("last training loss", format!("{loss:.4}")));
    }
    if let Some(evaluation) = &model.evaluation {
        let after = evaluation.after;
        facts.push(("held-out rows", count_text(after.rows)));
        if let Some(before) = evaluation.before {
            facts.push(("held-out loss before", format!("{:.4}", before.loss)));
        }
        facts.push(("held-out loss", format!("{:.4}", after.loss)));
        if let Some(exact_match) = after.exact_match {
            facts.push(("exact match", format!("{exact_match:.3}")));
        }
    }
    facts
}
