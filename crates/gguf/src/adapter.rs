use std::path::Path;

use llmopt_artifact::{AdapterConfig, AdapterFolder, LoraFactor, adapter_tensor_name};

use crate::{
    GgufError,
    element::ElementType,
    metadata::{Metadata, Value},
    model::{ARCHITECTURE, QUANTIZATION_VERSION},
    names::place,
    tensor::{Layout, Tensor},
    writer::GgufWriter,
};

/// Writes a LoRA adapter as a GGUF file for llama.cpp, in 32-bit floats.
///
/// The file appears at `output` when it is whole; a file that is there is replaced. The factors are as
/// PEFT keeps them, `A` `[r, in]` and `B` `[out, r]`: only the weights that they are added to are
/// transposed.
///
/// # Errors
/// [`GgufError::NotAdaptable`] if a layer is no matrix of a block, [`GgufError::NoScale`] if the adapter
/// is scaled by zero, [`GgufError::NotRepresentable`] if a weight is no finite number, and what reading
/// the folder or writing the file fails with.
pub fn write_adapter(adapter: &AdapterFolder, output: &Path) -> Result<(), GgufError> {
    let metadata = describe(adapter)?;
    let tensors = tensors(adapter)?;
    let mut writer = GgufWriter::create(output, &metadata, &tensors)?;
    for tensor in &tensors {
        writer.write(tensor)?;
    }
    writer.finish()
}

fn describe(adapter: &AdapterFolder) -> Result<Metadata, GgufError> {
    let mut metadata = Metadata::default();
    metadata.push_str("general.architecture", ARCHITECTURE);
    metadata.push_str("general.type", "adapter");
    metadata.push_str("adapter.type", "lora");
    let alpha = alpha(adapter.config());
    // llama.cpp takes zero for a file that does not say, and would scale by one.
    if alpha == 0.0 || !alpha.is_finite() {
        return Err(GgufError::NoScale {
            folder: adapter.path().to_owned(),
            lora_alpha: adapter.config().lora_alpha,
        });
    }
    metadata.push("adapter.lora.alpha", Value::F32(alpha));
    metadata.push(
        "general.quantization_version",
        Value::U32(QUANTIZATION_VERSION),
    );
    Ok(metadata)
}

/// Returns what llama.cpp, which divides by the rank, has to be told.
fn alpha(config: &AdapterConfig) -> f32 {
    (config.scale() * f64::from(config.r)) as f32
}

fn tensors(adapter: &AdapterFolder) -> Result<Vec<Tensor<'_>>, GgufError> {
    let mut tensors = Vec::with_capacity(2 * adapter.modules().len());
    for module in adapter.modules() {
        let name = adapted_weight(module).ok_or_else(|| GgufError::NotAdaptable {
            folder: adapter.path().to_owned(),
            module: module.clone(),
        })?;
        for (factor, suffix) in [(LoraFactor::A, "lora_a"), (LoraFactor::B, "lora_b")] {
            tensors.push(Tensor {
                name: format!("{name}.{suffix}"),
                source: adapter_tensor_name(module, factor),
                view: adapter.factor(module, factor)?,
                layout: Layout::AsStored,
                element: ElementType::F32,
            });
        }
    }
    Ok(tensors)
}

