use std::fs;

use crate::support::{Workplace, rows};

#[test]
fn a_good_dataset_is_fit_to_train_on() {
    let place = Workplace::new();
    place
        .run("dataset validate rows.jsonl")
        .succeeds(&["12 rows of `prompt` and `response`, fit to train on"]);
}

#[test]
fn a_broken_line_is_named_by_its_number() {
    let place = Workplace::new();
    place.write("rows.jsonl", &(rows(12) + "{\"prompt\": \n"));
    let said = place.run("dataset validate rows.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(
        said.out.contains("error: rows.jsonl") && said.out.contains("13"),
        "{said:#?}"
    );
    assert!(said.out.contains("not fit to train on"), "{said:#?}");
}

#[test]
fn an_unknown_column_is_named_beside_what_is_recognised() {
    let place = Workplace::new();
    place.write("rows.jsonl", &rows(12).replace("prompt", "promt"));
    let said = place.run("dataset validate rows.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(
        said.out.contains("promt") && said.out.contains("prompt"),
        "{said:#?}"
    );
}

#[test]
fn an_empty_response_is_named_by_its_row() {
    let place = Workplace::new();
    place.write("rows.jsonl", &rows(12).replace("it is 4", " "));
    let said = place.run("dataset validate rows.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(
        said.out.contains("row 5") && said.out.contains("response"),
        "{said:#?}"
    );
}

#[test]
fn too_few_rows_are_counted() {
    let place = Workplace::new();
    place.write("rows.jsonl", &rows(9));
    let said = place.run("dataset validate rows.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(
        said.out.contains("10") && said.out.contains('9'),
        "{said:#?}"
    );
}

