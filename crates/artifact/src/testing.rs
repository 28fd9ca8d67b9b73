//! Small models and records for this crate's tests.

use std::{fs, path::Path};

use llmopt_domain::{
    BaseModel, ColumnMap, DatasetFile, Digest, EvaluationMetrics, JobSpec, TrainingConfig,
};
use safetensors::Dtype;
use tempfile::TempDir;

use crate::{
    EvaluationResults, Gpt2Config, LossPoint, OwnedTensor, Resources, RowCounts, TrainingMetadata,
};

pub(crate) fn config() -> Gpt2Config {
    Gpt2Config {
        vocab_size: 40,
        n_positions: 16,
        n_embd: 8,
        n_layer: 1,
        n_head: 2,
        n_inner: None,
        layer_norm_epsilon: 1e-5,
        activation_function: "gelu_new".to_owned(),
        tie_word_embeddings: true,
        eos_token_id: Some(39),
    }
}

pub(crate) fn tensor(name: &str, dtype: Dtype, shape: &[usize]) -> OwnedTensor {
    let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    let bytes = (0..size).map(|i| (i % 61) as u8).collect();
    OwnedTensor {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
        bytes,
    }
}

pub(crate) fn write_safetensors(path: &Path, tensors: impl IntoIterator<Item = OwnedTensor>) {
    crate::write_safetensors(path, tensors).unwrap();
}

pub(crate) fn tensors(rename: impl Fn(&str) -> String) -> Vec<OwnedTensor> {
    let shapes = config().tensor_shapes();
    shapes
        .iter()
        .map(|(name, shape)| tensor(&rename(name), Dtype::F32, shape))
        .collect()
}

/// Writes a model whose tensors have the names that `rename` gives them.
pub(crate) fn model(rename: impl Fn(&str) -> String) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let json = serde_json::to_string(&config().to_json()).unwrap();
    fs::write(folder.path().join("config.json"), json).unwrap();
    write_safetensors(&folder.path().join("model.safetensors"), tensors(rename));
    folder
}

/// Replaces `model.safetensors` in `folder` by two shards and their index.
pub(crate) fn shard(folder: &Path) {
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let mut first = tensors(str::to_owned);
    let second = first.split_off(5);
    let mut map = serde_json::Map::new();
    for (number, tensors) in [(1, first), (2, second)] {
        let file = format!("model-0000{number}-of-00002.safetensors");
        for tensor in &tensors {
            map.insert(tensor.name.clone(), file.clone().into());
        }
        write_safetensors(&folder.join(&file), tensors);
    }
    let index = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": map});
    fs::write(
        folder.join("model.safetensors.index.json"),
        index.to_string(),
    )
    .unwrap();
}

/// An identity that does not change when a configuration gets another knob.
pub(crate) fn job() -> Digest {
    Digest::of_bytes(b"job")
}

/// A job whose files lie in somebody's home.
pub(crate) fn job_spec() -> JobSpec {
    let digest = |text: &str| Digest::of_bytes(text.as_bytes());
    JobSpec {
        format: 1,
        model: "ft:gpt2:orders".parse().unwrap(),
        base: BaseModel {
            name: "openai-community/gpt2".to_owned(),
            digest: digest("base"),
            path: "/home/someone/gpt2".into(),
        },
        dataset: DatasetFile {
            digest: digest("dataset"),
            path: "/home/someone/orders.jsonl".into(),
            columns: ColumnMap::default(),
        },
        evaluation: Some(DatasetFile {
            digest: digest("evaluation"),
            path: "/home/someone/held_out.jsonl".into(),
            columns: ColumnMap::default(),
        }),
        config: TrainingConfig::default(),
        code_version: "0.1.0".to_owned(),
        data_dir: "/home/someone/.llmopt".into(),
    }
}

pub(crate) fn training_metadata() -> TrainingMetadata {
    let spec = job_spec();
    let point = |step, loss, tokens_per_second| LossPoint {
        step,
        loss,
        learning_rate: 2e-4,
        gradient_norm: 1.5,
        tokens_per_second,
    };
    TrainingMetadata {
        format: 1,
        job: job(),
        spec: crate::without_folders(&spec),
        code_version: "0.1.0".to_owned(),
        rows: RowCounts {
            training: 200,
            evaluation: Some(20),
            dropped: 2,
        },
        trainable_parameters: 2_359_296,
        parameters: 126_799_104,
        steps: 2,
        tokens: 4_096,
        loss_curve: vec![point(1, 3.25, None), point(2, 2.5, Some(512.0))],
        resources: Resources {
            device: "cpu".to_owned(),
            peak_memory_bytes: 900 << 20,
            peak_gpu_memory_bytes: None,
            threads: 2,
            seconds: 8.0,
        },
        cost_picodollars: Some(1_500_000_000),
    }
}

pub(crate) fn evaluation_results() -> EvaluationResults {
    let metrics = |loss, perplexity, exact_match| EvaluationMetrics {
        rows: 20,
        loss,
        perplexity,
        exact_match,
    };
    EvaluationResults {
        format: 1,
        dataset: Digest::of_bytes(b"evaluation"),
        max_new_tokens: 32,
        before: Some(metrics(3.5, 33.115_452, None)),
        after: metrics(0.5, 1.648_721, Some(0.75)),
    }
}
