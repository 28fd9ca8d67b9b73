use std::{ffi::c_void, fmt, ptr, ptr::NonNull, slice, sync::Arc};

use llama_cpp_sys_2 as sys;

use crate::{Adapter, Gelu, LlamaError, Model, backend, gelu::ExactGelu, log::with_reason};

/// `GGML_MAX_N_THREADS`.
const MAX_THREADS: u32 = 512;

/// The size of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextOptions {
    /// Tokens that it holds at most; no more than the model was trained for.
    pub context_tokens: u32,
    /// Tokens that are decoded at once at most. Memory for computing grows with it.
    pub batch_tokens: u32,
    /// Threads that compute.
    pub threads: u32,
    /// How GELU is computed.
    pub gelu: Gelu,
}

/// Asked between two operations of a computation, thousands of times a second, whether to end it.
///
/// It may be asked on another thread, and must not panic.
pub type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// The state of one sequence of tokens: keys and values, in f32, and the memory to compute with.
///
/// What a batch gives depends on the tokens before it, on the sizes of the batches and on nothing
/// else: flash attention, whose sums depend on more, is off.
pub struct Context {
    raw: NonNull<sys::llama_context>,
    options: ContextOptions,
    position: usize,
    batch: Vec<sys::llama_token>,
    /// Whether the next batch lays out memory anew, as the making of a context does.
    stale: bool,
    /// Whether numbers that are not finite may lie in the memory.
    poisoned: bool,
    adapter: Option<Arc<Adapter>>,
    model: Arc<Model>,
    exact_gelu: Option<ExactGelu>,
}

// SAFETY: llama.cpp ties a context to no thread; it starts and ends its own within each computation.
unsafe impl Send for Context {}

impl Context {
    /// Makes an empty context.
    ///
    /// # Errors
    /// [`LlamaError::Options`] for sizes out of range, [`LlamaError::Context`] if there is no memory.
    pub fn new(model: Arc<Model>, options: ContextOptions) -> Result<Self, LlamaError> {
        let ContextOptions {
            context_tokens,
            batch_tokens,
            threads,
            gelu,
        } = options;
        check("context tokens", context_tokens, model.context_tokens())?;
        check("batch tokens", batch_tokens, context_tokens)?;
        check("threads", threads, MAX_THREADS)?;
        let mut parameters = parameters(options);
        let exact_gelu = (gelu == Gelu::Exact).then(|| ExactGelu::watching(&mut parameters));
        // SAFETY: the model is loaded, no other thread changes it, and the parameters are llama.cpp's
        // own with plain values changed.
        let make = || unsafe {
            let _changing = backend::exclusive();
            sys::llama_init_from_model(model.raw(), parameters)
        };
        let (raw, reason) = with_reason(make);
        let tokens = context_tokens;
        Ok(Self {
            raw: NonNull::new(raw).ok_or(LlamaError::Context { tokens, reason })?,
            options,
            position: 0,
            batch: Vec::with_capacity(batch_tokens as usize),
            stale: false,
            poisoned: false,
            adapter: None,
            model,
            exact_gelu,
        })
    }

    /// Puts an adapter on the model, or none, and forgets all tokens.
    ///
    /// # Errors
    /// [`LlamaError::ForeignAdapter`] if it was loaded for another model.
    pub fn set_adapter(&mut self, adapter: Option<Arc<Adapter>>) -> Result<(), LlamaError> {
        if adapter
            .as_ref()
            .is_some_and(|adapter| !adapter.fits(&self.model))
        {
            return Err(LlamaError::ForeignAdapter);
        }
        let mut adapters: Vec<_> = adapter.iter().map(|adapter| adapter.raw()).collect();
        let mut scales = vec![1.0; adapters.len()];
        // SAFETY: the context is whole, the adapter is for its model and held from here on, and both
        // arrays have the length that is passed.
        unsafe {
            sys::llama_set_adapters_lora(
                self.raw.as_ptr(),
                adapters.as_mut_ptr(),
                adapters.len(),
                scales.as_mut_ptr(),
            );
        }
        self.adapter = adapter;
        self.stale = true;
        self.clear();
        Ok(())
    }

    /// Appends `tokens` and returns the logits of what follows the last of them, all finite:
    /// `[vocabulary]`.
    ///
    /// # Errors
    /// [`LlamaError::Batch`], [`LlamaError::Full`] or [`LlamaError::Token`] for tokens that cannot be
    /// appended, [`LlamaError::Cancelled`] if `cancelled` says so before the end, otherwise
    /// [`LlamaError::Decode`], after all of which the context holds the tokens it held. After
    /// [`LlamaError::NotFinite`] it has to be cleared.
    pub fn decode(
        &mut self,
        tokens: &[u32],
        cancelled: Cancelled<'_>,
    ) -> Result<&[f32], LlamaError> {
        self.check_room(tokens.len())?;
        self.fill_batch(tokens)?;
        let (status, reason) = with_reason(|| self.compute(cancelled));
        match status {
            0 => {}
            2 => return Err(LlamaError::Cancelled),
            _ => return Err(LlamaError::Decode { status, reason }),
        }
        self.position += tokens.len();
        self.poisoned = self.logits().is_some_and(|logits| !is_finite(logits));
        if self.poisoned {
            return Err(LlamaError::NotFinite);
        }
        self.logits().ok_or(LlamaError::Decode { status, reason })
    }