#[test]
fn a_report_is_one_json_document() {
    let place = Workplace::new();
    let report = place.run("dataset validate rows.jsonl --json").json();
    assert_eq!(report["rows"], 12);
    place.write("rows.jsonl", &rows(3));
    let said = place.run("--json dataset validate rows.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert_eq!(said.json()["findings"][0]["severity"], "error");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    Workplace::new()
        .run("dataset validate none.jsonl")
        .fails(2, &["none.jsonl"]);
}

#[test]
fn a_preview_shows_which_tokens_are_trained_on() {
    let place = Workplace::with_base();
    place
        .run("dataset preview rows.jsonl --base-model base --row 3")
        .succeeds(&[
            "user: count 2",
            "assistant: it is 2",
            "trained on",
            "row 3:",
        ]);
    let preview = place
        .run("dataset preview rows.jsonl --base-model base --json")
        .json();
    let tokens = preview["tokens"].as_array().unwrap();
    assert_eq!(tokens[0]["loss"], false);
    assert_eq!(tokens.last().unwrap()["loss"], true);
    assert_eq!(tokens.last().unwrap()["text"], "<|endoftext|>");
}

#[test]
fn a_preview_says_what_is_too_long() {
    let place = Workplace::with_base();
    place
        .run("dataset preview rows.jsonl --base-model base --max-length 4")
        .succeeds(&["too long", "longer than 4 tokens", "--max-length"]);
}

#[test]
fn a_dataset_is_mended_into_a_new_file_and_every_change_told() {
    let place = Workplace::new();
    place.write(
        "sloppy.jsonl",
        "{\"prompt\": \"a\", \"response\": \"b  \"}\n{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\": \"c\"}\n",
    );
    place
        .run("dataset fix sloppy.jsonl --out mended.jsonl --all --changes changes.jsonl")
        .succeeds(&["3 changes", "1 of 3 rows are left"]);
    assert_eq!(
        fs::read_to_string(place.path("mended.jsonl")).unwrap(),
        "{\"prompt\":\"a\",\"response\":\"b\"}\n"
    );
    assert_eq!(
        fs::read_to_string(place.path("changes.jsonl"))
            .unwrap()
            .lines()
            .count(),
        3
    );
    place
        .run("dataset fix sloppy.jsonl --out mended.jsonl --all")
        .fails(2, &["`mended.jsonl` exists"]);
    place
        .run("dataset fix sloppy.jsonl --out other.jsonl --repair trailing_space")
        .fails(2, &["row 3", "missing_field"]);
    place
        .run("dataset fix sloppy.jsonl --out other.jsonl --repair typos")
        .fails(2, &["there is no repair `typos`", "`mojibake`"]);
    assert!(!place.path("other.jsonl").exists() && !place.path("other.jsonl.part").exists());
}

#[test]
fn a_preview_of_a_row_that_is_not_there_says_how_many_there_are() {
    let place = Workplace::with_base();
    let said = place.run("dataset preview rows.jsonl --base-model base --row 13");
    said.fails(2, &["has no row 13", "expected 1 to 12"]);
}

#[test]
fn statistics_count_tokens_of_the_base_model() {
    let place = Workplace::with_base();
    place
        .run("dataset stats rows.jsonl")
        .succeeds(&["12 rows", "prompt      7", "response    7"]);
    let stats = place
        .run("dataset stats rows.jsonl --base-model base --json")
        .json();
    assert_eq!(stats["tokens"]["rows"], 12);
    assert_eq!(stats["tokens"]["max_length"], 64);
    assert!(stats["tokens"]["trainable_tokens"].as_u64().unwrap() > 12);
    place
        .run("dataset stats rows.jsonl --base-model base")
        .succeeds(&["rows too long", "#"]);
}

#[test]
fn findings_beyond_the_first_few_are_counted() {
    let place = Workplace::new();
    place.write(
        "rows.jsonl",
        &"{\"prompt\": \"a\", \"response\": \"\"}\n".repeat(40),
    );
    let said = place.run("dataset validate rows.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.out.contains("20 more of ["), "{said:#?}");
}

/// The map of a file with German columns, as a flag.
const COLUMNS: &str = "--columns prompt=frage,response=antwort";

fn german(count: usize) -> String {
    rows(count)
        .replace("prompt", "frage")
        .replace("response", "antwort")
}

#[test]
fn mapped_columns_are_read_and_told_as_the_file_calls_them() {
    let place = Workplace::new();
    place.write("fragen.jsonl", &german(12));
    place
        .run(&format!("dataset validate fragen.jsonl {COLUMNS}"))
        .succeeds(&["12 rows of `frage` and `antwort`, fit to train on"]);
    let report = place
        .run(&format!("dataset validate fragen.jsonl {COLUMNS} --json"))
        .json();
    assert_eq!(report["column_map"]["prompt"], "frage");
    assert_eq!(report["columns"]["prompt"], "prompt");
    let said = place.run("dataset validate fragen.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.out.contains("or map them"), "{said:#?}");
    place.write("fragen.jsonl", &german(12).replace("it is 4", " "));
    let said = place.run(&format!("dataset validate fragen.jsonl {COLUMNS}"));
    assert!(
        said.out.contains("row 5 (line 5), field `antwort`"),
        "{said:#?}"
    );
}

#[test]
fn a_bad_map_of_columns_is_refused_before_anything_is_read() {
    let place = Workplace::new();
    place
        .run("dataset validate rows.jsonl --columns promt=frage")
        .fails(2, &["`promt` is no column that is read", "`prompt`"]);
    let said = place.run("dataset validate rows.jsonl --columns prompt=frage,response=response");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(
        said.out.contains(
            "expected a column `frage` for `prompt`, found the columns `prompt`, `response`"
        ),
        "{said:#?}"
    );
}

#[test]
fn a_mapped_row_is_shown_and_counted_as_the_model_sees_it() {
    let place = Workplace::with_base();
    place.write("fragen.jsonl", &german(12));
    let of = |file: &str, columns: &str| {
        let preview = format!("dataset preview {file} --base-model base --row 3 --json {columns}");
        let stats = format!("dataset stats {file} --base-model base --json {columns}");
        (
            place.run(&preview).json(),
            place.run(&stats).json()["tokens"].clone(),
        )
    };
    assert_eq!(of("fragen.jsonl", COLUMNS), of("rows.jsonl", ""));
}

#[test]
fn a_mapped_dataset_is_mended_into_one_that_needs_no_map() {
    let place = Workplace::new();
    place.write("fragen.jsonl", &german(12).replace("it is 4", "it is 4 "));
    place
        .run(&format!(
            "dataset fix fragen.jsonl --out mended.jsonl --all {COLUMNS}"
        ))
        .succeeds(&[
            "the column `frage` is `prompt` now",
            "antwort",
            "1 changes; 12 of 12 rows are left",
        ]);
    place
        .run("dataset validate mended.jsonl")
        .succeeds(&["12 rows of `prompt` and `response`, fit to train on"]);
}
