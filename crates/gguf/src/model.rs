use std::path::Path;

use llmopt_artifact::{Gpt2Config, ModelFolder};

use crate::{
    GgufError, WeightType,
    element::ElementType,
    metadata::{Metadata, Value},
    names::{Kind, place},
    tensor::{Layout, Tensor},
    tokenizer,
    writer::GgufWriter,
};

pub(crate) const ARCHITECTURE: &str = "gpt2";
/// The version of ggml's quantised formats (`GGML_QNT_VERSION`).
pub(crate) const QUANTIZATION_VERSION: u32 = 2;

/// Writes a model and the tokenizer in `tokenizer_folder` as a GGUF file for llama.cpp.
///
/// The file appears at `output` when it is whole; a file that is there is replaced. Tensors are converted
/// piece by piece, and the pages of one are dropped before the next is read. A vocabulary that is shorter
/// than the embedding is filled up with unused tokens. The output projection is left out where it is the
/// embedding.
///
/// # Errors
/// [`GgufError::NotGpt2Tokenizer`] if the tokenizer is not GPT-2's byte-level BPE,
/// [`GgufError::VocabularyTooLong`] if it has more tokens than the embedding has rows,
/// [`GgufError::NotRepresentable`] if a weight is no finite number in its type, and what reading the
/// folders or writing the file fails with.
pub fn write_model(
    folder: &ModelFolder,
    tokenizer_folder: &Path,
    weights: WeightType,
    output: &Path,
) -> Result<(), GgufError> {
    let mut metadata = describe(folder.config(), weights);
    tokenizer::describe(folder, tokenizer_folder, &mut metadata)?;
    let tensors = tensors(folder, weights)?;
    let mut writer = GgufWriter::create(output, &metadata, &tensors)?;
    for tensor in &tensors {
        writer.write(tensor)?;
        folder.discard(&tensor.source)?;
    }
    writer.finish()
}

fn describe(config: &Gpt2Config, weights: WeightType) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.push_str("general.architecture", ARCHITECTURE);
    metadata.push_str("general.type", "model");
    let sizes = [
        ("block_count", config.n_layer),
        ("context_length", config.n_positions),
        ("embedding_length", config.n_embd),
        ("feed_forward_length", config.inner()),
        ("attention.head_count", config.n_head),
    ];
    for (key, size) in sizes {
        // The configuration's sizes are far below 2^32.
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        metadata.push(format!("{ARCHITECTURE}.{key}"), Value::U32(size));
    }
    metadata.push(
        format!("{ARCHITECTURE}.attention.layer_norm_epsilon"),
        Value::F32(config.layer_norm_epsilon as f32),
    );
    metadata.push("general.file_type", Value::U32(weights.file_type()));
    metadata.push(
        "general.quantization_version",
        Value::U32(QUANTIZATION_VERSION),
    );
    metadata
}

