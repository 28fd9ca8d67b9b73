//! The recipe of a training run, top to bottom.

use std::time::Instant;

use llmopt_artifact::{LossPoint, ModelFolder};
use llmopt_domain::{
    DatasetFile, JobSpec, Method, ObjectKey, Precision, TrainingConfig, TrainingEvent,
};
use llmopt_service::ClaimedJob;
use llmopt_storage::FolderStore;
use llmopt_tokenization::{EncodedExample, Encoder};
use rand_chacha::rand_core::Rng;
use tch::{Device, Kind};
use tokio::runtime::Runtime;

use crate::{
    Events, StopSignal, TrainerError,
    checkpoint::{Checkpoints, RunState},
    device::device_name,
    evaluate::Evaluation,
    memory::{peak_gpu_memory_bytes, peak_memory_bytes},
    model::{Compute, Gpt2},
    optimizer::{AdamW, AdamWConfig},
    order::{Order, Stream},
    pick_device,
    publish::{Publication, already_published},
    rows::{Limits, Rows},
    schedule::{learning_rate, warmup_steps},
    step::{StepOutcome, StepSettings, train_step},
    weights::{LoadOptions, load_gpt2},
};

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The artifacts are visible.
    Published,
    /// A stop was asked for; a checkpoint holds everything.
    Interrupted,
}

/// What a run works with, whatever the job.
#[derive(Clone, Copy)]
pub struct Worker<'a> {
    /// Where checkpoints and models are kept.
    pub store: &'a dyn FolderStore,
    /// What drives the store.
    pub runtime: &'a Runtime,
    /// Asks the run to end after the step it is at.
    pub stop: &'a StopSignal,
    /// The claim under which the job is worked on, if it has a record.
    pub claim: Option<&'a ClaimedJob>,
}

impl Worker<'_> {
    /// Returns the version to publish: `proposed`, or what was fixed before in the job's record and is
    /// not `taken`. Fails where another worker has the job by now.
    pub(crate) fn reserve(&self, proposed: u32, taken: Option<u32>) -> Result<u32, TrainerError> {
        match self.claim {
            None => Ok(proposed),
            Some(claim) => Ok(self.runtime.block_on(claim.reserve(proposed, taken))?),
        }
    }
}

