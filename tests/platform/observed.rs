//! What metrics, traces and the status say of what was done.

use std::{
    net::TcpListener,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::{
    collector::{Collector, attributes},
    scrape::Scrape,
    server::{Place, Server},
};

const DURATIONS: &str = "http_server_request_duration_seconds_count";
const ANSWERS: &str = "gen_ai_server_request_duration_seconds_count";

fn question(model: &str, extra: Value) -> Value {
    let mut body = json!({"model_id": model, "prompt": "7?", "max_tokens": 4, "temperature": 0});
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// Scrapes until what is counted has come to its end: an answer is read before the server is done with it.
fn until(server: &Server, reached: impl Fn(&Scrape) -> bool) -> Scrape {
    let began = Instant::now();
    loop {
        let scrape = Scrape::of(server);
        if reached(&scrape) {
            return scrape;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{}", scrape.text);
        sleep(Duration::from_millis(20));
    }
}

fn route(route: &str, method: &str, status: &str, scrape: &Scrape) -> Option<f64> {
    let labels = [
        ("http_route", route),
        ("http_request_method", method),
        ("http_response_status_code", status),
    ];
    scrape.value(DURATIONS, &labels)
}

#[test]
fn requests_are_counted_as_they_were_made() {
    let place = Place::new();
    let server = place.serve();
    let mut bytes = 0;
    for _ in 0..7 {
        let answer = server.get("/models").send().unwrap();
        bytes += answer.bytes().unwrap().len();
    }
    for path in ["/models/ft:tiny:secret-a", "/models/ft:tiny:secret-b"] {
        assert_eq!(server.problem(server.get(path)).0, 404);
    }
    assert_eq!(server.problem(server.get("/secret-c")).0, 404);
    let scrape = until(&server, |scrape| route("", "GET", "404", scrape).is_some());
    let models = "/api/v1/models";
    assert_eq!(route(models, "GET", "200", &scrape), Some(7.0));
    let one = "/api/v1/models/{model_id}";
    assert_eq!(route(one, "GET", "404", &scrape), Some(2.0));
    let unknown = [("http_route", one), ("error_type", "model_not_found")];
    assert_eq!(scrape.value(DURATIONS, &unknown), Some(2.0));
    assert_eq!(route("", "GET", "404", &scrape), Some(1.0));
    let size = "http_server_response_body_size_bytes";
    let of = [("http_route", models)];
    let sum = scrape.value(&format!("{size}_sum"), &of);
    assert_eq!(sum, Some(bytes as f64));
    let cpu = scrape.value("llmopt_request_cpu_time_seconds_sum", &of);
    assert!(cpu.is_some_and(|cpu| cpu > 0.0), "{cpu:?}");
    // The scrape itself.
    let active = scrape.value(
        "http_server_active_requests",
        &[("http_request_method", "GET")],
    );
    assert_eq!(active, Some(1.0));
    assert!(!scrape.text.contains("secret-"), "{}", scrape.text);
    until(&server, |scrape| {
        scrape.values_of("http_route").contains("/metrics")
    });
}

#[test]
fn answers_are_counted_with_their_tokens_by_the_model_that_was_found() {
    let place = Place::new();
    let server = place.serve();
    let ask = |extra| server.post("/generate").json(&question("base:tiny", extra));
    let whole = server.json(ask(json!({})));
    let stream = server.stream(ask(json!({"stream": true})));
    let streamed = &stream.last().unwrap().1;
    let batch = json!({"requests": [
        question("base:tiny", json!({})), question("ft:tiny:nobody", json!({})),
    ]});
    let batch = server.json(server.post("/generate/batch").json(&batch));
    let batched = &batch["results"][0]["response"];
    let malformed = server
        .post("/generate")
        .json(&json!({"model_id": "base:tiny"}));
    assert_eq!(server.problem(malformed).0, 422);

    let of = [("gen_ai_request_model", "base:tiny"), ("error_type", "")];
    let scrape = until(&server, |scrape| scrape.value(ANSWERS, &of) == Some(3.0));
    let unknown = [
        ("gen_ai_request_model", ""),
        ("error_type", "model_not_found"),
    ];
    assert_eq!(scrape.value(ANSWERS, &unknown), Some(1.0));
    for (kind, name) in [("input", "input_tokens"), ("output", "output_tokens")] {
        let told = [&whole, streamed, batched].map(|it| it["metrics"][name].as_f64().unwrap());
        let labels = [
            ("gen_ai_token_type", kind),
            ("gen_ai_request_model", "base:tiny"),
        ];
        let sum = scrape.value("gen_ai_client_token_usage_sum", &labels);
        assert_eq!(sum, Some(told.iter().sum()), "{kind}");
    }
    let lookups = |result| {
        let labels = [("llmopt_cache_result", result)];
        scrape.value("llmopt_model_cache_lookups_total", &labels)
    };
    assert_eq!((lookups("miss"), lookups("hit")), (Some(1.0), Some(2.0)));
    let first = scrape.value("gen_ai_server_time_to_first_token_seconds_count", &[]);
    assert_eq!(first, Some(3.0));
    assert_eq!(scrape.value("llmopt_model_cache_models", &[]), Some(1.0));
    assert_eq!(scrape.value("llmopt_cost_usd_total", &[]), Some(0.0));
    let models = scrape.values_of("gen_ai_request_model");
    assert_eq!(models.into_iter().collect::<Vec<_>>(), ["", "base:tiny"]);
}

fn create_key(place: &Place) -> String {
    let mut command = place.llmopt();
    command.args(["keys", "create", "--name", "scraper", "--scope", "generate"]);
    let created = command.output().unwrap();
    assert!(created.status.success());
    String::from_utf8(created.stdout).unwrap().trim().to_owned()
}

fn scrape_with(server: &Server, key: Option<&str>) -> reqwest::blocking::Response {
    let mut request = Client::new().get(format!("{}/metrics", server.url));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    request.send().unwrap()
}

#[test]
fn metrics_want_a_key_where_others_do_and_count_what_limits_refuse() {
    let place = Place::new();
    let key = create_key(&place);
    let mut command = place.llmopt();
    command.env("LLMOPT_REQUESTS_PER_MINUTE", "60");
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
    let server = place.start(command);
    let mut refused = 0.0;
    while refused < 5.0 {
        match scrape_with(&server, None).status().as_u16() {
            401 => {}
            429 => refused += 1.0,
            other => panic!("{other}"),
        }
    }
    let answer = scrape_with(&server, Some(&key));
    assert_eq!(answer.status(), 200);
    let scrape = Scrape::read(&answer.text().unwrap());
    let refusals = |scope| {
        let labels = [("llmopt_refusal_scope", scope)];
        scrape.value("llmopt_refusals_total", &labels)
    };
    assert_eq!(refusals("address"), Some(refused));
    assert_eq!(
        (refusals("key"), refusals("uncounted")),
        (Some(0.0), Some(0.0))
    );
}

#[test]
fn the_status_tells_what_the_machine_and_the_requests_are() {
    let place = Place::new();
    let server = place.serve();
    for _ in 0..3 {
        assert_eq!(server.get("/models").send().unwrap().status(), 200);
    }
    until(&server, |scrape| {
        route("/api/v1/models", "GET", "200", scrape) == Some(3.0)
    });
    let status = server.json(server.get("/status"));
    for (pointer, least) in [
        ("/cpu/processors", 1.0),
        ("/cpu/process_seconds", 0.001),
        ("/memory/resident_bytes", 1e6),
        ("/memory/machine_bytes", 1e8),
        ("/disk/total_bytes", 1e6),
        ("/requests/total", 3.0),
        ("/requests/active", 1.0),
        ("/requests/by_status/2xx", 3.0),
        ("/requests/latency_ms/p50", 0.001),
    ] {
        let value = status.pointer(pointer).and_then(Value::as_f64);
        assert!(
            value.is_some_and(|value| value >= least),
            "{pointer}: {status}"
        );
    }
    assert_eq!(
        status["queue"],
        json!({"waiting": 0, "taken": 0, "dead": 0})
    );
    assert_eq!(status["model_cache"]["hit_rate"], Value::Null);
    let text = status.to_string();
    let place = place.data_dir();
    assert!(!text.contains(place.to_str().unwrap()), "{text}");
}

fn traced(place: &Place, endpoint: &str) -> Command {
    let mut command = place.llmopt();
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_SERVICE_NAME", "llmopt-tests");
    command
}

#[test]
fn a_request_is_a_span_of_its_callers_trace_and_an_answer_one_of_its_own() {
    let place = Place::new();
    let collector = Collector::start();
    let server = place.start(traced(&place, &collector.endpoint));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = question("base:tiny", json!({"stream": true, "top_p": 0.5}));
    let asked = server.post("/generate").header("traceparent", parent);
    let events = server.stream(asked.json(&body));
    assert_eq!(events.last().unwrap().0, "done");
    let unknown = server
        .post("/generate")
        .json(&question("ft:tiny:secret", json!({})));
    assert_eq!(server.problem(unknown).0, 404);
    assert_eq!(server.terminate(), Some(0));

    let spans = collector.spans();
    assert_eq!(spans.len(), 4, "{spans:?}");
    let trace = |span: &opentelemetry_proto::tonic::trace::v1::Span| hex(&span.trace_id);
    let mut requests = spans.iter().filter(|it| it.name == "POST /api/v1/generate");
    let request = requests.find(|it| trace(it) == "0af7651916cd43dd8448eb211c80319c");
    let request = request.unwrap();
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(request.kind, 2, "a server's");
    let told = attributes(request);
    assert_eq!(told["http.request.method"], "POST");
    assert_eq!(told["http.route"], "/api/v1/generate");
    assert_eq!(told["http.response.status_code"], "200");
    let chat = collector.span("chat base:tiny");
    assert_eq!(chat.parent_span_id, request.span_id);
    assert!(chat.end_time_unix_nano <= request.end_time_unix_nano);
    let told = attributes(&chat);
    let tokens = &events.last().unwrap().1["metrics"];
    for (name, value) in [
        ("gen_ai.operation.name", "chat".to_owned()),
        ("gen_ai.provider.name", "llmopt".to_owned()),
        ("gen_ai.request.model", "base:tiny".to_owned()),
        ("gen_ai.request.max_tokens", "4".to_owned()),
        ("gen_ai.request.temperature", "0".to_owned()),
        ("gen_ai.request.top_p", "0.5".to_owned()),
        (
            "gen_ai.usage.input_tokens",
            tokens["input_tokens"].to_string(),
        ),
        (
            "gen_ai.usage.output_tokens",
            tokens["output_tokens"].to_string(),
        ),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    let reasons = &told["gen_ai.response.finish_reasons"];
    assert!(
        reasons.starts_with("ArrayValue") && reasons.contains("\"length\""),
        "{reasons}"
    );

    let failed = collector.span("chat");
    assert_eq!(attributes(&failed)["error.type"], "model_not_found");
    assert_eq!(failed.status.as_ref().unwrap().code, 2, "an error");
    assert!(!attributes(&failed).contains_key("gen_ai.request.model"));
    assert_eq!(collector.resource()["service.name"], "llmopt-tests");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_collector_that_is_away_or_says_nothing_costs_no_request_and_no_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:1", &silent] {
        let place = Place::new();
        let server = place.start(traced(&place, endpoint));
        // More than the queue holds.
        for _ in 0..3_000 {
            assert_eq!(server.get("/health").send().unwrap().status(), 200);
        }
        assert_eq!(server.terminate(), Some(0), "{endpoint}");
    }
}
