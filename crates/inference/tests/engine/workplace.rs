//! Models to serve, an engine to serve them, and someone to ask it.

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use llmopt_artifact::{Gpt2Config, init_gpt2};
use llmopt_domain::{Conversation, Message, Role};
use llmopt_inference::{EngineOptions, LlamaEngine, WeightType};
use llmopt_service::{
    FinishReason, GenerationError, GenerationEvent, GenerationRequest, GenerationStream, Sampling,
    ServedModel, TextGenerator,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Longer than anything takes here: only a deadlock does.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Tokenizer and template of the tiny model, for models of any weights.
const TOKENIZER_FILES: [&str; 4] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
];

pub(crate) fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures");
    fixtures.join(name)
}

/// The tiny model of the fixtures, with its adapter if asked for.
pub(crate) fn tiny(adapter: Option<PathBuf>) -> ServedModel<PathBuf> {
    ServedModel {
        key: if adapter.is_some() {
            "tiny-lora"
        } else {
            "tiny"
        }
        .to_owned(),
        weights: fixture("tiny-gpt2"),
        weights_digest: None,
        adapter,
        tokenizer: fixture("tiny-gpt2"),
    }
}

/// A folder for models, and one for what the engine makes of them.
pub(crate) struct Workplace(TempDir);

impl Workplace {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where the engine keeps converted files.
    pub(crate) fn converted(&self) -> PathBuf {
        self.path("converted")
    }

    /// Options for exact weights and `models` in memory.
    pub(crate) fn options(&self, models: u32) -> EngineOptions {
        EngineOptions {
            max_models: NonZeroU32::new(models).unwrap(),
            at_once: NonZeroU32::new(2).unwrap(),
            weights: WeightType::F32,
            ..EngineOptions::new(self.converted())
        }
    }

    pub(crate) fn engine(&self, models: u32) -> Arc<LlamaEngine> {
        Arc::new(LlamaEngine::new(&self.options(models)).unwrap())
    }

    /// Makes a model with random weights that `seed` fixes.
    pub(crate) fn random_model(&self, name: &str, seed: u64) -> ServedModel<PathBuf> {
        let small = Gpt2Config {
            n_positions: 96,
            n_embd: 32,
            n_layer: 2,
            ..config()
        };
        self.model_of(name, &small, seed)
    }

    /// Makes a model that takes seconds to read a long prompt.
    pub(crate) fn large_model(&self, name: &str) -> ServedModel<PathBuf> {
        let large = Gpt2Config {
            n_positions: 1024,
            n_embd: 512,
            n_layer: 12,
            ..config()
        };
        self.model_of(name, &large, 1)
    }

    fn model_of(&self, name: &str, config: &Gpt2Config, seed: u64) -> ServedModel<PathBuf> {
        let folder = self.path(name);
        init_gpt2(&folder, config, seed).unwrap();
        enlarge(&folder.join("model.safetensors"));
        for file in TOKENIZER_FILES {
            fs::copy(fixture("tiny-gpt2").join(file), folder.join(file)).unwrap();
        }
        ServedModel {
            key: name.to_owned(),
            weights: folder.clone(),
            weights_digest: None,
            adapter: None,
            tokenizer: folder,
        }
    }

    /// The names of the converted files.
    pub(crate) fn converted_files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.converted()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".gguf"))
            .collect();
        names.sort();
        names
    }

    /// How many of the converted files are mapped into this process: what is really in memory.
    pub(crate) fn mapped_files(&self) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let folder = self.converted().display().to_string();
        let mut files: Vec<&str> = maps
            .lines()
            .filter_map(|line| Some(&line[line.find(&folder)?..]))
            .collect();
        files.sort_unstable();
        files.dedup();
        files.len()
    }
}

/// Multiplies all weights: as they are initialised, every model repeats the last token for ever.
fn enlarge(weights: &Path) {
    let mut bytes = fs::read(weights).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (values, _) = bytes[8 + header..].as_chunks_mut::<4>();
    for value in values {
        *value = (f32::from_le_bytes(*value) * 8.0).to_le_bytes();
    }
    fs::write(weights, bytes).unwrap();
}

fn config() -> Gpt2Config {
    Gpt2Config {
        vocab_size: 320,
        n_positions: 96,
        n_embd: 32,
        n_layer: 2,
        n_head: 4,
        n_inner: None,
        layer_norm_epsilon: 1e-5,
        activation_function: "gelu_new".to_owned(),
        tie_word_embeddings: true,
        eos_token_id: Some(319),
    }
}

/// Always the likeliest of at most `max_tokens`.
pub(crate) fn greedy(max_tokens: u32) -> Sampling {
    Sampling {
        max_tokens,
        temperature: 0.0,
        top_p: 1.0,
        stop: Vec::new(),
        seed: 0,
    }
}

/// Drawn tokens, at most `max_tokens`.
pub(crate) fn drawn(max_tokens: u32, seed: u64) -> Sampling {
    Sampling {
        temperature: 1.0,
        seed,
        ..greedy(max_tokens)
    }
}

pub(crate) fn request(
    model: &ServedModel<PathBuf>,
    content: &str,
    sampling: Sampling,
) -> GenerationRequest<PathBuf> {
    GenerationRequest {
        model: model.clone(),
        conversation: Conversation::new(vec![Message::new(Role::User, content)]),
        sampling,
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) parts: Vec<String>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) prompt_tokens: u32,
    pub(crate) completion_tokens: u32,
    pub(crate) cached: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        self.parts.concat()
    }

    /// Reads an answer to its end.
    pub(crate) async fn read(mut stream: GenerationStream) -> Self {
        let mut parts = Vec::new();
        loop {
            let event = timeout(LONG, stream.recv()).await.expect("no deadlock");
            match event.expect("an end").expect("an answer") {
                GenerationEvent::Text { text } => {
                    assert!(!text.is_empty());
                    parts.push(text);
                }
                GenerationEvent::Finished {
                    finish_reason,
                    prompt_tokens,
                    completion_tokens,
                    cached,
                    ..
                } => {
                    assert!(stream.recv().await.is_none(), "nothing comes after the end");
                    return Self {
                        parts,
                        finish_reason,
                        prompt_tokens,
                        completion_tokens,
                        cached,
                    };
                }
            }
        }
    }
}

/// Asks and reads the answer to its end.
pub(crate) async fn ask(
    engine: &LlamaEngine,
    request: GenerationRequest<PathBuf>,
) -> Result<Answer, GenerationError> {
    let stream = timeout(LONG, engine.generate(request))
        .await
        .expect("no deadlock")?;
    Ok(Answer::read(stream).await)
}
