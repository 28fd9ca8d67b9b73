use std::fs;

use crate::support::{Workplace, rows};

const TRAIN: &str = "train --base-model base --dataset rows.jsonl --name orders";

#[test]
fn an_empty_data_directory_has_no_models() {
    let place = Workplace::new();
    place
        .run("models list")
        .succeeds(&["no models", "llmopt train"]);
    assert_eq!(
        place.run("models list --json").json(),
        serde_json::json!([])
    );
}

#[test]
fn the_same_request_makes_the_same_base() {
    let place = Workplace::with_base();
    let again =
        place.run("models init --dataset rows.jsonl --config model.json --output again --json");
    assert!(again.json()["parameters"].as_u64().unwrap() > 0);
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let read = |folder: &str| fs::read(place.path(folder).join(file)).unwrap();
        assert!(read("base") == read("again"), "{file} differs");
    }
}

#[test]
fn a_base_is_never_written_over() {
    let place = Workplace::with_base();
    place
        .run("models init --dataset rows.jsonl --config model.json --output base")
        .fails(2, &["`base` exists already", "next:"]);
}

#[test]
fn an_imported_base_is_trained_from_and_kept_once() {
    let place = Workplace::with_base();
    place
        .run("models import base --name tiny")
        .succeeds(&["imported `base:tiny`", "next:"]);
    place
        .run("models import base --name tiny")
        .fails(2, &["`base:tiny` already", "--name"]);
    place
        .run("models import base")
        .succeeds(&["imported `base:base`"]);
    place
        .run("train --base-model base:tiny --dataset rows.jsonl --name orders")
        .succeeds(&["ft:tiny:orders"]);
    place
        .run("train --base-model base:nobody --dataset rows.jsonl --name orders")
        .fails(2, &["base:nobody"]);
}

#[test]
fn half_a_model_is_not_imported() {
    let place = Workplace::with_base();
    fs::remove_file(place.path("base/tokenizer.json")).unwrap();
    place
        .run("models import base --name tiny")
        .fails(2, &["tokenizer.json"]);
    assert!(!place.path("data/bases").exists());
}

#[test]
fn a_tokenizer_is_trained_on_mapped_columns() {
    const INIT: &str = "models init --dataset fragen.jsonl --config model.json";
    let place = Workplace::with_base();
    place.write("fragen.jsonl", &rows(12).replace("prompt", "frage"));
    place
        .run(&format!("{INIT} --output other"))
        .fails(2, &["unknown_columns"]);
    let mapped = format!("{INIT} --columns prompt=frage --output other");
    place.run(&mapped).succeeds(&["made `other`"]);
    // The texts are those of the base, and so are their tokens.
    let tokenizer = |folder: &str| fs::read(place.path(folder).join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer("other"), tokenizer("base"));
}

#[test]
fn an_unknown_size_is_refused() {
    let place = Workplace::new();
    place.write("model.json", r#"{"vocab_size": 300, "layers": 2}"#);
    let said = place.run("models init --dataset rows.jsonl --config model.json --output base");
    said.fails(2, &["`model.json`", "`layers`", "n_layer"]);
    assert!(!place.path("base").exists());
}

#[test]
fn what_was_trained_is_listed_and_shown() {
    let place = Workplace::with_base();
    place
        .run(&format!("{TRAIN} --eval-dataset rows.jsonl"))
        .succeeds(&[]);
    place
        .run("models list")
        .succeeds(&["ft:base:orders", "lora", "0.2500", "0.500"]);
    place
        .run("models show orders")
        .succeeds(&["ft:base:orders", "trained parameters", "10.00 %"]);
    let shown = place.run("models show ft:base:orders:1 --json").json();
    assert_eq!(shown["tokens_per_second"], 300.0);
    assert_eq!(shown["seconds"], 2.0);
    assert!(
        std::path::Path::new(shown["path"].as_str().unwrap())
            .join("config.json")
            .is_file()
    );
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let place = Workplace::with_base();
    place
        .run("models show orders")
        .fails(2, &["no model `orders`", "llmopt models list"]);
    place.run(TRAIN).succeeds(&[]);
    place
        .run("models show orders:4")
        .fails(2, &["no version 4", "the newest is 1"]);
}

#[test]
fn a_name_that_two_models_have_is_ambiguous() {
    let place = Workplace::with_base();
    place.run(TRAIN).succeeds(&[]);
    fs::rename(place.path("base"), place.path("other")).unwrap();
    place
        .run(&TRAIN.replace("base-model base", "base-model other"))
        .succeeds(&[]);
    let said = place.run("models show orders");
    said.fails(
        2,
        &["ft:base:orders", "ft:other:orders", "give the whole id"],
    );
}
