use std::{path::PathBuf, sync::Arc, time::Instant};

use async_trait::async_trait;
use llmopt_domain::Conversation;
use llmopt_service::{
    CacheStatus, GenerationError, GenerationRequest, GenerationStream, ServedModel, TextGenerator,
};
use tokio::task;

use crate::{
    EngineOptions, InferenceError,
    answer::Job,
    cache::{Acquired, Cache, Lease, Limits},
    loader::ModelLoader,
    reply::Reply,
};

/// Answers with models on llama.cpp, on this machine's processor.
///
/// Models are loaded when they are first asked for and stay in memory until there is no room; see
/// [`EngineOptions`]. A model answers one request at a time, in the order in which they come; answers
/// of several models take turns token by token. At temperature 0 and in 32-bit weights they are those
/// of `transformers`.
pub struct LlamaEngine {
    cache: Cache<ModelLoader>,
}

impl LlamaEngine {
    /// Makes an engine with no model in memory.
    ///
    /// # Errors
    /// If the folder for converted models cannot be made, or there is no thread.
    pub fn new(options: &EngineOptions) -> Result<Self, InferenceError> {
        let loader = ModelLoader::new(options)?;
        let limits = Limits {
            models: options.max_models.get(),
            bytes: options.max_bytes,
        };
        let cache = Cache::new(loader, limits).map_err(InferenceError::Thread)?;
        Ok(Self { cache })
    }

    /// Has the model called `key` leave memory as soon as it is idle; a request for it that comes
    /// later loads it anew. The files it was loaded from may be deleted at any time.
    pub fn forget(&self, key: &str) {
        self.cache.forget(key);
    }

    async fn load(
        &self,
        model: &ServedModel<PathBuf>,
    ) -> Result<Acquired<ModelLoader>, GenerationError> {
        let acquired = self.cache.acquire(&model.key, model).await;
        acquired.map_err(|error| error.for_load(&model.key))
    }
}

#[async_trait]
impl TextGenerator<PathBuf> for LlamaEngine {
    async fn generate(
        &self,
        request: GenerationRequest<PathBuf>,
    ) -> Result<GenerationStream, GenerationError> {
        let asked = Instant::now();
        let GenerationRequest {
            model,
            conversation,
            sampling,
        } = request;
        let Acquired { lease, cached } = self.load(&model).await?;
        let lease = Arc::new(lease);
        let prompt = encode(&model.key, &lease, conversation).await?;
        let answer_tokens = room(&lease, prompt.len())?.min(sampling.max_tokens as usize);
        let (reply, stream) = Reply::new(&model.key, answer_tokens);
        let job = Job {
            prompt,
            sampling,
            reply,
            asked,
            cached,
            lease: Box::new(Arc::clone(&lease)),
        };
        if !lease.worker.submit(job) {
            // Its thread is gone, which only a panic explains: the next request gets another.
            self.forget(&model.key);
        }
        Ok(stream)
    }

    fn cache(&self) -> Option<CacheStatus> {
        Some(self.cache.status())
    }
}

/// Encodes the turns where that holds up nobody else.
async fn encode(
    key: &str,
    lease: &Lease<ModelLoader>,
    conversation: Conversation,
) -> Result<Vec<u32>, GenerationError> {
    let encoder = Arc::clone(&lease.encoder);
    let encoded = task::spawn_blocking(move || encoder.encode_prompt(&conversation)).await;
    Ok(encoded.map_err(|_| InferenceError::Interrupted.for_answer(key))??)
}

/// Returns how many tokens an answer can have after a prompt of `tokens`.
fn room(lease: &Lease<ModelLoader>, tokens: usize) -> Result<usize, GenerationError> {
    let context = lease.context_tokens;
    match context.checked_sub(tokens) {
        None | Some(0) => Err(GenerationError::Overlong { tokens, context }),
        Some(room) => Ok(room),
    }
}
