use serde::Serialize;
use utoipa::ToSchema;

use super::{Findings, Quality};

/// What to do about a dataset next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recommendation {
    /// A stable code, such as `remove_duplicates`.
    pub code: &'static str,
    /// What to do, and why.
    pub text: String,
}

/// Codes of findings that one act mends together, with that act.
const REPAIRS: [(&str, &[&str], &str); 8] = [
    (
        "remove_secrets",
        &["secret"],
        "make the secrets in {} invalid where they belong, and delete them here: what is learnt may be told",
    ),
    (
        "remove_personal_data",
        &["email_address", "phone_number", "card_number", "iban"],
        "replace the personal data in {} by some that is made up: what is learnt may be told",
    ),
    (
        "resolve_contradictions",
        &["same_prompt"],
        "choose one response where an earlier row answers the same prompt otherwise: {}",
    ),
    (
        "mend_encoding",
        &[
            "replacement_character",
            "mojibake",
            "control_character",
            "invisible_character",
            "mixed_normal_forms",
        ],
        "make the file anew from its source in UTF-8: text is damaged in {}",
    ),
    (
        "remove_template_marks",
        &["special_token"],
        "delete a chat template's marks from {}: the base model's template adds its own",
    ),
    (
        "mend_tool_calls",
        &[
            "unknown_tool",
            "missing_argument",
            "unexpected_argument",
            "wrong_argument",
            "unknown_call",
        ],
        "make the calls and the `tools` agree in {}: wrong calls are learnt, too",
    ),
    (
        "review_refusals",
        &["refusal", "boilerplate"],
        "look at the refusals and set phrases in {}: the model will say them, too",
    ),
    (
        "complete_responses",
        &[
            "placeholder",
            "echoed_prompt",
            "truncated_response",
            "unparsable_json",
        ],
        "complete or delete the responses that are none in {}",
    ),
];

/// Says what to do about a dataset with `rows` rows to train on, the most urgent first.
pub(super) fn recommendations(
    rows: u64,
    quality: &Quality,
    findings: &Findings,
) -> Vec<Recommendation> {
    let mut all = Vec::new();
    let mut add = |code, text| all.push(Recommendation { code, text });
    if quality.errors > 0 {
        let errors = counted(quality.errors, "error");
        add(
            "mend_errors",
            format!("mend {errors} first: no training starts before that"),
        );
    }
    if quality.duplicates > 0 {
        let duplicates = counted(quality.duplicates, "duplicate");
        let command = "`llmopt dataset fix --rule duplicate_row`";
        add(
            "remove_duplicates",
            format!("remove {duplicates} with {command}"),
        );
    }
    for (code, of, text) in REPAIRS {
        let places = of.iter().map(|code| findings.total(code)).sum();
        if places > 0 {
            add(code, text.replace("{}", &counted(places, "place")));
        }
    }
    let distinct = rows.saturating_sub(quality.duplicates);
    if distinct > 0 {
        add_sizes(distinct, add);
    }
    all
}

fn add_sizes(rows: u64, mut add: impl FnMut(&'static str, String)) {
    let counted_rows = counted(rows, "row");
    match suggested_held_out(rows) {
        0 => add(
            "add_rows",
            format!("add rows: {counted_rows} teach little; 50 to 100 good ones are a beginning"),
        ),
        held_out => add("hold_out", held_out_text(held_out, rows)),
    }
    let epochs = suggested_epochs(rows);
    let why = match epochs {
        4.. => "so that few rows are seen often enough",
        3 => "as many rows want",
        _ => "more would repeat what so many rows say already",
    };
    add(
        "epochs",
        format!(
            "train for {}: {why} ({counted_rows})",
            counted(epochs, "epoch")
        ),
    );
}

/// Returns how many of so many different rows to hold out: a tenth tells how well a model does, more than 1,000 rows
/// tell it no better, and of fewer than 50 none can be spared.
pub fn suggested_held_out(rows: u64) -> u64 {
    const FEW: u64 = 50;
    match rows {
        ..FEW => 0,
        _ => (rows / 10).clamp(5, 1_000),
    }
}

fn held_out_text(held_out: u64, rows: u64) -> String {
    let kept = rows - held_out;
    format!("hold {held_out} of {rows} rows out to evaluate on, and train on the other {kept}")
}

/// Returns for how many epochs to train on so many different rows: it has about 300 seen at least and 30,000 at most, in
/// 1 to 10 epochs; 3 is the usual number.
pub fn suggested_epochs(rows: u64) -> u64 {
    const USUAL: u64 = 3;
    const FEWEST: u64 = 300;
    const MOST: u64 = 30_000;
    match rows * USUAL {
        ..FEWEST => FEWEST.div_ceil(rows.max(1)).min(10),
        FEWEST..=MOST => USUAL,
        _ => (MOST / rows).max(1),
    }
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::File;

    fn said(file: &File) -> Vec<String> {
        let recommendations = file.validate().recommendations.into_iter();
        recommendations
            .map(|it| format!("{}: {}", it.code, it.text))
            .collect()
    }

    #[test]
    fn a_good_file_is_told_its_sizes_alone() {
        assert_eq!(
            said(&File::with_rows(200, "")),
            [
                "hold_out: hold 20 of 200 rows out to evaluate on, and train on the other 180",
                "epochs: train for 3 epochs: as many rows want (200 rows)",
            ]
        );
    }

    #[test]
    fn what_was_found_is_said_the_most_urgent_first() {
        let more = "{\"prompt\": \"count 3\", \"response\": \"it is 3\"}\n\
            {\"prompt\": \"count 4\", \"response\": \"no\"}\n\
            {\"prompt\": \"Who?\", \"response\": \"anna.berg@mailbox.org\"}\n\
            {\"prompt\": \"Hi\", \"response\": \"\"}\n";
        assert_eq!(
            said(&File::with_rows(16, more)),
            [
                "mend_errors: mend 1 error first: no training starts before that",
                "remove_duplicates: remove 1 duplicate with `llmopt dataset fix --rule duplicate_row`",
                "remove_personal_data: replace the personal data in 1 place by some that is made up: what is learnt may be told",
                "resolve_contradictions: choose one response where an earlier row answers the same prompt otherwise: 1 place",
                "add_rows: add rows: 18 rows teach little; 50 to 100 good ones are a beginning",
                "epochs: train for 10 epochs: so that few rows are seen often enough (18 rows)",
            ]
        );
    }

    #[test]
    fn an_empty_file_has_only_its_error_to_mend() {
        let codes: Vec<_> = File::new("a.jsonl", b"").validate().recommendations;
        assert_eq!(
            codes.iter().map(|it| it.code).collect::<Vec<_>>(),
            ["mend_errors"]
        );
    }

    #[test]
    fn fewer_rows_want_more_epochs() {
        let epochs: Vec<u64> = [1, 10, 50, 99, 100, 10_000, 10_001, 15_000, 1_000_000]
            .map(suggested_epochs)
            .into();
        assert_eq!(epochs, [10, 10, 6, 4, 3, 3, 2, 2, 1]);
    }

    #[test]
    fn every_code_of_a_repair_is_a_rule_s() {
        let rules = crate::references();
        for code in REPAIRS.iter().flat_map(|(_, codes, _)| *codes) {
            assert!(rules.iter().any(|rule| rule.code == *code), "{code}");
        }
    }
}
