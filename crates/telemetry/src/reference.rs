//! Renders the table of metrics into `docs/LOGGING.md`, and checks the names.

use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect_file;

use crate::{Kind, Metric, metrics};

const BEGIN: &str = "<!-- Generated from crates/telemetry/src/metrics.rs; `UPDATE_EXPECT=1 cargo test -p llmopt-telemetry` writes it anew. -->\n";
const END: &str = "<!-- End of what is generated. -->\n";

fn table() -> String {
    let mut text = "\
| metric | in Prometheus | kind, unit | labels | in CloudWatch by | meaning |
|---|---|---|---|---|---|
"
    .to_owned();
    for metric in metrics::ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        writeln!(
            text,
            "| `{}` | `{}` | {kind}, {} | {} | {} | {} |",
            metric.name,
            metric.prometheus(),
            metric.unit.otel(),
            spans(metric.labels),
            dimensions(metric),
            metric.meaning,
        )
        .unwrap();
    }
    text
}

fn spans(names: &[&str]) -> String {
    let spans: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    spans.join(", ")
}

fn dimensions(metric: &Metric) -> String {
    let sets: Vec<String> = metric.dimensions.iter().map(|set| spans(set)).collect();
    sets.join("; ")
}

#[test]
fn the_table_is_that_of_the_constants() {
    let page = include_str!("../../../docs/LOGGING.md");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let text = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    expect_file!["../../../docs/LOGGING.md"].assert_eq(&text);
}

#[test]
fn every_name_is_one_that_prometheus_takes_and_no_other_metric_has() {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let names: BTreeSet<String> = metrics::ALL
        .iter()
        .map(|metric| metric.prometheus())
        .collect();
    assert_eq!(names.len(), metrics::ALL.len());
    assert!(names.iter().all(|name| is_name(name)), "{names:?}");
    for metric in metrics::ALL {
        let labels = metric.prometheus_labels();
        assert!(labels.iter().all(|label| is_name(label)), "{labels:?}");
    }
}

#[test]
fn units_and_kinds_are_spelt_as_prometheus_has_them() {
    assert_eq!(
        metrics::REQUEST_DURATION.prometheus(),
        "http_server_request_duration_seconds"
    );
    assert_eq!(metrics::REFUSALS.prometheus(), "llmopt_refusals_total");
    assert_eq!(metrics::COST.prometheus(), "llmopt_cost_usd_total");
    assert_eq!(
        metrics::TOKEN_USAGE.prometheus(),
        "gen_ai_client_token_usage"
    );
    assert_eq!(
        metrics::GPU_UTILIZATION.prometheus(),
        "hw_gpu_utilization_ratio"
    );
    assert_eq!(metrics::TARGET.prometheus(), "target_info");
}

#[test]
fn buckets_grow() {
    for metric in metrics::ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            assert!(buckets.is_sorted() && buckets[0] > 0.0, "{}", metric.name);
        }
    }
}
