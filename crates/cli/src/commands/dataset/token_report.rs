use llmopt_service::{
    HistogramBar, SuggestedValue, Suggestion, TokenLengths, TokenReport, TokenStatistics,
};

use crate::{
    failure::Failure,
    output::{Output, count_text},
};

/// The letters of the longest bar.
const WIDEST_BAR: u64 = 40;

/// Shows what was counted, what to set for training, and what that comes to.
pub(super) fn show_report(output: &mut Output, report: &TokenReport) -> Result<(), Failure> {
    show_statistics(output, &report.statistics)?;
    show_suggestions(output, &report.suggestions)?;
    let Some(estimate) = &report.estimate else {
        return Ok(());
    };
    output.line(format!(
        "with these {} steps, {} tokens computed, {} of them trained on",
        count_text(estimate.steps),
        count_text(estimate.tokens),
        count_text(estimate.trained_tokens)
    ))
}

/// Shows what was counted.
pub(super) fn show_statistics(
    output: &mut Output,
    statistics: &TokenStatistics,
) -> Result<(), Failure> {
    output.facts(&facts(statistics))?;
    let lengths = [
        ("row", &statistics.row),
        ("prompt", &statistics.prompt),
        ("response", &statistics.response),
    ];
    let header = [
        "tokens",
        "shortest",
        "median",
        "95 in 100 at most",
        "99 in 100 at most",
        "longest",
    ];
    let rows = lengths.map(|(name, lengths)| length_row(name, lengths));
    output.table(&header, rows.into())?;
    show_histogram(output, "prompt tokens", &statistics.prompt.histogram)?;
    show_histogram(output, "response tokens", &statistics.response.histogram)
}

fn facts(statistics: &TokenStatistics) -> [(&'static str, String); 6] {
    let vocabulary = &statistics.vocabulary;
    let overlong = &statistics.overlong;
    [
        ("tokens", count_text(statistics.tokens)),
        ("trained on", count_text(statistics.trainable_tokens)),
        (
            "prompt tokens per response token",
            format!("{:.2}", statistics.prompt_per_response),
        ),
        (
            "vocabulary used",
            format!(
                "{} of {} ({:.1} in 100)",
                count_text(vocabulary.used as u64),
                count_text(vocabulary.size as u64),
                vocabulary.share * 100.0
            ),
        ),
        (
            "bytes per token",
            format!("{:.2}", statistics.bytes_per_token),
        ),
        (
            "rows too long",
            format!(
                "{} with {} tokens (limit {} tokens)",
                count_text(overlong.rows),
                count_text(overlong.tokens),
                statistics.max_length
            ),
        ),
    ]
}

fn length_row(name: &str, lengths: &TokenLengths) -> Vec<String> {
    let numbers = [
        lengths.min,
        lengths.p50,
        lengths.p95,
        lengths.p99,
        lengths.max,
    ];
    let numbers = numbers.map(|length| count_text(length as u64));
    std::iter::once(name.to_owned()).chain(numbers).collect()
}

fn show_histogram(
    output: &mut Output,
    title: &str,
    histogram: &[HistogramBar],
) -> Result<(), Failure> {
    let most = histogram.iter().map(|bar| bar.rows).max().unwrap_or(1);
    let rows = histogram.iter().map(|bar| {
        let width = (bar.rows * WIDEST_BAR).div_ceil(most.max(1)) as usize;
        vec![
            format!("{}-{}", bar.from, bar.to),
            count_text(bar.rows),
            "#".repeat(width),
        ]
    });
    output.table(&[title, "rows", ""], rows.collect())
}

fn show_suggestions(output: &mut Output, suggestions: &[Suggestion]) -> Result<(), Failure> {
    let rows = suggestions.iter().map(|suggestion| {
        let value = match suggestion.value {
            SuggestedValue::Count(count) => count.to_string(),
            SuggestedValue::Share(share) => share.to_string(),
        };
        vec![
            suggestion.setting.to_owned(),
            value,
            suggestion.reason.clone(),
        ]
    });
    output.table(&["setting", "suggested", "why"], rows.collect())
}
