//! A trainer without libtorch for the tests of the command line: it says and publishes what the real
//! one does, and computes nothing. `FAKE_TRAINER` chooses how it ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "part of a test, which fails by panicking"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use llmopt_artifact::{
    AdapterConfig, EvaluationResults, LossPoint, Resources, RowCounts, TrainingMetadata,
    without_folders,
};
use llmopt_domain::{EvaluationMetrics, EvaluationSpec, JobSpec, Method, ObjectKey, TrainingEvent};
use llmopt_storage::FolderStore;
use llmopt_storage_embedded::FileFolderStore;
use tokio::signal::unix::{SignalKind, signal};

const STEPS: u64 = 3;
const METRICS: EvaluationMetrics = EvaluationMetrics {
    rows: 12,
    loss: 0.25,
    perplexity: 1.284,
    exact_match: Some(0.5),
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let resume = arguments.iter().any(|argument| argument == "--resume");
    let spec = PathBuf::from(arguments.last().unwrap());
    let json = fs::read(&spec).unwrap();
    match arguments[0].as_str() {
        "run" => run(serde_json::from_slice(&json).unwrap(), resume).await,
        "evaluate" => evaluate(serde_json::from_slice(&json).unwrap()),
        other => panic!("unknown command {other}"),
    }
}

async fn run(spec: JobSpec, resume: bool) -> ExitCode {
    let mode = std::env::vars()
        .collect::<BTreeMap<_, _>>()
        .remove("FAKE_TRAINER")
        .unwrap_or_default();
    let store = FileFolderStore::open(&spec.data_dir).unwrap();
    let job = spec.identity().unwrap();
    let checkpoints = store.list(&ObjectKey::checkpoints(&job)).await.unwrap();
    let first = checkpoints.len() as u64;
    if first > 0 && !resume {
        eprintln!("error: this job already has a checkpoint");
        return ExitCode::from(2);
    }
    say(&TrainingEvent::Preparing {
        what: "tokenizing".into(),
    });
    say(&started(first));
    match mode.as_str() {
        "fail" => {
            eprintln!("error: step 1 gave loss NaN");
            return ExitCode::from(1);
        }
        "babble" => {
            println!("this is no event");
            return ExitCode::SUCCESS;
        }
        "wait" => {
            say(&step(1));
            signal(SignalKind::interrupt()).unwrap().recv().await;
            return interrupt(&store, &spec).await;
        }
        "interrupt" => return interrupt(&store, &spec).await,
        _ => {}
    }
    for taken in first + 1..=STEPS {
        say(&step(taken));
    }
    publish(&store, &spec).await;
    ExitCode::SUCCESS
}

fn evaluate(spec: EvaluationSpec) -> ExitCode {
    eprintln!(
        "evaluating {} with {:?}",
        spec.model.display(),
        spec.adapter
    );
    let total = spec.limit.unwrap_or(METRICS.rows);
    if spec.max_new_tokens > 0 {
        say(&TrainingEvent::Progress { done: total, total });
    }
    if let Some(path) = &spec.predictions {
        fs::write(path, "{}\n").unwrap();
    }
    say(&TrainingEvent::Evaluated {
        step: 0,
        metrics: METRICS,
    });
    ExitCode::SUCCESS
}

async fn interrupt(store: &FileFolderStore, spec: &JobSpec) -> ExitCode {
    let staged = store.stage().await.unwrap();
    fs::write(staged.path().join("state"), "1").unwrap();
    let key = ObjectKey::checkpoint(&spec.identity().unwrap(), 1);
    store.publish(staged.path(), &key).await.unwrap();
    say(&TrainingEvent::Checkpoint { step: 1 });
    say(&TrainingEvent::Interrupted { step: 1 });
    ExitCode::from(3)
}

