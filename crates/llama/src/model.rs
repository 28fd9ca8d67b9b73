use std::{
    ffi::CString,
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr::NonNull,
    sync::Arc,
};

use llama_cpp_sys_2 as sys;

use crate::{LlamaError, ModelShape, backend, log::with_reason};

/// A model's weights, mapped from a GGUF file; they are never written to.
pub struct Model {
    raw: NonNull<sys::llama_model>,
    path: PathBuf,
}

// SAFETY: llama.cpp ties a model to no thread.
unsafe impl Send for Model {}
// SAFETY: nothing writes to a loaded model but the making of contexts and adapters and the freeing of
// adapters, which `backend::exclusive` keeps apart; decoding only reads it.
unsafe impl Sync for Model {}

impl Model {
    /// Maps the GGUF file at `path`: its pages come into memory as they are used.
    ///
    /// # Errors
    /// If the file is missing, damaged, or holds no model that continues a text, or if llama.cpp
    /// cannot run on this processor.
    pub fn load(path: &Path) -> Result<Arc<Self>, LlamaError> {
        backend::start()?;
        let name = c_path(path)?;
        // SAFETY: returns a structure of plain values.
        let mut parameters = unsafe { sys::llama_model_default_params() };
        parameters.n_gpu_layers = 0;
        parameters.load_mode = sys::LLAMA_LOAD_MODE_MMAP;
        // Weights laid out anew for one processor would be a copy in memory beside the mapped file.
        parameters.use_extra_bufts = false;
        // SAFETY: the name is a C string and the parameters are llama.cpp's own with plain values
        // changed.
        let load = || unsafe { sys::llama_model_load_from_file(name.as_ptr(), parameters) };
        let (raw, reason) = with_reason(load);
        let path = path.to_owned();
        match NonNull::new(raw) {
            Some(raw) => Self { raw, path }.checked(),
            None => Err(LlamaError::Model { path, reason }),
        }
    }

    /// Contexts of encoders and of models without attention work in ways that are not wrapped here.
    fn checked(self) -> Result<Arc<Self>, LlamaError> {
        // SAFETY: the model is loaded; these functions read it.
        let plain = unsafe {
            let raw = self.raw.as_ptr();
            !sys::llama_model_has_encoder(raw)
                && sys::llama_model_has_decoder(raw)
                && !sys::llama_model_is_recurrent(raw)
                && !sys::llama_model_is_hybrid(raw)
                && !sys::llama_model_is_diffusion(raw)
        };
        if plain && self.vocabulary_size() > 0 && self.context_tokens() > 0 {
            return Ok(Arc::new(self));
        }
        Err(LlamaError::Model {
            path: self.path.clone(),
            reason: "expected a decoder with a vocabulary and a context".to_owned(),
        })
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of tokens that the model knows: logits for so many are computed.
    pub fn vocabulary_size(&self) -> usize {
        // SAFETY: the model is loaded and its vocabulary part of it.
        let size =
            unsafe { sys::llama_vocab_n_tokens(sys::llama_model_get_vocab(self.raw.as_ptr())) };
        usize::try_from(size).unwrap_or(0)
    }

    /// Returns the number of tokens that the model was trained to look back at: the most that a
    /// context can hold.
    pub fn context_tokens(&self) -> u32 {
        // SAFETY: the model is loaded.
        let tokens = unsafe { sys::llama_model_n_ctx_train(self.raw.as_ptr()) };
        u32::try_from(tokens).unwrap_or(0)
    }

    /// Returns what the size of a context depends on.
    pub fn shape(&self) -> ModelShape {
        ModelShape::of(self)
    }

    /// Returns the size of all weights in bytes.
    pub fn size_bytes(&self) -> u64 {
        // SAFETY: the model is loaded.
        unsafe { sys::llama_model_size(self.raw.as_ptr()) }
    }

    pub(crate) fn raw(&self) -> *mut sys::llama_model {
        self.raw.as_ptr()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Model").field(&self.path).finish()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the model is loaded, and no context or adapter is left: each holds its model.
        unsafe { sys::llama_model_free(self.raw.as_ptr()) };
    }
}

/// Makes a path that C understands.
pub(crate) fn c_path(path: &Path) -> Result<CString, LlamaError> {
    let name = CString::new(path.as_os_str().as_bytes());
    name.map_err(|_| LlamaError::Path {
        path: path.to_owned(),
    })
}
