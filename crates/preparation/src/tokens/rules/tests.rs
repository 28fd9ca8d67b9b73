use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect_file;
use llmopt_dataset::Columns;
use llmopt_domain::ColumnMap;

use super::*;
use crate::{
    EncodedRow, ModelLimits,
    tokens::testing::{END, options, row},
};

const BEGIN: &str = "<!-- Generated from crates/preparation/src/tokens/rules.rs; `UPDATE_EXPECT=1 cargo test -p llmopt-preparation` writes it anew. -->\n";
const STOP: &str = "<!-- End of what is generated from a tokenizer's rules. -->\n";

fn findings(row: &EncodedRow, options: &TokenOptions) -> Vec<Finding> {
    let columns = Columns::Pair {
        prompt: "prompt",
        response: "response",
    };
    let limits = Limits {
        file: "rows.jsonl",
        columns: Some(FileColumns::new(columns, ColumnMap::default())),
        options,
        end: EndToken {
            id: END,
            text: "<|endoftext|>".to_owned(),
        },
    };
    check(&MeasuredRow::of(row, options.max_length, END), &limits)
}

/// What is found in `row` with these options: code, field, expected and found.
fn found(row: &EncodedRow, options: &TokenOptions) -> Vec<String> {
    let said = findings(row, options).into_iter().map(|it| {
        assert_eq!(
            (it.place.file.as_str(), it.place.row),
            ("rows.jsonl", Some(1))
        );
        assert!(!it.fix.is_empty());
        let field = it.place.field.unwrap_or_default();
        format!("{} {field}: {}, {}", it.code, it.expected, it.found)
    });
    said.collect()
}

/// A row of a prompt of 2 tokens and an answer that makes it `length` long.
fn of_length(length: usize) -> EncodedRow {
    let mut ids: Vec<u32> = (1..=length as u32).collect();
    ids[length - 1] = END;
    row(&ids, &("..".to_owned() + &"!".repeat(length - 2)))
}

#[test]
fn a_row_that_fits_has_nothing() {
    assert!(found(&of_length(8), &options()).is_empty());
}

#[test]
fn an_answer_that_would_be_cut_is_an_error_with_how_much() {
    let said = "cut_answer response: at most 8 tokens, 11, 3 of the answers' beyond that";
    assert_eq!(found(&of_length(11), &options()), [said]);
}

#[test]
fn an_end_token_that_would_be_cut_is_one_of_its_own() {
    let said = "no_end_token response: `<|endoftext|>` with loss among the first 8 tokens, it beyond them, in a row of 9";
    assert_eq!(found(&of_length(9), &options()), [said]);
}

#[test]
fn an_answer_that_ends_with_another_token_never_teaches_to_stop() {
    let said = "no_end_token response: `<|endoftext|>` as the last token with loss, the id `4`";
    assert_eq!(found(&row(&[1, 2, 3, 4, END], "..!!."), &options()), [said]);
    assert!(found(&row(&[1, 2, 3, 4, END], "..!!!"), &options()).is_empty());
}

#[test]
fn a_row_without_loss_teaches_nothing_also_where_the_prompt_leaves_no_room() {
    let said = "nothing_trained response: a token with loss, none among 3 tokens";
    assert_eq!(found(&row(&[1, 2, END], "..."), &options()), [said]);
    let ids: Vec<u32> = (1..=9).chain([END]).collect();
    let said = "nothing_trained response: a token with loss among the first 8, the first one after 8 tokens";
    assert_eq!(found(&row(&ids, "........!!"), &options()), [said]);
}

#[test]
fn a_row_whose_answers_fit_is_still_too_long() {
    let ids: Vec<u32> = [1, 2, END].into_iter().chain(3..=9).collect();
    let said = "overlong_row : at most 8 tokens, 10";
    assert_eq!(found(&row(&ids, ".!!......."), &options()), [said]);
}

#[test]
fn an_id_that_the_model_has_no_row_for_is_named() {
    let said = "unknown_ids : ids below 50, `50`";
    assert_eq!(found(&row(&[1, 50, 60, END], "..!!"), &options()), [said]);
    assert!(found(&row(&[1, 49, 40, END], "..!!"), &options()).is_empty());
}

