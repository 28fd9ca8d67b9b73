use std::{fs, path::PathBuf};

use llmopt_tokenization::train_bpe;

use super::*;
use crate::{OverlongRows, TokenLengths};

struct Workplace {
    folder: tempfile::TempDir,
    encoder: Encoder,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let texts = ["how much is it".to_owned()].into_iter();
        train_bpe(texts, 270, folder.path()).unwrap();
        let encoder = Encoder::open(folder.path(), None).unwrap();
        Self { folder, encoder }
    }

    fn report(&self, lines: &str, options: &TokenOptions) -> Result<TokenReport, PreparationError> {
        let path = self.folder.path().join("rows.jsonl");
        fs::write(&path, lines).unwrap();
        let mut report = token_report(
            &path,
            &ReadOptions::default(),
            &self.encoder,
            NonZeroUsize::MIN,
            options,
        )?;
        report.rename("rows.jsonl");
        Ok(report)
    }
}

fn options() -> TokenOptions {
    TokenOptions::of(ModelLimits {
        context: 64,
        vocabulary: 270,
    })
}

fn line(prompt: &str, response: &str) -> String {
    serde_json::json!({"prompt": prompt, "response": response}).to_string() + "\n"
}

fn said(report: &TokenReport) -> Vec<String> {
    report.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_dataset_has_numbers_and_no_findings() {
    let lines: String = (0..60).map(|i| line(&i.to_string(), "it is")).collect();
    let report = Workplace::new().report(&lines, &options()).unwrap();
    assert_eq!((report.statistics.rows, said(&report)), (60, Vec::new()));
    assert!(!report.has_errors() && report.estimate.is_some());
    assert_eq!(report.statistics.vocabulary.size, 258);
}

#[test]
fn a_row_that_is_too_long_is_named_with_its_field_and_what_to_do() {
    let lines = line("how much", "so") + &line("how much", &"x".repeat(90));
    let report = Workplace::new().report(&lines, &options()).unwrap();
    let length = report.statistics.row.max;
    let beyond = length - 64;
    assert_eq!(
        said(&report),
        [format!(
            "rows.jsonl, row 2, field `response`: expected at most 64 tokens, found {length}, {beyond} of the answers' beyond that [cut_answer]; shorten the row, raise `max_length` up to the model's context, or have jobs leave it out with `overlong` as `drop`: nothing is cut silently"
        )]
    );
    assert!(report.has_errors());
}

#[test]
fn a_limit_of_one_token_too_few_cuts_the_token_that_ends_the_answer() {
    let place = Workplace::new();
    let lines = line("how much", "so");
    let length = place.report(&lines, &options()).unwrap().statistics.row.max;
    let limited = |max_length| TokenOptions {
        max_length,
        ..options()
    };
    let found = |max_length| place.report(&lines, &limited(max_length)).unwrap().totals;
    assert!(found(length).is_empty());
    assert_eq!(found(length - 1), [("no_end_token".to_owned(), 1)].into());
    assert_eq!(found(length - 2), [("cut_answer".to_owned(), 1)].into());
}

#[test]
fn a_row_that_cannot_be_tokenized_is_a_finding_and_the_others_count() {
    let lines = line("a", "b") + &line("<|endoftext|>", "c") + &line("d", "e");
    let report = Workplace::new().report(&lines, &options()).unwrap();
    assert_eq!((report.statistics.rows, report.findings.len()), (2, 1));
    assert_eq!(report.findings[0].place.row, Some(2));
    assert!(
        report.findings[0]
            .found
            .starts_with("the user message at turn 1 contains `<|endoftext|>`"),
        "{report:?}"
    );
}

#[test]
fn a_broken_row_ends_it() {
    let error = Workplace::new().report(&(line("a", "b") + "{\n"), &options());
    assert!(
        matches!(error, Err(PreparationError::Dataset(_))),
        "{error:?}"
    );
}

#[test]
fn findings_of_one_code_are_capped_and_counted_and_errors_stand_first() {
    let lines = line("a", "b").repeat(30) + &line(&"p".repeat(60), "b");
    let options = TokenOptions {
        long_response: 1,
        ..options()
    };
    let report = Workplace::new().report(&lines, &options).unwrap();
    assert_eq!(report.totals["long_response"], 31);
    assert_eq!(report.findings.len(), 21);
    assert_eq!(report.findings[0].code, "nothing_trained");
}

#[test]
fn a_row_whose_answers_have_no_weight_teaches_nothing() {
    let turns = serde_json::json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 0},
    ]});
    let report = Workplace::new()
        .report(&format!("{turns}\n"), &options())
        .unwrap();
    assert_eq!(report.totals["nothing_trained"], 1);
    assert_eq!(
        report.findings[0].place.field.as_deref(),
        Some("messages[1].content")
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests find outside data through this one variable"
)]
fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("LLMOPT_TEST_DATA");
    if folder.is_none() {
        println!("skipped: LLMOPT_TEST_DATA is not set");
    }
    folder.map(PathBuf::from)
}

/// The numbers are those of the library `tokenizers` in Python on texts rendered there.
#[test]
fn the_numbers_of_a_real_dataset_are_those_of_another_program() {
    let Some(data) = test_data() else { return };
    let encoder = Encoder::open(&data.join("tokenizers/gpt2"), None).unwrap();
    let model = ModelLimits {
        context: 1024,
        vocabulary: 50_257,
    };
    let options = TokenOptions {
        max_length: 200,
        ..TokenOptions::of(model)
    };
    let path = data.join("gsm8k/test.jsonl");
    let threads = NonZeroUsize::new(2).unwrap();
    let report = token_report(&path, &ReadOptions::default(), &encoder, threads, &options).unwrap();
    let found = &report.statistics;
    let ranks = |it: &TokenLengths| [it.p50, it.p95, it.p99, it.max];
    assert_eq!((found.tokens, found.trainable_tokens), (218_433, 130_291));
    assert_eq!(found.vocabulary.used, 7_177);
    assert_eq!(
        (found.prompt_per_response, found.bytes_per_token),
        (0.6765, 3.2192)
    );
    assert_eq!(ranks(&found.row), [157, 267, 333, 411]);
    assert_eq!(ranks(&found.prompt), [63, 109, 129, 192]);
    assert_eq!(ranks(&found.response), [92, 175, 229, 303]);
    let expected = OverlongRows {
        rows: 312,
        tokens: 76_220,
        trainable_tokens: 48_286,
        tokens_beyond: 13_820,
    };
    assert_eq!(found.overlong, expected);
    let cut = [("cut_answer", 303), ("no_end_token", 9)];
    let cut = cut.map(|(code, rows)| (code.to_owned(), rows));
    assert_eq!(report.totals, cut.into());
}

#[test]
fn a_file_without_rows_tells_nothing() {
    let report = Workplace::new().report("\n", &options()).unwrap();
    assert_eq!(report.statistics.rows, 0);
    assert!(report.suggestions.is_empty() && report.estimate.is_none());
}
