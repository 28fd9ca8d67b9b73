use std::fs;

use expect_test::expect;

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
        .succeeds(&["rows too long", "prompt tokens", "#"]);
}

#[test]
fn a_model_s_tokenizer_adds_its_numbers_and_suggestions_to_the_report() {
    let place = Workplace::with_base();
    let said = place.run("dataset validate rows.jsonl --base-model base");
    said.succeeds(&["12 rows of `prompt` and `response`, fit to train on"]);
    expect![[r#"
         tokens                            192
         trained on                        48
         prompt tokens per response token  3.00
         vocabulary used                   21 of 289 (7.3 in 100)
         bytes per token                   0.90
         rows too long                     0 with 0 tokens (limit 64 tokens)
         tokens    shortest  median  95 in 100 at most  99 in 100 at most  longest
         row       16        16      16                 16                 16
         prompt    12        12      12                 12                 12
         response  4         4       4                  4                  4
         prompt tokens  rows
         12-12          12    ########################################
         response tokens  rows
         4-4              12    ########################################
         setting           suggested  why
         max_length        64         the longest of 12 rows has 16 tokens, so none is left out
         batch_size        1          12 rows make 12 steps of an epoch; 16 is usual, and less where an epoch would have fewer than 10
         micro_batch_size  1          rows have up to 16 tokens, and about 4096 at once take the memory that defaults do; results change by rounding only
         epochs            10         3 are usual; fewer rows are seen more often, until about 300 were seen, and more than 10,000 less often: there are 12 different ones
         validation_share  0          of 12 rows none can be spared: write a few more to evaluate on
        with these 120 steps, 1,920 tokens computed, 480 of them trained on
        `rows.jsonl`: 12 rows of `prompt` and `response`, fit to train on
    "#]].assert_eq(&said.out);
    let report = place
        .run("dataset validate rows.jsonl --base-model base --json")
        .json();
    assert_eq!(report["rows"], 12);
    assert_eq!(report["tokens"]["statistics"]["rows"], 12);
    assert_eq!(report["tokens"]["statistics"]["max_length"], 64);
    assert_eq!(report["tokens"]["suggestions"][0]["setting"], "max_length");
    let plain = place.run("dataset validate rows.jsonl --json").json();
    assert!(plain.get("tokens").is_none(), "{plain}");
}

#[test]
fn what_only_a_tokenizer_finds_is_told_with_the_other_findings() {
    let place = Workplace::with_base();
    place.write("rows.jsonl", &(rows(12) + &rows(1)));
    let said = place.run("dataset validate rows.jsonl --base-model base --max-length 8");
    assert_eq!(said.code, Some(2), "{said:#?}");
    let codes = ["[cut_answer]", "[nothing_trained]", "[duplicate_row]"];
    let found: Vec<_> = codes.map(|code| said.out.find(code)).into();
    // Errors stand first, whoever found them.
    assert!(
        found[0].or(found[1]) < found[2] && found[2].is_some(),
        "{said:#?}"
    );
    assert!(said.out.contains("not fit to train on"), "{said:#?}");
    place
        .run("dataset validate rows.jsonl --base-model base --long-response 2")
        .succeeds(&["at most 2 tokens with loss", "[long_response]"]);
}

#[test]
fn tokens_of_broken_rows_are_not_counted_and_that_is_said() {
    let place = Workplace::with_base();
    place.write("rows.jsonl", &(rows(12) + "{\n"));
    let said = place.run("dataset validate rows.jsonl --base-model base");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.out.contains("[unparsable_row]"), "{said:#?}");
    assert!(
        said.out
            .contains("tokens are counted once every row can be read"),
        "{said:#?}"
    );
}

#[test]
fn a_limit_without_a_model_is_refused() {
    Workplace::new()
        .run("dataset validate rows.jsonl --max-length 8")
        .fails(2, &["--base-model"]);
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
