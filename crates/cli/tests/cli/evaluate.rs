use std::fs;

use crate::support::{Workplace, rows};

const TRAIN: &str = "train --base-model base --dataset rows.jsonl --name orders";

#[test]
fn a_folder_is_evaluated_as_it_is() {
    let place = Workplace::with_base();
    let said = place.run("evaluate base --dataset rows.jsonl --max-new-tokens 8");
    said.succeeds(&["loss", "0.2500", "exact match", "0.500"]);
    assert!(said.err.contains("None"), "{said:#?}");
}

#[test]
fn an_adapter_is_put_on_the_base_it_was_trained_on() {
    let place = Workplace::with_base();
    place.run(TRAIN).succeeds(&[]);
    let said = place.run("evaluate orders --dataset rows.jsonl --max-new-tokens 8 --json");
    let events = said.json_lines();
    assert_eq!(events[0]["event"], "progress");
    assert_eq!(events[1]["metrics"]["exact_match"], 0.5);
    assert!(said.err.contains("/base with Some("), "{said:#?}");
    let merged = place.run("evaluate orders --dataset rows.jsonl --merged");
    assert!(merged.err.contains("/1 with None"), "{merged:#?}");
}

#[test]
fn an_adapter_whose_base_is_gone_is_refused() {
    let place = Workplace::with_base();
    place.run(TRAIN).succeeds(&[]);
    fs::remove_dir_all(place.path("base")).unwrap();
    let said = place.run("evaluate orders --dataset rows.jsonl");
    said.fails(2, &["which is not there any more", "--merged"]);
}

#[test]
fn predictions_need_something_to_be_generated() {
    let place = Workplace::with_base();
    place
        .run("evaluate base --dataset rows.jsonl --predictions out.jsonl")
        .fails(2, &["`--predictions` has no effect", "--max-new-tokens"]);
    place
        .run("evaluate base --dataset rows.jsonl --predictions out.jsonl --max-new-tokens 4 --limit 2")
        .succeeds(&[]);
    assert!(place.path("out.jsonl").is_file());
}

#[test]
fn what_names_no_model_is_refused_without_asking_a_hub() {
    let place = Workplace::new();
    place
        .run("evaluate nothing --dataset rows.jsonl")
        .fails(2, &["no model `nothing`"]);
    place
        .run("evaluate ./nothing --dataset rows.jsonl")
        .fails(2, &["`./nothing` is no folder"]);
}

#[test]
fn a_held_out_row_without_an_answer_is_named() {
    let place = Workplace::with_base();
    place.write("heldout.jsonl", &rows(3));
    place
        .run("evaluate base --dataset heldout.jsonl")
        .succeeds(&["loss"]);
    place.write("heldout.jsonl", &rows(3).replace("it is 1", ""));
    place
        .run("evaluate base --dataset heldout.jsonl")
        .fails(2, &["row 2", "response"]);
}
