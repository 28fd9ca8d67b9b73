use std::time::Duration;

use expect_test::expect;
use llmopt_telemetry::AnswerUse;

use super::*;

fn request(route: &'static str, status: Option<u16>) -> RequestEnd<'static> {
    RequestEnd {
        method: "GET",
        route: Some(route),
        status,
        error: status.is_none().then_some("cancelled"),
        duration: Duration::from_millis(2),
        cpu: Duration::from_micros(200),
        bytes: 300,
        id: "req_1",
        trace: None,
    }
}

fn answer(model: &str) -> AnswerEnd<'_> {
    AnswerEnd {
        provider: "llmopt",
        model: Some(model),
        outcome: Ok(AnswerUse {
            input_tokens: 15,
            output_tokens: 85,
            first_token: Duration::from_millis(200),
            cached: Some(true),
            cost_picodollars: 2_000_000_000,
        }),
        duration: Duration::from_millis(1_250),
    }
}

/// The lines that are neither comments nor buckets.
fn values(meter: &PrometheusMeter) -> String {
    let text = meter.render(&[]).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_was_measured_is_rendered_under_the_names_of_the_table() {
    let meter = PrometheusMeter::new().unwrap();
    meter.begin("GET");
    meter.begin("GET");
    meter.request(&request("/api/v1/models", Some(200)));
    meter.refusal(RefusalScope::Key);
    meter.answer(&answer("ft:tiny:squares:1"));
    meter.answer(&AnswerEnd {
        model: None,
        outcome: Err("model_not_found"),
        ..answer("")
    });
    expect![[r#"
        gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1",gen_ai_token_type="input"} 15
        gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1",gen_ai_token_type="input"} 1
        gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1",gen_ai_token_type="output"} 85
        gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1",gen_ai_token_type="output"} 1
        gen_ai_server_request_duration_seconds_sum{error_type="",gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1"} 1.25
        gen_ai_server_request_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1"} 1
        gen_ai_server_request_duration_seconds_sum{error_type="model_not_found",gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model=""} 1.25
        gen_ai_server_request_duration_seconds_count{error_type="model_not_found",gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model=""} 1
        gen_ai_server_time_per_output_token_seconds_sum{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1"} 0.0125
        gen_ai_server_time_per_output_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1"} 1
        gen_ai_server_time_to_first_token_seconds_sum{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1"} 0.2
        gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1"} 1
        http_server_active_requests{http_request_method="GET"} 1
        http_server_request_duration_seconds_sum{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/api/v1/models"} 0.002
        http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/api/v1/models"} 1
        http_server_response_body_size_bytes_sum{http_request_method="GET",http_route="/api/v1/models"} 300
        http_server_response_body_size_bytes_count{http_request_method="GET",http_route="/api/v1/models"} 1
        llmopt_cost_usd_total{gen_ai_provider_name="llmopt",gen_ai_request_model="ft:tiny:squares:1"} 0.002
        llmopt_metrics_other_models_total 0
        llmopt_model_cache_lookups_total{gen_ai_request_model="ft:tiny:squares:1",llmopt_cache_result="hit"} 1
        llmopt_refusals_total{llmopt_refusal_scope="address"} 0
        llmopt_refusals_total{llmopt_refusal_scope="key"} 1
        llmopt_refusals_total{llmopt_refusal_scope="route"} 0
        llmopt_refusals_total{llmopt_refusal_scope="uncounted"} 0
        llmopt_request_cpu_time_seconds_sum{http_request_method="GET",http_route="/api/v1/models"} 0.0002
        llmopt_request_cpu_time_seconds_count{http_request_method="GET",http_route="/api/v1/models"} 1
    "#]].assert_eq(&values(&meter));
}

#[test]
fn readings_are_rendered_as_what_they_are() {
    let meter = PrometheusMeter::new().unwrap();
    let reading = |metric, labels: &[&str], value| Reading {
        metric,
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        value,
    };
    let text = meter
        .render(&[
            reading(&metrics::JOBS, &["queued"], 3.0),
            reading(&metrics::JOBS, &["running"], 1.0),
            reading(&metrics::PROCESS_CPU, &[], 12.5),
        ])
        .unwrap();
    assert!(text.contains("# TYPE llmopt_jobs gauge\n"), "{text}");
    assert!(
        text.contains("llmopt_jobs{llmopt_job_state=\"queued\"} 3\n"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE process_cpu_time_seconds_total counter\n"),
        "{text}"
    );
    assert!(
        text.contains("process_cpu_time_seconds_total 12.5\n"),
        "{text}"
    );
    assert!(meter.render(&[reading(&metrics::JOBS, &[], 3.0)]).is_err());
}

#[test]
fn requests_are_summed_up_by_the_class_of_their_status() {
    let meter = PrometheusMeter::new().unwrap();
    assert_eq!(meter.requests().unwrap().latency, None);
    for (route, status) in [
        ("/a", Some(200)),
        ("/a", Some(404)),
        ("/b", Some(202)),
        ("/b", None),
    ] {
        meter.begin("GET");
        meter.request(&request(route, status));
    }
    meter.begin("POST");
    let summary = meter.requests().unwrap();
    assert_eq!((summary.total, summary.active), (4, 1));
    let counts: Vec<u64> = summary.by_status.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [0, 2, 0, 1, 0, 1]);
    // All of them lie between 1 and 2.5 ms.
    assert_eq!(summary.latency.unwrap().p50_ms, 1.75);
}

#[test]
fn a_flood_of_models_makes_a_hundred_series_and_one_for_the_rest() {
    let meter = PrometheusMeter::new().unwrap();
    for number in 0..1_000 {
        meter.answer(&answer(&format!("ft:tiny:m{number}:1")));
    }
    let text = meter.render(&[]).unwrap();
    let name = metrics::CACHE_LOOKUPS.prometheus();
    let series = text.lines().filter(|line| line.starts_with(&name));
    assert_eq!(series.count(), 101);
    assert!(
        text.contains("llmopt_metrics_other_models_total 900\n"),
        "{text}"
    );
}
