//! The reference numbers in `fixtures`, and how they are compared.

use std::{fs, path::PathBuf};

use llmopt_artifact::{AdapterFolder, ModelFolder};
use llmopt_tokenization::EncodedExample;
use llmopt_trainer::{
    model::Gpt2,
    weights::{LoadOptions, load_gpt2},
};
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub(crate) fn fixture_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&fs::read(fixture(name)).unwrap()).unwrap()
}

/// The tiny model, on as many weights as `method` trains.
pub(crate) fn tiny(trainable: bool) -> Gpt2 {
    tch::set_num_threads(1);
    let folder = Box::leak(Box::new(ModelFolder::open(&fixture("tiny-gpt2")).unwrap()));
    let options = LoadOptions {
        trainable,
        kind: Kind::Float,
        device: Device::Cpu,
    };
    load_gpt2(folder, options).unwrap()
}

/// The tiny model with the fixture's adapter, whose B is not zero.
pub(crate) fn tiny_lora() -> Gpt2 {
    let mut model = tiny(false);
    let adapter = AdapterFolder::open(&fixture("tiny-lora")).unwrap();
    model.attach_adapter(&adapter, Device::Cpu).unwrap();
    model
}

/// A safetensors file of reference numbers.
pub(crate) struct Reference(Vec<u8>);

impl Reference {
    pub(crate) fn open(name: &str) -> Self {
        Self(fs::read(fixture(name)).unwrap())
    }

    fn parsed(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.parsed()
            .names()
            .into_iter()
            .map(ToOwned::to_owned)
            .collect()
    }

    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        let parsed = self.parsed();
        let view = parsed.tensor(name).unwrap();
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let kind = match view.dtype() {
            safetensors::Dtype::F32 => Kind::Float,
            safetensors::Dtype::I64 => Kind::Int64,
            safetensors::Dtype::U8 => Kind::Uint8,
            other => panic!("unexpected type {other:?}"),
        };
        Tensor::from_data_size(view.data(), &shape, kind)
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        let ids: Vec<i64> = self.tensor(name).try_into().unwrap();
        ids.into_iter().map(|id| id as u32).collect()
    }

    /// The rows `{prefix}.0`, `{prefix}.1`, … as many as there are.
    pub(crate) fn rows(&self, prefix: &str) -> Vec<EncodedExample> {
        let names = self.names();
        (0..)
            .map(|row| format!("{prefix}.{row}"))
            .take_while(|row| names.contains(&format!("{row}.ids")))
            .map(|row| {
                let mask: Vec<u8> = self.tensor(&format!("{row}.mask")).try_into().unwrap();
                EncodedExample {
                    ids: self.ids(&format!("{row}.ids")),
                    loss_mask: mask.into_iter().map(|label| label == 1).collect(),
                }
            })
            .collect()
    }
}

/// The largest difference over the largest value of `expected`.
pub(crate) fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let largest = expected.abs().max().double_value(&[]);
    (found - expected).abs().max().double_value(&[]) / largest.max(f64::MIN_POSITIVE)
}
