mod machines;
mod shape;

use llmopt_artifact::Gpt2Config;
use llmopt_domain::TrainingConfig;
use llmopt_preparation::TokenStatistics;
use serde::Serialize;
use utoipa::ToSchema;

use self::{
    machines::{Gpu, HERE, Speed, memory_here, processor, runtime_bytes},
    shape::{OnGpu, Shape, Work},
};
use crate::{ModelSummary, PreparedJob, ServiceError};

/// Models that were trained here tell how fast this machine is where they have at most so many times the parameters,
/// or so many times fewer.
const ALIKE: u64 = 4;

/// The machine that a job is estimated for.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingMachine {
    /// `local` for the one that trainers run on here, or an instance type such as `g5.xlarge`.
    pub name: String,
    /// What an hour of it costs, in US dollars; `None` where that is not known.
    pub usd_per_hour: Option<f64>,
}

impl TrainingMachine {
    /// Tells whether it is the one that trainers run on here.
    pub fn is_local(&self) -> bool {
        self.name == HERE
    }
}

/// What a training job would take. Beside what is known, `unknown` says what is not, and why.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobEstimate {
    /// Rows trained on in each epoch.
    pub rows: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens computed in all steps, prompts included.
    pub tokens: u64,
    /// Tokens with loss in all steps.
    pub trained_tokens: u64,
    /// All parameters of the model.
    pub parameters: u64,
    /// Parameters that training changes.
    pub trainable_parameters: u64,
    /// Floating point operations of all steps.
    pub operations: f64,
    /// Where it would be trained.
    pub machine: MachineEstimate,
    /// The most memory that it would take: that of the GPU, or where there is none that of the process.
    pub memory: MemoryEstimate,
    /// Whether that is there; absent where it is not known how much the machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fits: Option<bool>,
    /// Seconds of training, without the time that a machine takes to start and held-out rows take to be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What these seconds cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// What cannot be said, and what it would take to say it.
    pub unknown: Vec<String>,
}

/// A machine as an estimate knows it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MachineEstimate {
    /// `local`, or an instance type.
    pub name: String,
    /// Where what it does in a second comes from.
    pub basis: SpeedBasis,
    /// The published model whose training told how fast it is, where `basis` is `recorded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// Floating point operations that a training gets in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations_per_second: Option<f64>,
    /// The memory that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What an hour costs, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_hour: Option<f64>,
}

/// Where the speed of a machine comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpeedBasis {
    /// A model that was trained there with as many threads and in the same precision.
    Recorded,
    /// A measurement on another machine, and data sheets: it may be several times faster or slower.
    Stated,
    /// Nothing.
    Unknown,
}

/// The memory that a training takes at most, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemoryEstimate {
    /// The model's weights.
    pub weights_bytes: u64,
    /// Gradients and moments of what changes, and adapters.
    pub optimizer_bytes: u64,
    /// What a micro-batch of the longest rows leaves behind for its gradient.
    pub activations_bytes: u64,
    /// The logits that are held at once.
    pub logits_bytes: u64,
    /// Libraries.
    pub runtime_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

/// Estimates what `job` would take on `machine`. Of the models in `published`, those that are like it tell how fast this
/// machine is.
///
/// # Errors
/// [`ServiceError::Artifact`] if the base model cannot be read.
pub fn estimate_training(
    job: &PreparedJob,
    machine: &TrainingMachine,
    published: &[ModelSummary],
) -> Result<JobEstimate, ServiceError> {
    let model = Gpt2Config::read(&job.spec.base.path)?;
    let shape = Shape {
        model: &model,
        config: &job.spec.config,
    };
    Ok(estimate(shape, &job.tokens, machine, published))
}

fn estimate(
    shape: Shape<'_>,
    tokens: &TokenStatistics,
    machine: &TrainingMachine,
    published: &[ModelSummary],
) -> JobEstimate {
    let plan = Plan::of(shape.config, tokens);
    let known = Known::of(machine, shape, published);
    let operations = shape.operations(plan.work);
    let seconds = known
        .speed
        .map(|speed| operations / speed.per_second + plan.passes as f64 * speed.pass_seconds);
    let memory = memory(shape, tokens, known.on_gpu);
    let cost_usd = seconds.zip(machine.usd_per_hour);
    JobEstimate {
        rows: tokens.kept_rows(),
        steps: plan.steps,
        tokens: plan.work.tokens as u64,
        trained_tokens: plan.work.trained as u64,
        parameters: shape.parameters(),
        trainable_parameters: shape.trainable(),
        operations,
        memory,
        fits: known.memory_bytes.map(|there| memory.total_bytes <= there),
        seconds,
        cost_usd: cost_usd.map(|(seconds, price)| seconds / 3_600.0 * price),
        unknown: known.unknown(machine, shape.config),
        machine: MachineEstimate {
            name: machine.name.clone(),
            basis: known.basis,
            recorded: known.recorded,
            operations_per_second: known.speed.map(|speed| speed.per_second),
            memory_bytes: known.memory_bytes,
            usd_per_hour: machine.usd_per_hour,
        },
    }
}

/// What a job computes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    steps: u64,
    /// Micro-batches.
    passes: u64,
    work: Work,
}

