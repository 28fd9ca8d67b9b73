use std::{
    cell::RefCell,
    ffi::{CStr, c_char, c_void},
    ptr,
};

use llama_cpp_sys_2 as sys;

thread_local! {
    /// What llama.cpp called an error on this thread last.
    static LAST_ERROR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sends what llama.cpp logs to `tracing`, and nothing to standard error.
pub(crate) fn install() {
    // SAFETY: the callback is a function of this program and takes no user data.
    unsafe { sys::llama_log_set(Some(log), ptr::null_mut()) };
}

/// Runs `call` and returns with its result what llama.cpp called an error meanwhile.
///
/// Its functions return only null or a number: the reason is in the log alone.
pub(crate) fn with_reason<T>(call: impl FnOnce() -> T) -> (T, String) {
    LAST_ERROR.take();
    let result = call();
    let reason = LAST_ERROR.take();
    (
        result,
        reason.unwrap_or_else(|| "no reason given".to_owned()),
    )
}

/// Errors reach the caller as such; the rest is of use to who looks into llama.cpp.
unsafe extern "C" fn log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a C string that lives during the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    match level {
        sys::GGML_LOG_LEVEL_ERROR => {
            tracing::debug!(target: "llama", level = "error", "{text}");
            keep(text);
        }
        sys::GGML_LOG_LEVEL_WARN => tracing::debug!(target: "llama", level = "warn", "{text}"),
        sys::GGML_LOG_LEVEL_INFO => tracing::debug!(target: "llama", "{text}"),
        _ => tracing::trace!(target: "llama", "{text}"),
    }
}

/// Keeps the first error, without the name of the C++ function: later ones only say that it failed.
fn keep(text: &str) {
    let text = match text.split_once(": ") {
        Some((function, rest)) if !function.contains(' ') => rest,
        _ => text,
    };
    LAST_ERROR.with_borrow_mut(|last| {
        last.get_or_insert_with(|| text.to_owned());
    });
}
