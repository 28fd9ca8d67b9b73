use std::ffi::CString;

use llama_cpp_sys_2 as sys;

use crate::{ContextOptions, Model};

const F32_BYTES: u64 = 4;

/// llama.cpp rounds a context up to a multiple of so many tokens.
const CONTEXT_STEP: u64 = 256;

/// What the memory of a context depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// Layers with attention.
    pub layers: u64,
    /// Numbers that stand for a token between layers.
    pub width: u64,
    /// Heads of attention in a layer.
    pub heads: u64,
    /// Numbers in a token's key in a layer; its value has as many.
    pub key_width: u64,
    /// Tokens in the vocabulary.
    pub vocabulary: u64,
}

impl ModelShape {
    /// Estimates the bytes of memory that a context takes: keys and values exactly, what it computes
    /// with from above.
    pub fn context_bytes(&self, options: ContextOptions) -> u64 {
        let context = u64::from(options.context_tokens).next_multiple_of(CONTEXT_STEP);
        let batch = u64::from(options.batch_tokens);
        let keys_and_values = 2 * self.layers * self.key_width * context;
        // Scores before and after the softmax with the mask, a handful of rows of up to four times
        // the model's width, and the logits where they are computed and where they are read.
        let scores = batch * context * (2 * self.heads + 1);
        let rows = batch * self.width * 12;
        let logits = 2 * self.vocabulary;
        F32_BYTES * (keys_and_values + scores + rows + logits)
    }

    pub(crate) fn of(model: &Model) -> Self {
        let raw = model.raw();
        // SAFETY: the model is loaded; these functions read it.
        let (layers, width, heads, key_heads) = unsafe {
            (
                count(sys::llama_model_n_layer(raw)),
                count(sys::llama_model_n_embd(raw)),
                count(sys::llama_model_n_head(raw)).max(1),
                count(sys::llama_model_n_head_kv(raw)),
            )
        };
        Self {
            layers,
            width,
            heads,
            key_width: key_heads * key_length(model).unwrap_or(width / heads),
            vocabulary: model.vocabulary_size() as u64,
        }
    }
}

fn count(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The width of a head where the file gives it: it need not be the model's by the number of heads.
fn key_length(model: &Model) -> Option<u64> {
    let architecture = metadata(model, "general.architecture")?;
    let length = metadata(model, &format!("{architecture}.attention.key_length"))?;
    length.parse().ok()
}

fn metadata(model: &Model, key: &str) -> Option<String> {
    let key = CString::new(key).ok()?;
    let mut buffer = [0_u8; 128];
    // SAFETY: the model is loaded, the key is a C string, and the buffer has the size that is passed.
    let length = unsafe {
        sys::llama_model_meta_val_str(
            model.raw(),
            key.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    };
    let text = buffer.get(..usize::try_from(length).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}