impl Plan {
    fn of(config: &TrainingConfig, tokens: &TokenStatistics) -> Self {
        let rows = tokens.kept_rows();
        let batch = u64::from(config.batch_size);
        let all = rows.div_ceil(batch.max(1)) * u64::from(config.epochs);
        let steps = config.max_steps.map_or(all, |most| most.min(all));
        // Where `max_steps` ends it before, it has seen its share of them.
        let share = steps as f64 / all.max(1) as f64 * f64::from(config.epochs);
        let kept = (tokens.tokens - tokens.overlong.tokens) as f64;
        let micro = u64::from(config.micro_batch_size).max(1);
        Self {
            steps,
            passes: steps * batch.min(rows).div_ceil(micro),
            work: Work {
                tokens: kept * share,
                trained: tokens.kept_trainable_tokens() as f64 * share,
                row_length: kept / rows.max(1) as f64,
            },
        }
    }
}

/// What is known of a machine.
#[derive(Clone, Debug)]
struct Known {
    basis: SpeedBasis,
    speed: Option<Speed>,
    recorded: Option<String>,
    memory_bytes: Option<u64>,
    on_gpu: OnGpu,
}

impl Known {
    fn of(machine: &TrainingMachine, shape: Shape<'_>, published: &[ModelSummary]) -> Self {
        let precision = shape.config.precision;
        if machine.is_local() {
            return Self::here(shape, published);
        }
        let gpu = Gpu::of(&machine.name);
        let speed = gpu.and_then(|gpu| gpu.speed(precision));
        Self {
            basis: match speed {
                Some(_) => SpeedBasis::Stated,
                None => SpeedBasis::Unknown,
            },
            speed,
            recorded: None,
            memory_bytes: gpu.map(|gpu| gpu.memory_bytes()),
            on_gpu: OnGpu::Yes,
        }
    }

    /// What is known of this machine: of the models like the one to train, the one that was trained longest tells.
    fn here(shape: Shape<'_>, published: &[ModelSummary]) -> Self {
        let alike = published
            .iter()
            .filter_map(|model| Some((model, recorded_speed(shape, model)?)));
        match alike.max_by(|(one, _), (other, _)| one.seconds.total_cmp(&other.seconds)) {
            Some((model, per_second)) => {
                let on_gpu = if model.device == "cpu" {
                    OnGpu::No
                } else {
                    OnGpu::Yes
                };
                Self {
                    basis: SpeedBasis::Recorded,
                    speed: Some(Speed {
                        per_second,
                        pass_seconds: 0.0,
                    }),
                    recorded: Some(format!("{}:{}", model.id, model.version)),
                    memory_bytes: match on_gpu {
                        OnGpu::No => memory_here(),
                        OnGpu::Yes => None,
                    },
                    on_gpu,
                }
            }
            None => Self {
                basis: SpeedBasis::Stated,
                speed: Some(processor(shape.config.threads, shape.config.precision)),
                recorded: None,
                memory_bytes: memory_here(),
                on_gpu: OnGpu::No,
            },
        }
    }

    fn unknown(&self, machine: &TrainingMachine, config: &TrainingConfig) -> Vec<String> {
        let mut unknown = Vec::new();
        if self.speed.is_none() {
            unknown.push(match Gpu::of(&machine.name) {
                Some(gpu) => format!(
                    "how long it takes: the {} of `{}` has no products in {:?}; set `precision` to `f32`",
                    gpu.name, machine.name, config.precision
                ),
                None => format!(
                    "how long it takes, and whether it fits: the machine `{}` is not in the table of docs/API.md",
                    machine.name
                ),
            });
        } else if self.memory_bytes.is_none() {
            unknown.push("whether it fits: how much memory the GPU has is not known".to_owned());
        }
        if machine.usd_per_hour.is_none() {
            unknown.push(
                "what it costs: say what an hour costs, with `usd_per_hour` or LLMOPT_TRAINER_USD_PER_HOUR"
                    .to_owned(),
            );
        }
        unknown
    }
}

/// Returns the operations in a second that the training of `model` got, if it is like `shape`.
fn recorded_speed(shape: Shape<'_>, model: &ModelSummary) -> Option<f64> {
    let (asked, then) = (shape.config, &model.config);
    let is_alike = (asked.method, asked.precision, asked.threads)
        == (then.method, then.precision, then.threads);
    let parameters = shape.parameters();
    let of_a_size = model.parameters <= parameters.saturating_mul(ALIKE)
        && parameters <= model.parameters.saturating_mul(ALIKE);
    if !is_alike || !of_a_size || model.seconds <= 0.0 {
        return None;
    }
    let trained = Shape {
        model: &Gpt2Config::read(&model.path).ok()?,
        config: then,
    };
    // How many tokens had loss, and how long rows were, is not recorded: half, and as long as they are here.
    let tokens = model.tokens_per_second * model.seconds;
    let rows = (model.steps * u64::from(then.batch_size)).max(1);
    let work = Work {
        tokens,
        trained: tokens / 2.0,
        row_length: tokens / rows as f64,
    };
    Some(trained.operations(work) / model.seconds)
}

fn memory(shape: Shape<'_>, tokens: &TokenStatistics, on_gpu: OnGpu) -> MemoryEstimate {
    let micro = u64::from(shape.config.micro_batch_size).min(tokens.kept_rows());
    let longest = tokens.row.max.min(tokens.max_length) as u64;
    let at_once = micro * longest;
    let weights_bytes = shape.weights_bytes(on_gpu);
    let optimizer_bytes = shape.optimizer_bytes();
    let activations_bytes = shape.activation_bytes(at_once);
    let logits_bytes = shape.logit_bytes(at_once, on_gpu);
    let runtime_bytes = runtime_bytes(on_gpu);
    MemoryEstimate {
        weights_bytes,
        optimizer_bytes,
        activations_bytes,
        logits_bytes,
        runtime_bytes,
        total_bytes: weights_bytes
            + optimizer_bytes
            + activations_bytes
            + logits_bytes
            + runtime_bytes,
    }
}

#[cfg(test)]
mod tests;