    /// Forgets all tokens: what is decoded next does not depend on them.
    pub fn clear(&mut self) {
        // Only zeros make up for what is not finite: nothing else survives a weight of zero.
        let zero = std::mem::take(&mut self.poisoned);
        // SAFETY: the context is whole, and its memory part of it.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.raw.as_ptr()), zero) };
        self.position = 0;
    }

    /// Returns the number of tokens in the context.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns how many times GELU was computed exactly.
    pub fn exact_gelus(&self) -> u64 {
        self.exact_gelu.as_ref().map_or(0, ExactGelu::replaced)
    }

    /// Returns the size that was asked for.
    pub fn options(&self) -> ContextOptions {
        self.options
    }

    /// Returns the model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Returns about how many bytes of memory it takes, without the model's and the adapter's.
    pub fn size_bytes(&self) -> u64 {
        self.model.shape().context_bytes(self.options)
    }

    fn check_room(&self, found: usize) -> Result<(), LlamaError> {
        let limit = self.options.batch_tokens as usize;
        if found == 0 || found > limit {
            return Err(LlamaError::Batch { found, limit });
        }
        let (position, limit) = (self.position, self.options.context_tokens as usize);
        if position + found > limit {
            return Err(LlamaError::Full {
                found,
                position,
                limit,
            });
        }
        Ok(())
    }

    fn fill_batch(&mut self, tokens: &[u32]) -> Result<(), LlamaError> {
        let size = self.model.vocabulary_size();
        self.batch.clear();
        for &id in tokens {
            let token = i32::try_from(id).ok().filter(|_| (id as usize) < size);
            self.batch
                .push(token.ok_or(LlamaError::Token { id, size })?);
        }
        Ok(())
    }

    /// Decodes the batch and returns llama.cpp's status.
    fn compute(&mut self, cancelled: Cancelled<'_>) -> i32 {
        let _changing = self.stale.then(backend::exclusive);
        self.stale = false;
        let raw = self.raw.as_ptr();
        // A batch is never longer than an i32 counts: the context's length is less.
        let count = i32::try_from(self.batch.len()).unwrap_or(0);
        // SAFETY: the context is whole; the batch holds `count` ids of its vocabulary that fit into
        // it, and lives until the call returns; so does `cancelled`, which is taken away again.
        unsafe {
            sys::llama_set_abort_callback(
                raw,
                Some(aborted),
                ptr::from_ref(&cancelled).cast_mut().cast(),
            );
            let batch = sys::llama_batch_get_one(self.batch.as_mut_ptr(), count);
            let status = sys::llama_decode(raw, batch);
            sys::llama_set_abort_callback(raw, None, ptr::null_mut());
            status
        }
    }

    fn logits(&self) -> Option<&[f32]> {
        // SAFETY: the context is whole; null means that there are none.
        let logits = unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), -1) };
        let logits = NonNull::new(logits)?;
        // SAFETY: a row is as long as the vocabulary, and stays as it is until the context is used
        // again, for which it must be borrowed mutably.
        Some(unsafe { slice::from_raw_parts(logits.as_ptr(), self.model.vocabulary_size()) })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Context")
            .field("model", &self.model)
            .field("options", &self.options)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is whole, and what it points to is dropped after it.
        unsafe { sys::llama_free(self.raw.as_ptr()) };
    }
}

fn parameters(options: ContextOptions) -> sys::llama_context_params {
    // SAFETY: returns a structure of plain values.
    let mut parameters = unsafe { sys::llama_context_default_params() };
    let threads = options.threads.cast_signed();
    parameters.n_ctx = options.context_tokens;
    parameters.n_batch = options.batch_tokens;
    parameters.n_ubatch = options.batch_tokens;
    // Memory for one row of logits, not for one after each token of a batch.
    parameters.n_outputs_max = 1;
    parameters.n_threads = threads;
    parameters.n_threads_batch = threads;
    parameters.type_k = sys::GGML_TYPE_F32;
    parameters.type_v = sys::GGML_TYPE_F32;
    parameters.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
    parameters.embeddings = false;
    parameters
}

unsafe extern "C" fn aborted(data: *mut c_void) -> bool {
    // SAFETY: `data` points to the `Cancelled` of a `compute` that has not returned.
    let cancelled = unsafe { *data.cast::<Cancelled<'_>>() };
    cancelled()
}

fn check(what: &'static str, found: u32, limit: u32) -> Result<(), LlamaError> {
    if (1..=limit).contains(&found) {
        return Ok(());
    }
    Err(LlamaError::Options { what, found, limit })
}

/// Whether no value is infinite or no number; without branches, since it runs over a vocabulary for
/// every token.
fn is_finite(values: &[f32]) -> bool {
    const INFINITE: u32 = f32::INFINITY.to_bits();
    let bits = values.iter().map(|value| value.to_bits() & INFINITE);
    !bits.fold(false, |found, exponent| found | (exponent == INFINITE))
}
