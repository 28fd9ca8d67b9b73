//! Files whose columns have other names than those that are recognised, read with a map of them.

use llmopt_dataset::{
    ColumnMap, Columns, DatasetError, ReadOptions, Repair, ValidationReport, open, open_with,
    read_conversations, read_samples, repair, validate,
};
use llmopt_domain::{Conversation, Finding, Lesson, Severity};
use serde_json::{Value, json};

use crate::{cases::File, parquet_files::bytes};

const MAP: &str = "prompt=frage,response=antwort";

fn map(text: &str) -> ColumnMap {
    text.parse().unwrap()
}

fn options(text: &str) -> ReadOptions {
    map(text).into()
}

fn report(file: &File, text: &str) -> ValidationReport {
    validate(&file.path, &options(text).into()).unwrap()
}

fn conversations(file: &File, text: &str) -> Vec<(u64, Conversation)> {
    read_conversations(&file.path, &options(text)).unwrap()
}

fn refusal(file: &File, text: &str) -> String {
    let error = read_conversations(&file.path, &options(text)).unwrap_err();
    let file = file.path.display().to_string();
    error.to_string().replace(&file, "FILE")
}

/// JSONL of `rows`, or of as many pairs in German and then these.
fn jsonl(pairs: usize, rows: &[Value]) -> File {
    let pairs = (0..pairs)
        .map(|i| json!({"frage": format!("zähle {i}"), "antwort": format!("das ist {i}")}));
    let lines: String = pairs
        .chain(rows.iter().cloned())
        .map(|row| format!("{row}\n"))
        .collect();
    File::new("rows.jsonl", lines.as_bytes())
}

fn coded<'a>(report: &'a ValidationReport, code: &str) -> Vec<&'a Finding> {
    let findings = report.findings.iter();
    findings.filter(|finding| finding.code == code).collect()
}

#[test]
fn the_same_pairs_are_read_from_every_format() {
    let expected = vec![
        (1, Conversation::from_pair("a", "b")),
        (2, Conversation::from_pair("c", "d")),
    ];
    let rows = json!([{"frage": "a", "antwort": "b"}, {"frage": "c", "antwort": "d"}]);
    let lines = "{\"antwort\":\"b\",\"frage\":\"a\"}\n{\"frage\":\"c\",\"antwort\":\"d\"}\n";
    for (name, text) in [
        ("rows.json", rows.to_string()),
        ("rows.jsonl", lines.to_owned()),
        ("rows.csv", "antwort;id;frage\nb;1;a\nd;2;c\n".to_owned()),
        ("rows.tsv", "frage\tantwort\na\tb\nc\td\n".to_owned()),
    ] {
        let file = File::new(name, text.as_bytes());
        assert_eq!(conversations(&file, MAP), expected, "{name}");
    }
    let file = File::new("rows.txt", "a\nb\n".as_bytes());
    let texts = read_samples(&file.path, &options("text=text")).unwrap();
    assert_eq!(texts.map(Result::unwrap).count(), 2);
}

#[test]
fn columns_of_parquet_files_are_mapped() {
    let file = File::new("rows", &bytes("pairs"));
    let rows = conversations(&file, "question=response,answer=prompt");
    assert_eq!(rows[5], (6, Conversation::from_pair("it is 5", "count 5")));
    let exchanged = conversations(&file, "prompt=response,response=prompt");
    assert_eq!(exchanged, rows);
}

#[test]
fn every_shape_reads_what_is_mapped_as_what_has_the_names() {
    let turns = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
    let told = json!([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]);
    let answer = |text: &str| json!([{"role": "assistant", "content": text}]);
    let asked = json!({"messages": [{"role": "user", "content": "a"}]});
    for row in [
        json!({"prompt": "a", "response": "b", "system": "c"}),
        json!({"prompt": "a", "completion": "b"}),
        json!({"question": "a", "answer": "b"}),
        json!({"input": "a", "output": "b"}),
        json!({"instruction": "a", "input": "b", "output": "c", "history": [["d", "e"]]}),
        json!({"messages": turns, "tools": []}),
        json!({"conversations": told, "system": "c"}),
        json!({"input": asked, "preferred_output": answer("b"), "non_preferred_output": answer("c")}),
        json!({"prompt": "a", "chosen": "b", "rejected": "c"}),
        json!({"messages": turns, "label": true}),
        json!({"prompt": "a", "completion": "b", "label": false}),
        json!({"text": "a"}),
    ] {
        let fields = row.as_object().unwrap();
        let renamed = fields
            .iter()
            .map(|(name, value)| (format!("mein {name}"), value.clone()));
        let renamed = File::new(
            "a.jsonl",
            Value::Object(renamed.collect()).to_string().as_bytes(),
        );
        let entries: Vec<_> = fields
            .keys()
            .map(|name| format!("{name}=mein {name}"))
            .collect();
        let sample = |file: &File, options: &ReadOptions| {
            let mut samples = read_samples(&file.path, options).unwrap();
            samples.next().unwrap().unwrap()
        };
        let plain = File::new("a.jsonl", row.to_string().as_bytes());
        let expected = sample(&plain, &ReadOptions::default());
        assert_eq!(sample(&renamed, &options(&entries.join(","))), expected);
    }
}

