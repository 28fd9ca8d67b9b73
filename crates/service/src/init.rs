use std::{fs, path::Path};

use llmopt_artifact::{Gpt2Config, init_gpt2};
use llmopt_tokenization::{Encoder, train_bpe};
use serde::Deserialize;

use crate::{DatasetSource, ServiceError, tokens::each_row};

/// The sizes of a model to make, as `config.json` spells them, and what fixes its weights.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSizes {
    /// Tokens in the vocabulary at most; fewer where the texts do not repeat enough.
    #[serde(alias = "vocabulary_size")]
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub n_positions: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Number of blocks.
    pub n_layer: usize,
    /// Attention heads in each block.
    pub n_head: usize,
    /// Width of the feed-forward layer; absent means four times `n_embd`.
    #[serde(default)]
    pub n_inner: Option<usize>,
    /// Fixes the random weights.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

/// What a user asks for who wants a model made from nothing.
#[derive(Clone, Copy, Debug)]
pub struct InitRequest<'a> {
    /// The datasets to train the tokenizer on.
    pub datasets: &'a [DatasetSource],
    /// The model's sizes.
    pub sizes: &'a ModelSizes,
    /// The folder to make.
    pub folder: &'a Path,
}

/// A model that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewModel {
    /// Its parameters.
    pub parameters: u64,
    /// Its vocabulary in tokens.
    pub vocab_size: usize,
}

/// The smallest vocabulary there is: every byte, and the end of a text.
const BYTES_ONLY: usize = 257;

fn default_seed() -> u64 {
    42
}

/// Makes a GPT-2 with random weights, and a tokenizer trained on the datasets as the model will read
/// them. The same request gives the same bytes.
///
/// # Errors
/// If a dataset cannot be read, the sizes do not fit each other, or a file cannot be written.
pub fn init_model(request: InitRequest<'_>) -> Result<NewModel, ServiceError> {
    let InitRequest {
        datasets,
        sizes,
        folder,
    } = request;
    fs::create_dir_all(folder).map_err(ServiceError::file("write", folder))?;
    let texts = rendered_texts(datasets, &folder.join("bytes"))?;
    train_bpe(texts.into_iter(), sizes.vocab_size, folder)?;
    let encoder = Encoder::open(folder, None)?;
    encoder.save(folder)?;
    let config = Gpt2Config {
        vocab_size: encoder.vocabulary_size(),
        n_positions: sizes.n_positions,
        n_embd: sizes.n_embd,
        n_layer: sizes.n_layer,
        n_head: sizes.n_head,
        n_inner: sizes.n_inner,
        layer_norm_epsilon: 1e-5,
        activation_function: "gelu_new".to_owned(),
        tie_word_embeddings: true,
        eos_token_id: Some(encoder.end_token_id()),
    };
    init_gpt2(folder, &config, sizes.seed)?;
    let shapes = config.tensor_shapes().into_iter();
    let parameters = shapes
        .map(|(_, shape)| shape.iter().product::<usize>() as u64)
        .sum();
    Ok(NewModel {
        parameters,
        vocab_size: config.vocab_size,
    })
}

/// Renders every row with the chat template, so that its headings become tokens too. A tokenizer that
/// knows bytes only, in `folder` for as long as it takes, encodes and decodes without loss.
fn rendered_texts(datasets: &[DatasetSource], folder: &Path) -> Result<Vec<String>, ServiceError> {
    fs::create_dir_all(folder).map_err(ServiceError::file("write", folder))?;
    train_bpe(std::iter::empty(), BYTES_ONLY, folder)?;
    let encoder = Encoder::open(folder, None)?;
    fs::remove_dir_all(folder).map_err(ServiceError::file("remove", folder))?;
    let mut texts = Vec::new();
    for dataset in datasets {
        each_row(&dataset.path, &dataset.options(), &encoder, |row| {
            texts.push(encoder.decode(&row.encoded.ids)?);
            Ok(())
        })?;
    }
    Ok(texts)
}