async fn publish(store: &FileFolderStore, spec: &JobSpec) {
    let job = spec.identity().unwrap();
    let staged = store.stage().await.unwrap();
    let folder = staged.path();
    for entry in fs::read_dir(&spec.base.path).unwrap() {
        let path = entry.unwrap().path();
        let is_file =
            path.is_file() && !path.file_name().unwrap().to_str().unwrap().starts_with('.');
        if is_file {
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    if spec.config.method == Method::Lora {
        write_adapter(spec, &folder.join("adapter"));
    }
    metadata(spec).write(folder).unwrap();
    if let Some(held_out) = &spec.evaluation {
        say(&TrainingEvent::Evaluated {
            step: STEPS,
            metrics: METRICS,
        });
        let dataset = held_out.digest.clone();
        let results = EvaluationResults {
            format: 1,
            dataset,
            max_new_tokens: 8,
            before: None,
            after: METRICS,
        };
        results.write(folder).unwrap();
    }
    let versions = store
        .list(&ObjectKey::model_versions(&spec.model))
        .await
        .unwrap();
    let version = versions.len() as u32 + 1;
    let key = ObjectKey::model(&spec.model, version);
    store.publish(folder, &key).await.unwrap();
    for checkpoint in store.list(&ObjectKey::checkpoints(&job)).await.unwrap() {
        store.delete(&checkpoint).await.unwrap();
    }
    say(&TrainingEvent::Published {
        key: key.to_string(),
        version,
        seconds: 2.0,
    });
}

/// An adapter on one layer that changes nothing.
fn write_adapter(spec: &JobSpec, folder: &Path) {
    use llmopt_artifact::{Dtype, Gpt2Config, LoraFactor, OwnedTensor, adapter_tensor_name};

    fs::create_dir(folder).unwrap();
    AdapterConfig::for_gpt2(&spec.base.name, &spec.config.lora)
        .write(folder)
        .unwrap();
    let width = Gpt2Config::read(&spec.base.path).unwrap().n_embd;
    let rank = spec.config.lora.rank as usize;
    let tensor = |factor, shape: Vec<usize>| OwnedTensor {
        name: adapter_tensor_name("h.0.attn.c_attn", factor),
        dtype: Dtype::F32,
        bytes: vec![0; 4 * shape.iter().product::<usize>()],
        shape,
    };
    let tensors = [
        tensor(LoraFactor::A, vec![rank, width]),
        tensor(LoraFactor::B, vec![3 * width, rank]),
    ];
    llmopt_artifact::write_safetensors(&folder.join("adapter_model.safetensors"), tensors).unwrap();
}

fn metadata(spec: &JobSpec) -> TrainingMetadata {
    TrainingMetadata {
        format: 1,
        job: spec.identity().unwrap(),
        spec: without_folders(spec),
        code_version: spec.code_version.clone(),
        rows: RowCounts {
            training: 12,
            evaluation: spec.evaluation.as_ref().map(|_| METRICS.rows),
            dropped: 0,
        },
        trainable_parameters: 100,
        parameters: 1000,
        steps: STEPS,
        tokens: 600,
        loss_curve: vec![LossPoint {
            step: STEPS,
            loss: 0.5,
            learning_rate: 1e-4,
            gradient_norm: 1.0,
            tokens_per_second: None,
        }],
        resources: Resources {
            device: "cpu".into(),
            peak_memory_bytes: 1 << 20,
            peak_gpu_memory_bytes: None,
            threads: spec.config.threads,
            seconds: 2.0,
        },
        cost_picodollars: None,
    }
}

fn started(step: u64) -> TrainingEvent {
    TrainingEvent::Started {
        step,
        total_steps: STEPS,
        rows: 12,
        tokens: 600,
        trainable_tokens: 60,
        dropped_rows: 0,
        trainable_parameters: 100,
        parameters: 1000,
        device: "cpu".into(),
    }
}

fn step(step: u64) -> TrainingEvent {
    TrainingEvent::Step {
        step,
        total_steps: STEPS,
        loss: 1.0 / step as f64,
        gradient_norm: 1.0,
        learning_rate: 1e-4,
        tokens: 200,
        tokens_per_second: 300.0,
        peak_memory_bytes: 1 << 20,
        peak_gpu_memory_bytes: None,
        seconds_left: (STEPS - step) as f64,
    }
}

fn say(event: &TrainingEvent) {
    println!("{}", serde_json::to_string(event).unwrap());
}