#[test]
fn findings_name_the_columns_of_the_file_and_the_row() {
    let rows = [
        json!({"frage": "x", "antwort": " "}),
        json!({"frage": "y"}),
        json!({"frage": 1, "antwort": "y"}),
        json!({"frage": "cafÃ©", "antwort": "y"}),
        json!({"frage": "z", "antwort": null}),
    ];
    let report = report(&jsonl(12, &rows), MAP);
    let told: Vec<_> = report
        .findings
        .iter()
        .map(|it| (it.code.as_str(), it.place.row, it.place.field.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("empty_text", Some(13), Some("antwort")),
            ("missing_field", Some(14), Some("antwort")),
            ("wrong_type", Some(15), Some("frage")),
            ("missing_field", Some(17), Some("antwort")),
            ("mojibake", Some(16), Some("frage")),
        ]
    );
    assert_eq!(report.findings[1].found, "only `frage`");
    assert_eq!(report.findings[3].found, "`null`");
    assert_eq!((report.rows, report.valid_rows), (17, 13));
    let shape = Columns::Pair {
        prompt: "prompt",
        response: "response",
    };
    assert_eq!((report.columns, report.column_map), (Some(shape), map(MAP)));
}

#[test]
fn places_within_turns_begin_with_the_column_of_the_file() {
    let row = |role: &str| json!({"dialog": [{"role": "user", "content": "a"}, {"role": role, "content": "b "}]});
    let file = jsonl(0, &[row("assistant"), row("bot")]);
    let report = report(&file, "messages=dialog");
    let field = |code: &str| coded(&report, code)[0].place.field.clone().unwrap();
    assert_eq!(field("response_edge_space"), "dialog[1].content");
    assert_eq!(field("unknown_role"), "dialog[1].role");
}

#[test]
fn a_column_that_is_called_as_a_mapped_one_is_set_aside_and_said_to_be() {
    let row = json!({"frage": "x", "antwort": "y", "prompt": "old", "messages": "old", "id": 1});
    let file = jsonl(12, &[row]);
    let report = report(&file, MAP);
    let extra: Vec<_> = coded(&report, "extra_column")
        .iter()
        .map(|it| {
            (
                it.place.field.as_deref().unwrap(),
                it.place.row,
                it.severity,
            )
        })
        .collect();
    let info = Severity::Info;
    assert_eq!(
        extra,
        [
            ("messages", Some(13), info),
            ("id", Some(13), info),
            ("prompt", Some(13), info)
        ]
    );
    let finding = coded(&report, "extra_column")[2];
    assert_eq!(finding.expected, "only `frage` and `antwort`");
    assert_eq!(
        finding.found,
        "a column that is not read, because `frage` is"
    );
    assert!(!report.has_errors());
    let rows = conversations(&file, MAP);
    assert_eq!(rows[12].1, Conversation::from_pair("x", "y"));
}

#[test]
fn a_row_without_the_mapped_column_does_not_fall_back_on_another() {
    let file = jsonl(12, &[json!({"prompt": "x", "antwort": "y"})]);
    let said = refusal(&file, MAP);
    let expected = "FILE, row 13 (line 13), field `frage`: expected text, found only `antwort`, `prompt` \
                    [missing_field]; fill it in, or delete the row";
    assert_eq!(said, expected);
}

#[test]
fn a_mapped_column_that_no_row_has_is_one_error_of_the_file() {
    let file = jsonl(30, &[]);
    for (text, expected) in [
        (
            "prompt=Frage,response=antwort",
            "a column `Frage` for `prompt`",
        ),
        (
            "prompt=frage,response=antwort,system=rolle",
            "a column `rolle` for `system`",
        ),
    ] {
        let report = report(&file, text);
        let [finding] = &report.findings[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            (finding.code.as_str(), finding.severity),
            ("missing_column", Severity::Error)
        );
        assert_eq!((&finding.place.row, &finding.place.field), (&None, &None));
        assert_eq!(finding.expected, expected);
        assert_eq!(finding.found, "the columns `antwort`, `frage`");
        assert!(refusal(&file, text).contains("[missing_column]"), "{text}");
    }
}

