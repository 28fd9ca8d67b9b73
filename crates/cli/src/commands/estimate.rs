use clap::Args;
use llmopt_service::{JobEstimate, PreparedJob, SpeedBasis, TrainingMachine, estimate_training};
use llmopt_storage_embedded::FileFolderStore;

use crate::{
    context::Context,
    failure::Failure,
    output::{Output, bytes_text, count_text, note, seconds_text},
};

/// Flags about what a job would take.
#[derive(Args, Debug)]
pub(crate) struct EstimateFlags {
    /// Say what the job would take, in memory, time and dollars, and do not train
    #[arg(long, requires = "base_model", conflicts_with_all = ["resume", "restart"])]
    pub(super) estimate: bool,
    /// Where it would be trained: `local`, or an instance type such as `g5.xlarge` [default: LLMOPT_TRAINER_MACHINE]
    #[arg(long, value_name = "MACHINE", requires = "estimate")]
    machine: Option<String>,
    /// What an hour of that machine costs, in US dollars [default: LLMOPT_TRAINER_USD_PER_HOUR]
    #[arg(long, value_name = "USD", requires = "estimate", value_parser = dollars)]
    usd_per_hour: Option<f64>,
}

fn dollars(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok();
    let price = number.filter(|price: &f64| *price >= 0.0 && price.is_finite());
    price.ok_or("expected 0 or more dollars, such as `1.006`")
}

impl EstimateFlags {
    fn machine(&self, usual: TrainingMachine) -> TrainingMachine {
        let name = self.machine.clone().unwrap_or_else(|| usual.name.clone());
        let known = usual.usd_per_hour.filter(|_| name == usual.name);
        TrainingMachine {
            usd_per_hour: self.usd_per_hour.or(known),
            name,
        }
    }
}

/// Says what a job would take.
pub(super) async fn show(
    context: &mut Context,
    store: &FileFolderStore,
    flags: &EstimateFlags,
    job: &PreparedJob,
) -> Result<(), Failure> {
    let machine = flags.machine(context.training_machine());
    let published = context.models(store).list().await?;
    let estimate = estimate_training(job, &machine, &published)?;
    if context.output.is_json() {
        return context.output.json(&estimate);
    }
    write(&mut context.output, &estimate)
}

fn write(output: &mut Output, estimate: &JobEstimate) -> Result<(), Failure> {
    let memory = &estimate.memory;
    let shown = |bytes| bytes_text(bytes);
    let unknown = || "unknown".to_owned();
    output.facts(&[
        (
            "computes",
            format!(
                "{} steps, {} tokens, {} of them trained on",
                count_text(estimate.steps),
                count_text(estimate.tokens),
                count_text(estimate.trained_tokens)
            ),
        ),
        (
            "trains",
            format!(
                "{} of {} parameters",
                count_text(estimate.trainable_parameters),
                count_text(estimate.parameters)
            ),
        ),
        ("machine", machine_text(estimate)),
        (
            "memory",
            format!(
                "{}{}: weights {}, optimizer {}, activations {}, logits {}, libraries {}",
                shown(memory.total_bytes),
                fit_text(estimate),
                shown(memory.weights_bytes),
                shown(memory.optimizer_bytes),
                shown(memory.activations_bytes),
                shown(memory.logits_bytes),
                shown(memory.runtime_bytes),
            ),
        ),
        ("time", estimate.seconds.map_or_else(unknown, seconds_text)),
        (
            "cost",
            estimate
                .cost_usd
                .map_or_else(unknown, |cost| format!("${cost:.4}")),
        ),
    ])?;
    for unknown in &estimate.unknown {
        note(format!("not known is {unknown}"));
    }
    Ok(())
}

fn machine_text(estimate: &JobEstimate) -> String {
    let machine = &estimate.machine;
    let rate = machine.operations_per_second.unwrap_or_default() / 1e9;
    let basis = match (machine.basis, &machine.recorded) {
        (SpeedBasis::Recorded, Some(model)) => {
            format!("{rate:.1} billion operations/s, as `{model}` got here")
        }
        (SpeedBasis::Unknown, _) => "of unknown speed".to_owned(),
        _ => format!(
            "{rate:.1} billion operations/s by what another machine did: it may be several times faster or slower"
        ),
    };
    format!("{}, {basis}", machine.name)
}

fn fit_text(estimate: &JobEstimate) -> String {
    match (estimate.fits, estimate.machine.memory_bytes) {
        (Some(fits), Some(there)) => {
            let word = if fits { "" } else { "only " };
            format!(" of {word}{}", bytes_text(there))
        }
        _ => String::new(),
    }
}