/// Lists the model's tensors in the order of the computation.
fn tensors(folder: &ModelFolder, weights: WeightType) -> Result<Vec<Tensor<'_>>, GgufError> {
    let shapes = folder.config().tensor_shapes().into_iter();
    shapes
        .map(|(source, shape)| {
            let place = place(&source).ok_or_else(|| GgufError::NoPlace {
                tensor: source.clone(),
            })?;
            let width = match place.layout {
                Layout::AsStored => shape.last(),
                Layout::Transposed => shape.first(),
            };
            let element = match place.kind {
                Kind::Matrix => ElementType::of_matrix(weights, width.copied().unwrap_or(1)),
                Kind::Exact => ElementType::F32,
            };
            Ok(Tensor {
                name: place.name,
                view: folder.tensor(&source)?,
                layout: place.layout,
                element,
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use llmopt_artifact::{Dtype, TensorFile, TensorSpec};

    use super::*;
    use crate::testing::{self, Gguf, config, fixture};

    fn write(model: &ModelFolder, weights: WeightType) -> Gguf {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        write_model(model, &fixture("tiny-gpt2"), weights, &path).unwrap();
        Gguf::read(&path)
    }

    fn floats(model: &ModelFolder, name: &str) -> Vec<f32> {
        let words = model.tensor(name).unwrap().bytes.as_chunks::<4>().0.iter();
        words.map(|&word| f32::from_le_bytes(word)).collect()
    }

    #[test]
    fn the_metadata_begins_with_the_models_shape() {
        let (_folder, model) = testing::model(&config());
        let file = write(&model, WeightType::Q8_0);
        let numbers = |key: &str| match file.get(key) {
            Some(Value::U32(value)) => *value,
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(file.metadata[0].1, Value::String("gpt2".to_owned()));
        assert_eq!(file.metadata[1].1, Value::String("model".to_owned()));
        assert_eq!(numbers("gpt2.block_count"), 1);
        assert_eq!(numbers("gpt2.context_length"), 16);
        assert_eq!(numbers("gpt2.embedding_length"), 8);
        assert_eq!(numbers("gpt2.feed_forward_length"), 64);
        assert_eq!(numbers("gpt2.attention.head_count"), 2);
        assert_eq!(numbers("general.file_type"), 7);
        assert_eq!(numbers("general.quantization_version"), 2);
        let epsilon = file.get("gpt2.attention.layer_norm_epsilon");
        assert_eq!(epsilon, Some(&Value::F32(1e-5)));
    }

    #[test]
    fn matrices_are_transposed_and_everything_else_is_as_stored() {
        let (_folder, model) = testing::model(&config());
        let file = write(&model, WeightType::F32);
        assert_eq!(file.tensor("token_embd.weight").dimensions, [8, 330]);
        assert_eq!(file.tensor("position_embd.weight").dimensions, [8, 16]);
        let (stored, written) = (
            floats(&model, "h.0.attn.c_attn.weight"),
            file.tensor("blk.0.attn_qkv.weight"),
        );
        assert_eq!(written.dimensions, [8, 24]);
        let written = written.floats();
        for (input, output) in [(0, 1), (7, 23), (3, 20)] {
            assert_eq!(written[output * 8 + input], stored[input * 24 + output]);
        }
        let embedding = file.tensor("token_embd.weight").floats();
        assert_eq!(embedding, floats(&model, "wte.weight"));
    }

    #[test]
    fn norms_biases_and_positions_are_never_rounded() {
        let (_folder, model) = testing::model(&config());
        for (weights, embedding, down) in [
            (WeightType::F32, 0, 0),
            (WeightType::F16, 1, 1),
            // Rows of 8 are no block of Q8_0, rows of 64 are two.
            (WeightType::Q8_0, 1, 8),
        ] {
            let file = write(&model, weights);
            assert_eq!(file.tensor("token_embd.weight").element, embedding);
            assert_eq!(file.tensor("blk.0.ffn_down.weight").element, down);
            for name in [
                "position_embd.weight",
                "blk.0.attn_norm.weight",
                "blk.0.ffn_down.bias",
                "output_norm.bias",
            ] {
                assert_eq!(file.tensor(name).element, 0, "{name}");
            }
        }
    }

    #[test]
    fn the_output_projection_is_there_only_if_it_is_not_the_embedding() {
        for tied in [true, false] {
            let (_folder, model) = testing::model(&Gpt2Config {
                tie_word_embeddings: tied,
                ..config()
            });
            let file = write(&model, WeightType::F16);
            assert_eq!(file.names().contains(&"output.weight"), !tied);
            assert_eq!(file.tensors.len(), if tied { 16 } else { 17 });
        }
    }

    #[test]
    fn the_same_model_gives_the_same_bytes_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("another name");
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(fixture("tiny-gpt2")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        let mut files = Vec::new();
        for (number, base) in [fixture("tiny-gpt2"), copy.clone(), copy]
            .iter()
            .enumerate()
        {
            let model = ModelFolder::open(base).unwrap();
            let output = folder.path().join(number.to_string());
            write_model(&model, base, WeightType::Q8_0, &output).unwrap();
            files.push(fs::read(output).unwrap());
        }
        assert!(files.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn weights_in_halves_are_read_exactly() {
        let (folder, model) = testing::model(&config());
        let path = folder.path().join("model.safetensors");
        let whole = TensorFile::open(&path).unwrap();
        let specs = whole.names().into_iter().map(|name| TensorSpec {
            shape: whole.tensor(&name).unwrap().shape.to_vec(),
            dtype: Dtype::BF16,
            name,
        });
        let halves = folder.path().join("halves");
        let specs: Vec<TensorSpec> = specs.collect();
        let mut writer =
            llmopt_artifact::SafetensorsWriter::create(&halves, specs.clone()).unwrap();
        for spec in &specs {
            // The upper half of a 32-bit float is the bfloat16 that it is cut to.
            let words = whole.tensor(&spec.name).unwrap().bytes.as_chunks::<4>().0;
            let bytes: Vec<u8> = words.iter().flat_map(|word| [word[2], word[3]]).collect();
            writer.write(&spec.name, &bytes).unwrap();
        }
        writer.finish().unwrap();
        let exact = floats(&model, "wte.weight");
        drop(whole);
        fs::rename(&halves, &path).unwrap();
        let file = write(&ModelFolder::open(folder.path()).unwrap(), WeightType::F32);
        let read = file.tensor("token_embd.weight").floats();
        for (read, exact) in read.iter().zip(exact) {
            assert_eq!(read.to_bits(), exact.to_bits() & 0xffff_0000);
        }
    }

    #[test]
    fn a_tokenizer_with_more_tokens_than_the_embedding_is_refused_before_a_file_is_there() {
        let (folder, model) = testing::model(&Gpt2Config {
            vocab_size: 319,
            eos_token_id: Some(1),
            ..config()
        });
        let output = folder.path().join("m.gguf");
        let error = write_model(&model, &fixture("tiny-gpt2"), WeightType::F16, &output);
        let error = error.unwrap_err();
        assert!(
            matches!(
                error,
                GgufError::VocabularyTooLong {
                    id: 319,
                    rows: 319,
                    ..
                }
            ),
            "{error}"
        );
        assert!(!output.exists());
    }
}
