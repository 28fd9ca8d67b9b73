//! Files that are not what they should be: llama.cpp must not end the process.

use std::{fs, path::Path};

use llmopt_llama::{Adapter, LlamaError, Model};

use crate::{Files, GO_ON, context};

fn problem(path: &Path) -> String {
    Model::load(path).unwrap_err().to_string()
}

#[test]
fn a_file_that_is_no_model_is_refused_with_llama_cpps_reason() {
    let files = Files::new();
    let path = files.path("other.gguf");
    let missing = problem(&path);
    assert!(missing.contains("No such file"), "{missing}");
    for content in [
        "",
        "GGUF",
        "no model at all, but long enough for a header of that",
    ] {
        fs::write(&path, content).unwrap();
        let problem = problem(&path);
        assert!(!problem.contains("no reason given"), "{problem}");
    }
    let adapter = problem_of_adapter_as_model(&files);
    assert!(adapter.contains("adapter.gguf"), "{adapter}");
}

fn problem_of_adapter_as_model(files: &Files) -> String {
    problem(&files.path("adapter.gguf"))
}

#[test]
fn a_model_is_no_adapter() {
    let files = Files::new();
    let error = Adapter::load(&files.model(), &files.path("model.gguf")).unwrap_err();
    assert!(error.to_string().contains("adapter"), "{error}");
    let path = files.path("missing.gguf");
    let error = Adapter::load(&files.model(), &path).unwrap_err();
    assert!(matches!(error, LlamaError::Adapter { .. }), "{error}");
}

#[test]
fn every_cut_of_a_model_or_adapter_is_an_error() {
    let files = Files::new();
    let model = files.model();
    for name in ["model.gguf", "adapter.gguf"] {
        let bytes = fs::read(files.path(name)).unwrap();
        let cut = files.path("cut.gguf");
        let step = bytes.len() / 60;
        for length in (0..bytes.len()).step_by(step).chain([bytes.len() - 33]) {
            fs::write(&cut, &bytes[..length]).unwrap();
            Model::load(&cut).unwrap_err();
            Adapter::load(&model, &cut).unwrap_err();
        }
    }
}

#[test]
fn a_path_with_a_zero_byte_is_refused() {
    let error = Model::load(Path::new("a\0b")).unwrap_err();
    assert!(matches!(error, LlamaError::Path { .. }), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_an_error_and_do_not_last() {
    let files = Files::new();
    let path = files.path("model.gguf");
    let mut bytes = fs::read(&path).unwrap();
    // The last tensor is the final bias: any logit is a sum over products with it.
    let end = bytes.len() - 64;
    for value in bytes[end..].chunks_exact_mut(4) {
        value.copy_from_slice(&f32::MAX.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    let mut context = context(&files.model());
    for _ in 0..2 {
        let error = context.decode(&[1, 2], GO_ON).unwrap_err();
        assert!(matches!(error, LlamaError::NotFinite), "{error}");
        context.clear();
    }
}
