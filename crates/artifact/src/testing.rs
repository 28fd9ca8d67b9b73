//! Small models for this crate's tests.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::Dtype;
use tempfile::TempDir;

use crate::{Gpt2Config, OwnedTensor};

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
    crate::write_safetensors(path, tensors, &BTreeMap::new()).unwrap();
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