/// Trains what `spec` says, from its last checkpoint if `resume`, and publishes the result.
///
/// # Errors
/// If the input is wrong, training diverges, or a file cannot be read or written. Nothing half-made
/// is ever visible; the last checkpoint stays.
pub fn run_job(
    spec: &JobSpec,
    resume: bool,
    worker: &Worker<'_>,
    events: &mut Events<'_>,
) -> Result<Outcome, TrainerError> {
    let &Worker {
        store,
        runtime,
        stop,
        ..
    } = worker;
    // Set-up: everything that can be wrong with the input is found before the first step.
    let config = &spec.config;
    config.validate().map_err(TrainerError::Config)?;
    let job = spec
        .identity()
        .map_err(|source| TrainerError::Event(source.into()))?;
    let checkpoints = Checkpoints {
        store,
        runtime,
        job: &job,
        keep: config.keep_checkpoints as usize,
    };
    if let Some(event) = already_published(spec, &job, store, runtime)? {
        // Also where the process died between the two last lines below.
        checkpoints.clear()?;
        events.send(&event)?;
        return Ok(Outcome::Published);
    }
    let latest = checkpoints.latest()?;
    if let (Some(key), false) = (&latest, resume) {
        return Err(TrainerError::AlreadyStarted { key: key.clone() });
    }
    tch::set_num_threads(config.threads as i32);
    let device = pick_device();

    events.send(&TrainingEvent::Preparing {
        what: "tokenizing".into(),
    })?;
    let folder: &'static ModelFolder = Box::leak(Box::new(ModelFolder::open(&spec.base.path)?));
    let encoder = Encoder::open(&spec.base.path, config.chat_template.as_deref())?;
    let limits = limits(config, folder);
    let load = |file: &DatasetFile| Rows::load(&file.path, &file.columns, &encoder, limits);
    let rows = load(&spec.dataset)?;
    let held_out = spec.evaluation.as_ref().map(load).transpose()?;

    events.send(&TrainingEvent::Preparing {
        what: "loading the base model".into(),
    })?;
    let model = prepare_model(config, folder, device)?;
    let mut optimizer = AdamW::new(trainable(config, &model), adamw(config))?;
    let mut state = match &latest {
        Some(key) => checkpoints.restore(key, &mut optimizer)?,
        None => RunState::new(job.clone()),
    };
    let mut order = Order::new(rows.rows.len(), config.batch_size as usize, config.seed);
    let total_steps = total_steps(config, &order);
    let warmup = warmup_steps(config.warmup_ratio, total_steps);
    let parameters = count_parameters(&model, &optimizer);
    events.send(&started(&state, total_steps, &rows, parameters, device))?;
    let evaluation = Evaluation {
        encoder: &encoder,
        compute: Compute {
            training: false,
            ..compute(config)
        },
        device,
        max_new_tokens: config.evaluation_max_new_tokens,
        stop,
    };
    if let (Some(held_out), None) = (&held_out, state.before) {
        let metrics = evaluation.loss_only(&model, &held_out.rows)?;
        state.before = Some(metrics);
        events.send(&TrainingEvent::Evaluated { step: 0, metrics })?;
    }

    // Steps: every one a function of the seed and its number.
    let clock = Clock::start(&state, device);
    let mut last_checkpoint = Instant::now();
    while state.step < total_steps {
        let batch: Vec<&EncodedExample> = order
            .batch(state.step)
            .iter()
            .map(|&row| &rows.rows[row].encoded)
            .collect();
        let settings = StepSettings {
            micro_batch_size: config.micro_batch_size as usize,
            compute: compute(config),
            device,
            learning_rate: learning_rate(
                config.schedule,
                config.learning_rate,
                state.step,
                warmup,
                total_steps,
            ),
            max_gradient_norm: config.max_gradient_norm,
        };
        tch::manual_seed(Stream::Step(state.step).open(config.seed).next_u64() as i64);
        let outcome = train_step(&model, &mut optimizer, &batch, &settings)?;
        let tokens = batch.iter().map(|row| row.ids.len() as u64).sum();
        record(&mut state, outcome, settings.learning_rate, tokens)?;
        clock.update(&mut state, tokens);
        events.send(&clock.step_event(&state, tokens, total_steps))?;

        let stopping = stop.requested();
        if state.step < total_steps && (stopping || checkpoint_due(config, &state, last_checkpoint))
        {
            checkpoints.save(&state, &optimizer)?;
            last_checkpoint = Instant::now();
            events.send(&TrainingEvent::Checkpoint { step: state.step })?;
            if stopping {
                events.send(&TrainingEvent::Interrupted { step: state.step })?;
                return Ok(Outcome::Interrupted);
            }
        }
    }
    // The last step is saved too: an evaluation can take long, and may be stopped.
    if latest.is_none_or(|key| key != ObjectKey::checkpoint(&job, state.step)) {
        checkpoints.save(&state, &optimizer)?;
        events.send(&TrainingEvent::Checkpoint { step: state.step })?;
    }

    // Evaluate on what was never trained on.
    let mut metrics = None;
    if let Some(held_out) = &held_out {
        metrics = evaluation.run(&model, &held_out.rows, None, events)?;
        let Some(metrics) = metrics else {
            events.send(&TrainingEvent::Interrupted { step: state.step })?;
            return Ok(Outcome::Interrupted);
        };
        events.send(&TrainingEvent::Evaluated {
            step: state.step,
            metrics,
        })?;
    }

    // Publish, then forget the checkpoints: the artifacts hold the result.
    events.send(&TrainingEvent::Preparing {
        what: "publishing".into(),
    })?;
    let publication = Publication {
        spec,
        job: &job,
        state: &state,
        rows: &rows,
        metrics,
        parameters,
        folder,
        encoder: &encoder,
        device,
    };
    events.send(&publication.publish(model, worker)?)?;
    checkpoints.clear()?;
    Ok(Outcome::Published)
}

fn limits(config: &TrainingConfig, folder: &ModelFolder) -> Limits {
    let context = folder.config().n_positions;
    Limits {
        max_length: config
            .max_length
            .map_or(context, |length| context.min(length as usize)),
        overlong: config.overlong,
        vocabulary: folder.config().vocab_size,
    }
}

fn prepare_model(
    config: &TrainingConfig,
    folder: &'static ModelFolder,
    device: Device,
) -> Result<Gpt2, TrainerError> {
    let options = LoadOptions {
        trainable: config.method == Method::Full,
        kind: compute(config).kind,
        device,
    };
    let mut model = load_gpt2(folder, options)?;
    if config.method == Method::Lora {
        model.attach_fresh_adapters(
            &config.lora,
            &mut Stream::Adapters.open(config.seed),
            device,
        )?;
    }
    Ok(model)
}

fn trainable(config: &TrainingConfig, model: &Gpt2) -> Vec<(String, tch::Tensor)> {
    match config.method {
        Method::Lora => model.adapter_parameters(),
        Method::Full => model.named_weights(),
    }
}