/// Returns llama.cpp's name of the matrix of a block that `module` adapts.
fn adapted_weight(module: &str) -> Option<String> {
    let place = place(&format!("{module}.weight"))?;
    (place.layout == Layout::Transposed).then_some(place.name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use llmopt_artifact::{Dtype, OwnedTensor, write_safetensors};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::testing::{Gguf, fixture};

    /// Writes an adapter of rank 2 for `module`, with `config` in place of what it says otherwise.
    fn adapter(module: &str, config: serde_json::Value) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut json = json!({
            "peft_type": "LORA", "r": 2, "lora_alpha": 8, "target_modules": [module],
        });
        for (key, value) in config.as_object().unwrap() {
            json[key] = value.clone();
        }
        fs::write(folder.path().join("adapter_config.json"), json.to_string()).unwrap();
        let factor = |factor, shape: [usize; 2]| OwnedTensor {
            name: adapter_tensor_name(module, factor),
            dtype: Dtype::BF16,
            shape: shape.to_vec(),
            bytes: vec![0x3f; 2 * shape[0] * shape[1]],
        };
        let tensors = [factor(LoraFactor::A, [2, 3]), factor(LoraFactor::B, [5, 2])];
        let path = folder.path().join("adapter_model.safetensors");
        write_safetensors(&path, tensors).unwrap();
        folder
    }

    fn write(folder: &Path) -> Result<Gguf, GgufError> {
        let output = tempfile::tempdir().unwrap();
        let path = output.path().join("a.gguf");
        write_adapter(&AdapterFolder::open(folder).unwrap(), &path)?;
        Ok(Gguf::read(&path))
    }

    #[test]
    fn factors_are_written_as_peft_keeps_them() {
        let folder = fixture("tiny-lora");
        let adapter = AdapterFolder::open(&folder).unwrap();
        let file = write(&folder).unwrap();
        assert_eq!(file.tensors.len(), 24);
        for (module, name, input, output) in [
            ("h.0.attn.c_attn", "blk.0.attn_qkv", 48, 144),
            ("h.1.attn.c_proj", "blk.1.attn_output", 48, 48),
            ("h.2.mlp.c_fc", "blk.2.ffn_up", 48, 192),
            ("h.2.mlp.c_proj", "blk.2.ffn_down", 192, 48),
        ] {
            let a = file.tensor(&format!("{name}.weight.lora_a"));
            let b = file.tensor(&format!("{name}.weight.lora_b"));
            assert_eq!(
                (&a.dimensions[..], &b.dimensions[..]),
                (&[input, 4][..], &[4, output][..])
            );
            assert_eq!((a.element, b.element), (0, 0));
            let stored = |factor| adapter.factor(module, factor).unwrap().bytes;
            assert_eq!(a.bytes, stored(LoraFactor::A));
            assert_eq!(b.bytes, stored(LoraFactor::B));
        }
    }

    #[test]
    fn the_metadata_says_what_it_is_and_how_it_is_scaled() {
        let file = write(&fixture("tiny-lora")).unwrap();
        let text = |text: &str| Some(Value::String(text.to_owned()));
        assert_eq!(file.get("general.architecture").cloned(), text("gpt2"));
        assert_eq!(file.get("general.type").cloned(), text("adapter"));
        assert_eq!(file.get("adapter.type").cloned(), text("lora"));
        assert_eq!(file.get("adapter.lora.alpha"), Some(&Value::F32(8.0)));
    }

    #[test]
    fn halves_become_32_bit_floats() {
        let folder = adapter("h.0.mlp.c_fc", json!({}));
        let file = write(folder.path()).unwrap();
        assert_eq!(
            file.names(),
            ["blk.0.ffn_up.weight.lora_a", "blk.0.ffn_up.weight.lora_b"]
        );
        assert_eq!(file.tensors[0].floats(), [f32::from_bits(0x3f3f_0000); 6]);
    }

    #[test]
    fn a_rank_stabilised_adapter_has_the_alpha_that_gives_its_scale() {
        let folder = adapter(
            "h.0.mlp.c_fc",
            json!({"use_rslora": true, "r": 2, "lora_alpha": 8}),
        );
        let file = write(folder.path()).unwrap();
        let Some(Value::F32(alpha)) = file.get("adapter.lora.alpha") else {
            panic!("no alpha")
        };
        assert!((alpha / 2.0 - 8.0 / 2.0_f32.sqrt()).abs() < 1e-6, "{alpha}");
    }

    #[test]
    fn an_adapter_that_is_scaled_by_zero_is_refused() {
        let folder = adapter("h.0.mlp.c_fc", json!({"lora_alpha": 0}));
        let error = write(folder.path()).unwrap_err();
        assert!(matches!(error, GgufError::NoScale { .. }), "{error}");
    }

    #[test]
    fn a_layer_that_is_no_matrix_of_a_block_is_refused_by_name() {
        for module in ["wpe", "wte", "h.0.ln_1", "h.0.attn.q_attn"] {
            let folder = adapter(module, json!({}));
            let error = write(folder.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("is for `{module}`")), "{error}");
        }
    }

    #[test]
    fn the_same_adapter_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let adapter = AdapterFolder::open(&fixture("tiny-lora")).unwrap();
        let written = ["1", "2"].map(|name| {
            let path = folder.path().join(name);
            write_adapter(&adapter, &path).unwrap();
            fs::read(path).unwrap()
        });
        assert_eq!(written[0], written[1]);
    }
}
