use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use llmopt_artifact::{Gpt2Config, ModelFolder};
use llmopt_domain::Digest;
use llmopt_gguf::WeightType;
use llmopt_llama::{Adapter, Context, ContextOptions, Gelu, Model, ModelShape};
use llmopt_service::ServedModel;
use llmopt_tokenization::{Encoder, TemplateLock};
use parking_lot::Mutex;

use crate::{
    EngineOptions, InferenceError,
    answer::Answerer,
    cache::{Charge, Loader},
    converted::ConvertedFiles,
    tokens::BATCH_TOKENS,
    turn::Turns,
    worker::Worker,
};

/// Turns model folders into models that answer.
pub(crate) struct ModelLoader {
    files: ConvertedFiles,
    threads: u32,
    gelu: Gelu,
    turns: Arc<Turns>,
    max_context_tokens: u32,
    /// The weights in memory, by file: models with the same weights share them.
    weights: Mutex<HashMap<PathBuf, Weak<Model>>>,
}

/// A model that is ready to be loaded.
pub(crate) struct PreparedModel {
    encoder: Encoder,
    weights: PathBuf,
    adapter: Option<PathBuf>,
    options: ContextOptions,
}

/// A model in memory.
pub(crate) struct LoadedModel {
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) context_tokens: usize,
    pub(crate) worker: Worker,
}

impl ModelLoader {
    /// Makes the folder for converted files if need be.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) fn new(options: &EngineOptions) -> Result<Self, InferenceError> {
        Ok(Self {
            files: ConvertedFiles::open(&options.folder, options.weights)?,
            threads: options.threads.get(),
            gelu: match options.weights {
                WeightType::F32 => Gelu::Exact,
                // The weights are rounded as much as the table.
                WeightType::F16 | WeightType::Q8_0 => Gelu::Table,
            },
            turns: Arc::new(Turns::new(options.at_once)),
            max_context_tokens: options.max_context_tokens.get(),
            weights: Mutex::default(),
        })
    }

    fn context_options(&self, config: &Gpt2Config) -> ContextOptions {
        let longest = u32::try_from(config.n_positions).unwrap_or(u32::MAX);
        let context_tokens = longest.min(self.max_context_tokens);
        ContextOptions {
            context_tokens,
            batch_tokens: BATCH_TOKENS.min(context_tokens),
            threads: self.threads,
            gelu: self.gelu,
        }
    }

    /// Maps the weights unless they are.
    fn weights(&self, path: &Path) -> Result<Arc<Model>, InferenceError> {
        let mut weights = self.weights.lock();
        weights.retain(|_, model| model.strong_count() > 0);
        if let Some(model) = weights.get(path).and_then(Weak::upgrade) {
            return Ok(model);
        }
        let model = Model::load(path)?;
        weights.insert(path.to_owned(), Arc::downgrade(&model));
        Ok(model)
    }
}

impl Loader for ModelLoader {
    type Source = ServedModel<PathBuf>;
    type Prepared = PreparedModel;
    type Value = LoadedModel;

    fn prepare(
        &self,
        source: &ServedModel<PathBuf>,
    ) -> Result<(PreparedModel, Charge), InferenceError> {
        let encoder = open_encoder(&source.tokenizer)?;
        let folder = ModelFolder::open(&source.weights)?;
        check_vocabulary(&encoder, folder.config(), &source.tokenizer)?;
        let digest = self.files.digest(&folder)?;
        check_digest(source, &digest)?;
        let weights = self
            .files
            .model(&source.weights, &digest, &source.tokenizer)?;
        let adapter = source.adapter.as_deref();
        let adapter = adapter
            .map(|adapter| self.files.adapter(adapter))
            .transpose()?;
        let options = self.context_options(folder.config());
        let context_bytes = shape(folder.config()).context_bytes(options);
        let adapter_bytes = adapter.as_deref().map(size_bytes).transpose()?;
        let charge = Charge {
            weights_bytes: size_bytes(&weights)?,
            weights: weights.display().to_string(),
            own_bytes: context_bytes + adapter_bytes.unwrap_or(0),
        };
        Ok((
            PreparedModel {
                encoder,
                weights,
                adapter,
                options,
            },
            charge,
        ))
    }

    fn load(&self, prepared: PreparedModel) -> Result<LoadedModel, InferenceError> {
        let PreparedModel {
            encoder,
            weights,
            adapter,
            options,
        } = prepared;
        let encoder = Arc::new(encoder);
        let model = self.weights(&weights)?;
        let adapter = adapter
            .map(|adapter| Adapter::load(&model, &adapter))
            .transpose()?;
        let mut context = Context::new(model, options)?;
        context.set_adapter(adapter)?;
        let answerer = Answerer {
            turns: Arc::clone(&self.turns),
            context,
            encoder: Arc::clone(&encoder),
        };
        Ok(LoadedModel {
            encoder,
            context_tokens: options.context_tokens as usize,
            worker: Worker::start(answerer).map_err(InferenceError::Thread)?,
        })
    }
}

/// Opens a tokenizer and has it prove that it encodes as in training, where that was recorded.
fn open_encoder(folder: &Path) -> Result<Encoder, InferenceError> {
    let encoder = Encoder::open(folder, None)?;
    let path = folder.join(TemplateLock::FILE_NAME);
    if path.is_file() {
        let json = fs::read_to_string(&path).map_err(InferenceError::io("read", &path))?;
        let lock: TemplateLock =
            serde_json::from_str(&json).map_err(|source| InferenceError::Json { path, source })?;
        lock.verify(&encoder)?;
    }
    Ok(encoder)
}

fn check_vocabulary(
    encoder: &Encoder,
    config: &Gpt2Config,
    folder: &Path,
) -> Result<(), InferenceError> {
    let (tokens, rows) = (encoder.vocabulary_size(), config.vocab_size);
    if tokens <= rows {
        return Ok(());
    }
    Err(InferenceError::Vocabulary {
        folder: folder.to_owned(),
        tokens,
        rows,
    })
}

fn check_digest(source: &ServedModel<PathBuf>, found: &Digest) -> Result<(), InferenceError> {
    match &source.weights_digest {
        Some(expected) if expected != found => Err(InferenceError::BaseChanged {
            folder: source.weights.clone(),
            expected: expected.clone(),
            found: found.clone(),
        }),
        _ => Ok(()),
    }
}

fn shape(config: &Gpt2Config) -> ModelShape {
    ModelShape {
        layers: config.n_layer as u64,
        width: config.n_embd as u64,
        heads: config.n_head as u64,
        key_width: config.n_embd as u64,
        vocabulary: config.vocab_size as u64,
    }
}

fn size_bytes(path: &Path) -> Result<u64, InferenceError> {
    let metadata = fs::metadata(path).map_err(InferenceError::io("read", path))?;
    Ok(metadata.len())
}
