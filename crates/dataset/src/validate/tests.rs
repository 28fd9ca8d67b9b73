use super::*;
use crate::testing::{data, file};
use llmopt_domain::Role;

fn report(extension: &str, text: &str) -> ValidationReport {
    validate(file(extension, text).path(), &ValidationOptions::default()).unwrap()
}

fn good_rows(count: usize) -> String {
    (0..count)
        .map(|row| format!("{{\"prompt\":\"p{row}\",\"response\":\"r{row}\"}}\n"))
        .collect()
}

/// The findings of a file whose first ten rows are good.
fn findings(rows: &str) -> Vec<String> {
    let report = report(".jsonl", &format!("{}{rows}", good_rows(10)));
    report
        .findings
        .iter()
        .map(|finding| format!("{:?} {finding}", finding.severity))
        .collect()
}

fn only(rows: &str, severity: &str, code: &str, part: &str) {
    let found = findings(rows);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(severity), "{}", found[0]);
    assert!(
        found[0].contains(&format!("[{code}]")) && found[0].contains(part),
        "{}",
        found[0]
    );
}

#[test]
fn good_rows_have_no_findings() {
    let report = report(".jsonl", &good_rows(10));
    assert!(report.findings.is_empty() && !report.has_errors());
    assert_eq!((report.rows, report.readable_rows), (10, 10));
    assert_eq!(
        report.statistics.prompt_characters,
        Lengths {
            min: 2,
            median: 2,
            p95: 2,
            max: 2
        }
    );
}

#[test]
fn every_bad_row_is_named_with_its_field() {
    only(
        "{\"prompt\":\"p\"\n",
        "Error",
        "unparsable_row",
        "row 11 (line 11)",
    );
    only(
        "{\"prompt\":\"p\"}\n",
        "Error",
        "missing_field",
        "field `response`",
    );
    only(
        "{\"prompt\":\"p\",\"response\":7}\n",
        "Error",
        "wrong_type",
        "expected a string, found a number",
    );
    only(
        "{\"prompt\":\"p\",\"response\":\" \\t\"}\n",
        "Error",
        "empty_response",
        "field `response`: expected a response, found only white space",
    );
    only(
        "{\"prompt\":\"\",\"response\":\"r\"}\n",
        "Error",
        "empty_prompt",
        "row 11 (line 11), field `prompt`",
    );
    only(
        "{\"prompt\":\"p1\",\"response\":\"r1\"}\n",
        "Warning",
        "duplicate_row",
        "the same as row 2",
    );
    only(
        "{\"prompt\":\"p1\",\"response\":\"other\"}\n",
        "Warning",
        "contradicting_responses",
        "row 2",
    );
}

#[test]
fn too_few_rows_and_constant_responses_are_errors_of_the_file() {
    let few = report(".jsonl", &good_rows(9));
    assert!(
        few.has_errors()
            && few.findings[0]
                .to_string()
                .contains("found 9, fewer than 10"),
        "{:?}",
        few.findings
    );
    let constant: String = (0..12)
        .map(|row| format!("{{\"prompt\":\"p{row}\",\"response\":\"yes\"}}\n"))
        .collect();
    let constant = report(".jsonl", &constant);
    assert_eq!(
        constant.totals.keys().collect::<Vec<_>>(),
        ["same_response"]
    );
    let held_out = file(".jsonl", good_rows(1));
    assert!(
        !validate(held_out.path(), &ValidationOptions::held_out())
            .unwrap()
            .has_errors()
    );
}

#[test]
fn findings_of_one_code_are_capped_and_counted() {
    let report = report(".jsonl", &(good_rows(10) + &"{}\n".repeat(50)));
    assert_eq!(
        (
            report.findings.len(),
            report.totals["missing_field"],
            report.rows
        ),
        (20, 50, 60)
    );
}

#[test]
fn unknown_columns_are_said_once_with_what_was_meant() {
    let report = report(
        ".csv",
        &("promt,response,id\n".to_owned() + &"a,b,1\n".repeat(30)),
    );
    assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
    let text = report.findings[0].to_string();
    assert!(
        text.contains("found columns `promt`, `response`, `id` (is `promt` meant to be `prompt`?)"),
        "{text}"
    );
    let text = report_text("{\"text\":\"all in one\"}\n");
    assert!(text.contains("plain text is not trained on yet"), "{text}");
    let text = report_text("{\"messages\":[],\"tools\":[]}\n");
    assert!(text.contains("[unsupported_column]"), "{text}");
}

