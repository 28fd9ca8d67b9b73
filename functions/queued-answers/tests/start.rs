//! A function that cannot work says so when it starts, not at its first request.

use std::process::Command;

#[test]
fn a_variable_that_is_missing_is_named_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_queued-answers"))
        .env_clear()
        .env("AWS_REGION", "us-east-1")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(errors.contains("`LLMOPT_BUCKET` is not set"), "{errors}");
}
