use std::{fmt, fs, path::Path, ptr::NonNull, sync::Arc};

use llama_cpp_sys_2 as sys;

use crate::{LlamaError, Model, backend, log::with_reason, model::c_path};

/// A LoRA adapter, in memory, for one model.
pub struct Adapter {
    raw: NonNull<sys::llama_adapter_lora>,
    model: Arc<Model>,
    size_bytes: u64,
}

// SAFETY: llama.cpp ties an adapter to no thread.
unsafe impl Send for Adapter {}
// SAFETY: nothing writes to a loaded adapter.
unsafe impl Sync for Adapter {}

impl Adapter {
    /// Reads the GGUF file at `path` with an adapter for `model`.
    ///
    /// # Errors
    /// If the file is missing or damaged, or holds no adapter that fits the model.
    pub fn load(model: &Arc<Model>, path: &Path) -> Result<Arc<Self>, LlamaError> {
        let name = c_path(path)?;
        // SAFETY: the model is loaded, no other thread changes it, and the name is a C string.
        let load = || unsafe {
            let _changing = backend::exclusive();
            sys::llama_adapter_lora_init(model.raw(), name.as_ptr())
        };
        let (raw, reason) = with_reason(load);
        let Some(raw) = NonNull::new(raw) else {
            let path = path.to_owned();
            return Err(LlamaError::Adapter { path, reason });
        };
        Ok(Arc::new(Self {
            raw,
            model: Arc::clone(model),
            size_bytes: fs::metadata(path).map_or(0, |file| file.len()),
        }))
    }

    /// Returns the size of its file in bytes, of which its tensors are nearly all.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn raw(&self) -> *mut sys::llama_adapter_lora {
        self.raw.as_ptr()
    }

    pub(crate) fn fits(&self, model: &Arc<Model>) -> bool {
        Arc::ptr_eq(&self.model, model)
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Adapter").field(&self.model).finish()
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        let _changing = backend::exclusive();
        // SAFETY: its model is loaded, since it is held here; no context uses the adapter, since each
        // holds its own; no other thread changes the model.
        unsafe { sys::llama_adapter_lora_free(self.raw.as_ptr()) };
    }
}