#[test]
fn long_prompts_and_responses_are_told_apart() {
    let row = row(&[1, 2, 3, 4, 5, END], "...!!!");
    let limited = |long_prompt, long_response| TokenOptions {
        long_prompt,
        long_response,
        ..options()
    };
    assert!(found(&row, &limited(3, 3)).is_empty());
    let said = "long_prompt prompt: at most 2 tokens without loss, 3";
    assert_eq!(found(&row, &limited(2, 3)), [said]);
    let said = "long_response response: at most 2 tokens with loss, 3";
    assert_eq!(found(&row, &limited(3, 2)), [said]);
    assert_eq!(
        (options().long_prompt, options().long_response),
        (2048, 2048)
    );
}

#[test]
fn codes_are_no_other_rule_s_and_have_all_that_is_shown_of_them() {
    let all = token_references();
    let codes: BTreeSet<_> = all.iter().map(|it| it.code).collect();
    assert_eq!(codes.len(), all.len());
    for other in llmopt_dataset::references() {
        assert!(!codes.contains(other.code), "{}", other.code);
    }
    for it in &all {
        let is_code = |byte| matches!(byte, b'a'..=b'z' | b'_');
        assert!(it.code.bytes().all(is_code), "{}", it.code);
        for text in [it.description, it.fix, it.example] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{}", it.code);
        }
    }
    assert!(all.is_sorted_by_key(|it| std::cmp::Reverse(it.severity)));
}

#[test]
fn examples_are_what_findings_say() {
    /// A row of so many tokens without loss, with loss, and without again.
    fn parts(before: usize, trained: usize, after: usize) -> EncodedRow {
        let mut ids = vec![1; before + trained + after];
        ids[before + trained - 1] = END;
        let mask = [".".repeat(before), "!".repeat(trained), ".".repeat(after)];
        row(&ids, &mask.concat())
    }
    let options = TokenOptions {
        max_length: 512,
        ..TokenOptions::of(ModelLimits {
            context: 4_096,
            vocabulary: 50_257,
        })
    };
    let rows = [
        ("nothing_trained", parts(600, 9, 0), 512),
        ("cut_answer", parts(100, 600, 0), 512),
        ("no_end_token", parts(100, 413, 0), 512),
        ("overlong_row", parts(100, 400, 30), 512),
        ("unknown_ids", row(&[1, 50_260, END], ".!!"), 512),
        ("long_prompt", parts(3_120, 9, 0), 4_096),
        ("long_response", parts(9, 2_500, 0), 4_096),
    ];
    assert_eq!(rows.len(), RULES.len());
    for ((code, row, max_length), rule) in rows.into_iter().zip(&RULES) {
        let options = TokenOptions {
            max_length,
            ..options
        };
        let [finding] = &findings(&row, &options)[..] else {
            panic!("{code}")
        };
        assert_eq!((finding.code.as_str(), rule.reference.code), (code, code));
        let said = format!("expected {}, found {}", finding.expected, finding.found);
        assert_eq!(said, rule.reference.example);
    }
}

fn table() -> String {
    let mut text =
        "| code | severity | what is found | what to do | for example |\n|---|---|---|---|---|\n"
            .to_owned();
    for it in token_references() {
        let severity = serde_json::to_value(it.severity).unwrap();
        let cells = [it.description, it.fix, it.example].map(|cell| cell.replace('|', "\\|"));
        writeln!(
            text,
            "| `{}` | {} | {} |",
            it.code,
            severity.as_str().unwrap(),
            cells.join(" | ")
        )
        .unwrap();
    }
    text
}

#[test]
fn the_table_is_that_of_the_rules() {
    let page = include_str!("../../../../../docs/DATASETS.md");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(STOP).unwrap();
    let text = format!("{before}{BEGIN}\n{}\n{STOP}{after}", table());
    expect_file!["../../../../../docs/DATASETS.md"].assert_eq(&text);
}