fn adamw(config: &TrainingConfig) -> AdamWConfig {
    AdamWConfig {
        beta1: config.beta1,
        beta2: config.beta2,
        epsilon: config.epsilon,
        weight_decay: config.weight_decay,
    }
}

fn compute(config: &TrainingConfig) -> Compute {
    Compute {
        kind: match config.precision {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        },
        training: true,
        dropout: config.dropout,
        lora_dropout: config.lora.dropout,
    }
}

fn total_steps(config: &TrainingConfig, order: &Order) -> u64 {
    let all = order.steps_per_epoch() * u64::from(config.epochs);
    config.max_steps.map_or(all, |limit| limit.min(all))
}

fn record(
    state: &mut RunState,
    outcome: StepOutcome,
    learning_rate: f64,
    tokens: u64,
) -> Result<(), TrainerError> {
    let StepOutcome {
        loss,
        gradient_norm,
    } = outcome;
    let step = state.step + 1;
    if !(loss.is_finite() && gradient_norm.is_finite()) {
        return Err(TrainerError::NotFinite {
            step,
            loss,
            gradient_norm,
        });
    }
    state.step = step;
    state.tokens += tokens;
    state.losses.push(LossPoint {
        step,
        loss,
        learning_rate,
        gradient_norm,
        tokens_per_second: None,
    });
    Ok(())
}

fn checkpoint_due(config: &TrainingConfig, state: &RunState, last: Instant) -> bool {
    let by_steps = config
        .checkpoint_steps
        .is_some_and(|every| state.step.is_multiple_of(every));
    by_steps || last.elapsed().as_secs() >= config.checkpoint_seconds
}

/// Returns how many parameters are trained, and how many there are.
fn count_parameters(model: &Gpt2, optimizer: &AdamW) -> (u64, u64) {
    let trained: usize = optimizer
        .slots
        .iter()
        .map(|slot| slot.parameter.numel())
        .sum();
    let (weights, adapters) = (model.named_weights(), model.adapter_parameters());
    let all: usize = weights
        .iter()
        .chain(&adapters)
        .map(|(_, tensor)| tensor.numel())
        .sum();
    (trained as u64, all as u64)
}

fn started(
    state: &RunState,
    total_steps: u64,
    rows: &Rows,
    (trainable_parameters, parameters): (u64, u64),
    device: Device,
) -> TrainingEvent {
    TrainingEvent::Started {
        step: state.step,
        total_steps,
        rows: rows.rows.len() as u64,
        tokens: rows.tokens(),
        trainable_tokens: rows.labels(),
        dropped_rows: rows.dropped,
        trainable_parameters,
        parameters,
        device: device_name(device).to_owned(),
    }
}

/// Wall-clock time and rates of this process's part of the run.
struct Clock {
    began: Instant,
    seconds_before: f64,
    tokens_before: u64,
    step_before: u64,
    device: Device,
}

impl Clock {
    fn start(state: &RunState, device: Device) -> Self {
        Self {
            began: Instant::now(),
            seconds_before: state.seconds,
            tokens_before: state.tokens,
            step_before: state.step,
            device,
        }
    }

    /// Notes in `state` the time that its last step of `tokens` tokens took.
    fn update(&self, state: &mut RunState, tokens: u64) {
        let seconds = self.seconds_before + self.began.elapsed().as_secs_f64();
        if let Some(point) = state.losses.last_mut() {
            point.tokens_per_second = Some(tokens as f64 / (seconds - state.seconds).max(1e-9));
        }
        state.seconds = seconds;
    }

    fn step_event(&self, state: &RunState, tokens: u64, total_steps: u64) -> TrainingEvent {
        let elapsed = self.began.elapsed().as_secs_f64().max(1e-9);
        let last = state.losses.last();
        let per_step = elapsed / (state.step - self.step_before).max(1) as f64;
        TrainingEvent::Step {
            step: state.step,
            total_steps,
            loss: last.map_or(f64::NAN, |point| point.loss),
            gradient_norm: last.map_or(f64::NAN, |point| point.gradient_norm),
            learning_rate: last.map_or(f64::NAN, |point| point.learning_rate),
            tokens,
            tokens_per_second: (state.tokens - self.tokens_before) as f64 / elapsed,
            peak_memory_bytes: peak_memory_bytes(),
            peak_gpu_memory_bytes: peak_gpu_memory_bytes(self.device),
            seconds_left: per_step * (total_steps - state.step) as f64,
        }
    }
}