#[test]
fn a_column_that_only_a_late_row_has_is_there() {
    let file = jsonl(30, &[json!({"frage": "x", "antwort": "y", "rolle": "z"})]);
    let text = "prompt=frage,response=antwort,system=rolle";
    assert!(report(&file, text).findings.is_empty());
    assert_eq!(conversations(&file, text)[30].1.messages[0].content, "z");
}

#[test]
fn a_file_without_rows_has_no_missing_columns() {
    let file = File::new("a.jsonl", b"\n");
    assert!(coded(&report(&file, MAP), "missing_column").is_empty());
    assert!(conversations(&file, MAP).is_empty());
}

#[test]
fn a_preference_is_told_by_the_columns_of_the_file() {
    let row = json!({"gut": "b", "schlecht": "c", "prompt": "a"});
    let file = jsonl(0, &[row]);
    let text = "chosen=gut,rejected=schlecht";
    let (_, sample) = read_samples(&file.path, &options(text))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(matches!(sample.lesson, Lesson::Preference { .. }));
    let report = report(&file, text);
    let found = &coded(&report, "other_lesson")[0].found;
    assert!(found.ends_with(" in `gut` and `schlecht`"), "{found}");
}

#[test]
fn what_is_mended_is_read_without_a_map() {
    let rows = [
        json!({"id": 1, "frage": "x", "antwort": "y ", "prompt": "old"}),
        json!({"frage": "x", "antwort": "y"}),
    ];
    let file = jsonl(2, &rows);
    let (mut out, mut changes) = (Vec::new(), Vec::new());
    let repairs = [Repair::TrailingSpace, Repair::DuplicateRow];
    let summary = repair(
        &file.path,
        &options(MAP),
        &repairs,
        &mut out,
        &mut |change| {
            changes.push((change.row, change.field.clone(), change.before.clone()));
            Ok(())
        },
    );
    let summary = summary.unwrap();
    assert_eq!(summary.renamed_columns, map(MAP));
    let told = serde_json::to_value(&summary).unwrap();
    assert_eq!(
        told["renamed_columns"],
        json!({"prompt": "frage", "response": "antwort"})
    );
    let whole = r#"{"frage":"x","antwort":"y"}"#.to_owned();
    let space = (3, Some("antwort".to_owned()), "y ".to_owned());
    assert_eq!(changes, [space, (4, None, whole)]);
    let mended = File::new("mended.jsonl", &out);
    let third = open(&mended.path).unwrap().nth(2).unwrap().unwrap();
    let expected = json!({"response": "y", "id": 1, "prompt": "x", "unmapped_prompt": "old"});
    assert_eq!(Value::Object(third.fields), expected);
    let rows = read_conversations(&mended.path, &ReadOptions::default()).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2].1, Conversation::from_pair("x", "y"));
}

#[test]
fn a_summary_without_a_map_is_what_it_was() {
    let file = File::new("a.jsonl", br#"{"prompt":"a","response":"b"}"#);
    let mended = repair(
        &file.path,
        &ReadOptions::default(),
        &[],
        &mut Vec::new(),
        &mut |_| Ok(()),
    );
    let told = serde_json::to_value(mended.unwrap()).unwrap();
    assert_eq!(
        told,
        json!({"rows_before": 1, "rows_after": 1, "totals": {}})
    );
}

#[test]
fn what_is_mended_needs_the_columns_that_are_mapped() {
    let file = jsonl(30, &[]);
    let text = "prompt=frage,response=antwort,system=rolle";
    let error = repair(
        &file.path,
        &options(text),
        &Repair::ALL,
        &mut Vec::new(),
        &mut |_| Ok(()),
    );
    let Err(DatasetError::Content(finding)) = error else {
        panic!("{error:?}")
    };
    assert_eq!(finding.code, "missing_column");
}

#[test]
fn rows_keep_their_order_numbers_and_other_columns() {
    let file = File::new("a.csv", b"id,frage,prompt,antwort\n1,a,b,c\n");
    let row = open_with(&file.path, &options(MAP))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let names: Vec<_> = row.fields.keys().map(String::as_str).collect();
    assert_eq!(
        (row.number, row.line, names),
        (1, 2, vec!["id", "prompt", "response"])
    );
    assert_eq!(row.set_aside["prompt"], "b");
}
