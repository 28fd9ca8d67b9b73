//! Measures llama.cpp alone, as its own `llama-bench` does: after a prompt one token at a time goes in
//! and its logits are waited for, without choosing a token, without text. Prints a line of JSON.
//!
//! `decode_rate MODEL.gguf PROMPT_TOKENS TOKENS THREADS KEEP_THREADS`; with `KEEP_THREADS` 1 the
//! threads live as long as the context, as in `llama-bench`, with 0 for one token each.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::{env, error::Error, ffi::CString, ptr, time::Instant};

use llama_cpp_sys_2 as sys;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, prompt, tokens, threads, keep] = &arguments[..] else {
        return Err("expected MODEL.gguf PROMPT_TOKENS TOKENS THREADS KEEP_THREADS".into());
    };
    let model = CString::new(model.as_str())?;
    let (prompt, tokens) = (prompt.parse()?, tokens.parse()?);
    let (threads, keep) = (threads.parse()?, keep == "1");
    let context = open(&model, threads, keep)?;
    for _ in 0..2 {
        // The first time also brings the weights into memory.
        let seconds = run(context, prompt, tokens)?;
        let rate = f64::from(tokens) / seconds;
        println!("{{\"tokens\": {tokens}, \"tokens_per_second\": {rate:.2}}}");
    }
    Ok(())
}

fn open(
    model: &CString,
    threads: i32,
    keep: bool,
) -> Result<*mut sys::llama_context, Box<dyn Error>> {
    // SAFETY: calls in the order that llama.h asks for, with its default parameters, of which plain
    // values are changed; nothing is freed before the process ends.
    unsafe {
        sys::llama_log_set(Some(quiet), ptr::null_mut());
        sys::llama_backend_init();
        let mut parameters = sys::llama_model_default_params();
        parameters.n_gpu_layers = 0;
        let model = sys::llama_model_load_from_file(model.as_ptr(), parameters);
        if model.is_null() {
            return Err("failed to load the model".into());
        }
        let mut parameters = sys::llama_context_default_params();
        parameters.n_ctx = 1024;
        parameters.n_threads = threads;
        parameters.n_threads_batch = threads;
        parameters.type_k = sys::GGML_TYPE_F32;
        parameters.type_v = sys::GGML_TYPE_F32;
        parameters.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
        let context = sys::llama_init_from_model(model, parameters);
        if context.is_null() {
            return Err("failed to make a context".into());
        }
        if keep {
            let mut parameters = sys::ggml_threadpool_params_default(threads);
            let pool = sys::ggml_threadpool_new(&raw mut parameters);
            sys::llama_attach_threadpool(context, pool, pool);
        }
        Ok(context)
    }
}

/// Returns the seconds that `tokens` tokens after the prompt take.
fn run(context: *mut sys::llama_context, prompt: usize, tokens: u32) -> Result<f64, String> {
    // SAFETY: the context is whole.
    unsafe { sys::llama_memory_clear(sys::llama_get_memory(context), true) };
    let mut prompt: Vec<i32> = (100..).take(prompt).collect();
    decode(context, &mut prompt)?;
    let begin = Instant::now();
    for token in (1000..).take(tokens as usize) {
        decode(context, &mut [token])?;
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn decode(context: *mut sys::llama_context, tokens: &mut [i32]) -> Result<(), String> {
    let count = i32::try_from(tokens.len()).map_err(|error| error.to_string())?;
    // SAFETY: the context is whole, and the tokens live until the call returns.
    let (status, logits) = unsafe {
        let batch = sys::llama_batch_get_one(tokens.as_mut_ptr(), count);
        let status = sys::llama_decode(context, batch);
        (status, sys::llama_get_logits_ith(context, -1))
    };
    if status != 0 || logits.is_null() {
        return Err(format!("failed to decode: {status}"));
    }
    Ok(())
}

unsafe extern "C" fn quiet(
    _: sys::ggml_log_level,
    _: *const std::ffi::c_char,
    _: *mut std::ffi::c_void,
) {
}
