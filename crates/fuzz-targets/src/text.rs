//! What all targets ask of what they are told, and how they take their input apart.

use std::error::Error;

use llmopt_domain::error_chain;

/// The longest message in bytes: what a person reads, whatever was wrong.
const LONGEST: usize = 3_000;

/// Checks that a message says something.
pub(crate) fn check_said(message: &str) {
    assert!(!message.trim().is_empty(), "a message is empty");
}

/// Checks that a message says something, and no more than a person reads: it is kept, or sent.
pub(crate) fn check_message(message: &str) {
    check_said(message);
    let length = message.len();
    assert!(length <= LONGEST, "a message of {length} bytes: {message}");
}

/// Checks an error with its causes, and returns its text.
pub(crate) fn check_error(error: &dyn Error) -> String {
    let text = error_chain(error);
    check_said(&text);
    text
}

/// Splits `bytes` at its first NULs; what is not there is empty, and the last part is all the rest.
pub(crate) fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut parts = bytes.splitn(N, |&byte| byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// Returns what of `bytes` is text.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
