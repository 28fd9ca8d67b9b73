//! The real `llmopt` with the real trainer, on the tiny model of the trainer's fixtures.
//!
//! Both binaries are built by `cargo test --workspace`; `cargo build --workspace` builds them for
//! `cargo test -p llmopt-tests`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const TRAIN: &str = "train --base-model base --dataset train.jsonl --eval-dataset heldout.jsonl --name squares \
    --epochs 4 --batch-size 4 --learning-rate 2e-3";

/// A folder to work in, with the tiny model as `base` and rows to train and evaluate on.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/tests/fixtures/tiny-gpt2");
        fs::create_dir(&base).unwrap();
        for entry in fs::read_dir(fixture).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), base.join(entry.file_name())).unwrap();
        }
        let rows = |range: std::ops::Range<u32>| -> String {
            range
                .map(|n| format!("{{\"prompt\":\"{n}?\",\"response\":\"{}\"}}\n", n * n))
                .collect()
        };
        fs::write(folder.path().join("train.jsonl"), rows(0..24)).unwrap();
        fs::write(folder.path().join("heldout.jsonl"), rows(40..44)).unwrap();
        Self(folder)
    }

    fn llmopt(&self, arguments: &str) -> Output {
        let mut binary = std::env::current_exe().unwrap();
        // target/debug/deps/end_to_end-… stands beside target/debug/llmopt.
        binary.pop();
        binary.pop();
        Command::new(binary.join("llmopt"))
            .args(arguments.split_whitespace())
            .env("LLMOPT_LOG", "error")
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// The last JSON line that the command wrote.
    fn json(&self, arguments: &str) -> Value {
        let output = self.llmopt(&format!("{arguments} --json"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let out = text(&output.stdout);
        serde_json::from_str(&out)
            .or_else(|_| serde_json::from_str(out.lines().last().unwrap()))
            .unwrap()
    }

    fn fails(&self, arguments: &str, part: &str) {
        let output = self.llmopt(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(part), "{errors}");
        assert_eq!(errors.matches("error:").count(), 1, "{errors}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn metric(event: &Value, name: &str) -> f64 {
    event["metrics"][name].as_f64().unwrap()
}

#[test]
fn a_trained_model_is_evaluated_as_trained_and_merged() {
    let place = Workplace::new();
    assert_eq!(place.json(TRAIN)["event"], "published");
    let shown = place.json("models show squares");
    let after = &shown["evaluation"]["after"];
    assert!(after["loss"].as_f64() < shown["evaluation"]["before"]["loss"].as_f64());

    let evaluate = "evaluate squares --dataset heldout.jsonl --max-new-tokens 4";
    let trained = place.json(evaluate);
    let merged = place.json(&format!("{evaluate} --merged"));
    assert_eq!(metric(&trained, "rows"), 4.0);
    // The same weights in the same type: only threads and the order of sums may differ.
    let loss = after["loss"].as_f64().unwrap();
    assert!((metric(&trained, "loss") - loss).abs() <= 1e-5 * loss);
    // Merged weights are rounded to 16 bits: 2^-11 of each.
    assert!((metric(&merged, "loss") - loss).abs() <= 1e-2 * loss);
    assert_ne!(metric(&merged, "loss"), metric(&trained, "loss"));
}

#[test]
fn a_trained_model_is_a_base_to_train_from() {
    let place = Workplace::new();
    place.json(TRAIN);
    place.json(
        &TRAIN
            .replace("--base-model base", "--base-model squares")
            .replace("--name squares", "--name more"),
    );
    let shown = place.json("models show more");
    assert_eq!(shown["base"], "ft:base:squares:1");
    place.json("evaluate more --dataset heldout.jsonl");
}

#[test]
fn predictions_are_written_for_every_row() {
    let place = Workplace::new();
    place.json(
        "evaluate base/ --dataset heldout.jsonl --max-new-tokens 3 --predictions answers.jsonl",
    );
    let answers = fs::read_to_string(place.path("answers.jsonl")).unwrap();
    let rows: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<_> = rows
        .iter()
        .map(|row| row["row"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(rows[0]["prompt"], "40?");
}

#[test]
fn a_tensor_of_the_wrong_shape_is_named_and_nothing_is_published() {
    let place = Workplace::new();
    let config = place.path("base/config.json");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("\"n_embd\": 48"));
    fs::write(&config, text.replace("\"n_embd\": 48", "\"n_embd\": 96")).unwrap();
    place.fails(TRAIN, "has shape [320, 48]; expected [320, 96]");
    assert!(!place.path(".llmopt/models").exists());
}

#[test]
fn weights_that_are_cut_short_are_named() {
    let place = Workplace::new();
    let weights = place.path("base/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    place.fails(TRAIN, "model.safetensors");
}