fn report_text(rows: &str) -> String {
    report(".jsonl", rows).findings[0].to_string()
}

#[test]
fn columns_that_are_not_trained_on_are_said_back() {
    let report = report(
        ".csv",
        &("question,answer,source\n".to_owned()
            + &(0..10)
                .map(|row| format!("q{row},a{row},x\n"))
                .collect::<String>()),
    );
    assert!(!report.has_errors());
    assert!(
        report.findings[0]
            .to_string()
            .contains("found `source` [extra_columns]"),
        "{:?}",
        report.findings
    );
}

fn first(row: &str) -> Result<Vec<(Role, String)>, String> {
    let file = file(".jsonl", row);
    let rows = read_conversations(file.path()).map_err(|error| error.to_string())?;
    Ok(rows[0]
        .1
        .messages
        .iter()
        .map(|turn| (turn.role, turn.content.clone()))
        .collect())
}

#[test]
fn every_shape_is_read_as_a_conversation() {
    let (system, user, assistant) = (Role::System, Role::User, Role::Assistant);
    let turn = |role, text: &str| (role, text.to_owned());
    let pair = vec![turn(user, "a"), turn(assistant, "b")];
    for row in [
        "{\"prompt\":\"a\",\"response\":\"b\"}",
        "{\"prompt\":\"a\",\"completion\":\"b\"}",
        "{\"question\":\"a\",\"answer\":\"b\"}",
        "{\"input\":\"a\",\"output\":\"b\"}",
        "{\"instruction\":\"a\",\"input\":\"\",\"output\":\"b\"}",
        "{\"instruction\":\"a\",\"output\":\"b\",\"system\":null}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\",\"name\":null}]}",
        "{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"b\"}]}",
    ] {
        assert_eq!(first(row).unwrap(), pair, "{row}");
    }
    let row = "{\"system\":\"s\",\"instruction\":\"a\",\"input\":\"x\",\"output\":\"b\"}";
    assert_eq!(
        first(row).unwrap(),
        [
            turn(system, "s"),
            turn(user, "a\n\nx"),
            turn(assistant, "b")
        ]
    );
}

#[test]
fn turns_that_cannot_be_trained_on_are_refused_by_place() {
    for (turns, part) in [
        ("[]", "no turns"),
        (
            "[{\"role\":\"user\",\"content\":\"a\"}]",
            "field `messages[0].role`: expected the assistant's turn at the end",
        ),
        (
            "[{\"role\":\"assistant\",\"content\":\"a\"}]",
            "expected the user's turn, found the assistant's",
        ),
        (
            "[{\"role\":\"robot\",\"content\":\"a\"}]",
            "field `messages[0].role`",
        ),
        ("[{\"role\":\"user\"}]", "field `messages[0].content`"),
        (
            "[{\"role\":\"user\",\"content\":\"a\",\"weight\":0}]",
            "field `messages[0].weight`",
        ),
        (
            "[\"a\"]",
            "field `messages[0]`: expected an object, found a string",
        ),
        ("{}", "expected a list of turns, found an object"),
    ] {
        let error = first(&format!("{{\"messages\":{turns}}}")).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn gsm8k_is_fit_to_train_on() {
    let Some(path) = data("gsm8k/train.jsonl") else {
        return;
    };
    let report = validate(&path, &ValidationOptions::default()).unwrap();
    assert_eq!((report.rows, report.readable_rows), (7_473, 7_473));
    assert!(!report.has_errors(), "{:?}", report.findings);
    assert_eq!(read_conversations(&path).unwrap().len(), 7_473);
}

#[test]
fn sharegpt_conversations_are_read_or_refused_by_row() {
    let Some(path) = data("sharegpt.json") else {
        return;
    };
    let report = validate(&path, &ValidationOptions::default()).unwrap();
    assert!(report.readable_rows > 0, "{:?}", report.findings);
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.place.row.is_some() || finding.severity < Severity::Error)
    );
}
