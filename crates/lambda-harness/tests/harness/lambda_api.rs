use aws_config::{BehaviorVersion, Region};
use aws_sdk_lambda::{
    Client,
    config::{Credentials, retry::RetryConfig},
    primitives::Blob,
    types::{InvocationType, InvokeWithResponseStreamResponseEvent as Part},
};
use llmopt_lambda_harness::Harness;
use serde_json::{Value, json};

use crate::support::{Gate, example, function, start};

fn client(harness: &Harness) -> Client {
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(harness.url());
    Client::from_conf(config.build())
}

fn blob(event: &Value) -> Blob {
    Blob::new(event.to_string())
}

fn json_of(blob: Option<Blob>) -> Value {
    serde_json::from_slice(blob.unwrap().as_ref()).unwrap()
}

/// Returns the text of a part that is payload.
fn text(part: Option<Part>) -> String {
    let part = part.expect("a part");
    let chunk = part
        .as_payload_chunk()
        .expect("payload")
        .payload
        .as_ref()
        .unwrap();
    String::from_utf8_lossy(chunk.as_ref()).into_owned()
}

#[tokio::test]
async fn the_sdk_invokes_a_function() {
    let harness = start(function("events")).await;
    let event = json!({"a": 1});
    for name in [
        "events",
        "arn:aws:lambda:us-east-1:000000000000:function:events:live",
    ] {
        let invoke = client(&harness).invoke().function_name(name);
        let output = invoke.payload(blob(&event)).send().await.unwrap();
        assert_eq!(output.status_code, 200);
        assert_eq!(output.executed_version.as_deref(), Some("$LATEST"));
        assert_eq!(output.function_error, None);
        assert_eq!(json_of(output.payload)["event"], event);
    }
}

#[tokio::test]
async fn a_failure_of_a_function_is_told_beside_its_answer() {
    let harness = start(function("events")).await;
    let invoke = client(&harness).invoke().function_name("events");
    let output = invoke
        .payload(blob(&json!({"do": "fail"})))
        .send()
        .await
        .unwrap();
    assert_eq!(output.status_code, 200);
    assert_eq!(output.function_error.as_deref(), Some("Unhandled"));
    let error = json_of(output.payload);
    assert_eq!(error["errorMessage"], "asked to fail");
    assert!(error["errorType"].is_string());
}

#[tokio::test]
async fn the_sdk_reads_an_answer_bit_by_bit() {
    let harness = start(function("stream_http")).await;
    let gate = Gate::new().await;
    let event = json!({
        "httpMethod": "GET",
        "path": "/stream",
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": {"gate": gate.address},
        "multiValueQueryStringParameters": {"gate": [gate.address]},
        "requestContext": {"httpMethod": "GET", "stage": "live", "identity": {}},
        "body": null,
        "isBase64Encoded": false,
    });
    let invoke = client(&harness)
        .invoke_with_response_stream()
        .function_name("stream_http");
    let output = invoke.payload(blob(&event)).send().await.unwrap();
    let mut parts = output.event_stream;
    let mut begun = String::new();
    while !begun.ends_with("one") {
        begun.push_str(&text(parts.recv().await.unwrap()));
    }
    assert!(begun.ends_with("\0\0\0\0\0\0\0\0one"), "{begun:?}");
    // The function is not let on before its first part is here.
    gate.knocked().await.open().await;
    assert_eq!(text(parts.recv().await.unwrap()), "two");
    let end = parts.recv().await.unwrap().expect("an end");
    assert_eq!(end.as_invoke_complete().unwrap().error_code, None);
    assert!(parts.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn a_whole_answer_is_a_stream_of_one_part() {
    let harness = start(function("events")).await;
    let invoke = client(&harness)
        .invoke_with_response_stream()
        .function_name("events");
    let mut parts = invoke
        .payload(blob(&json!({"a": 1})))
        .send()
        .await
        .unwrap()
        .event_stream;
    let answer: Value = serde_json::from_str(&text(parts.recv().await.unwrap())).unwrap();
    assert_eq!(answer["event"], json!({"a": 1}));
    assert!(parts.recv().await.unwrap().unwrap().is_invoke_complete());
}

#[tokio::test]
async fn a_stream_that_fails_ends_with_the_error() {
    let harness = Harness::builder()
        .function(function("raw_runtime").variable("MODE", "trailers"))
        .function(function("events"))
        .start()
        .await
        .unwrap();
    for (name, event, parts_before, error_type, message) in [
        ("raw_runtime", json!({}), 1, "Own.Late", "too late"),
        (
            "events",
            json!({"do": "exit"}),
            0,
            "Runtime.ExitError",
            "exit status 3",
        ),
    ] {
        let invoke = client(&harness)
            .invoke_with_response_stream()
            .function_name(name);
        let mut parts = invoke
            .payload(blob(&event))
            .send()
            .await
            .unwrap()
            .event_stream;
        for _ in 0..parts_before {
            assert_eq!(text(parts.recv().await.unwrap()), "one");
        }
        let end = parts.recv().await.unwrap().expect("an end");
        let end = end.as_invoke_complete().expect("the end");
        assert_eq!(end.error_code.as_deref(), Some("Unhandled"));
        let details: Value = serde_json::from_str(end.error_details.as_ref().unwrap()).unwrap();
        assert_eq!(details["errorType"], error_type);
        let found = details["errorMessage"].as_str().unwrap();
        assert!(found.contains(message), "{found}");
        assert!(parts.recv().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_event_that_nobody_waits_for_is_taken_when_a_process_is_free() {
    let harness = start(function("events").concurrency(1)).await;
    let gate = Gate::new().await;
    for _ in 0..2 {
        let invoke = client(&harness).invoke().function_name("events");
        let invoke = invoke
            .invocation_type(InvocationType::Event)
            .payload(blob(&gate.event()));
        assert_eq!(invoke.send().await.unwrap().status_code, 202);
    }
    for _ in 0..2 {
        let waiting = gate.knocked().await;
        assert_eq!(harness.processes("events").unwrap().len(), 1);
        waiting.open().await;
    }
}

#[tokio::test]
async fn what_lambda_does_not_take_is_an_error_of_the_call() {
    let harness = start(function("events").concurrency(1)).await;
    let gate = Gate::new().await;
    let invoke = |name: &str, event: Value| {
        client(&harness)
            .invoke()
            .function_name(name)
            .payload(blob(&event))
            .send()
    };
    let unknown = invoke("elsewhere", json!({}))
        .await
        .unwrap_err()
        .into_service_error();
    assert!(unknown.is_resource_not_found_exception(), "{unknown:?}");

    let large = json!("x".repeat(6 * 1024 * 1024));
    let large = invoke("events", large)
        .await
        .unwrap_err()
        .into_service_error();
    assert!(large.is_request_too_large_exception(), "{large:?}");

    let busy = invoke("events", gate.event());
    let (answer, ()) = tokio::join!(busy, async {
        let waiting = gate.knocked().await;
        let throttled = invoke("events", json!({}))
            .await
            .unwrap_err()
            .into_service_error();
        assert!(throttled.is_too_many_requests_exception(), "{throttled:?}");
        waiting.open().await;
    });
    assert_eq!(answer.unwrap().function_error, None);
}

#[tokio::test]
async fn a_second_answer_to_an_event_is_refused() {
    let spec = function("raw_runtime").variable("MODE", "twice");
    let harness = start(spec).await;
    assert_eq!(
        harness.invoke("raw_runtime", json!({})).await.unwrap(),
        json!(1)
    );
    // The next event tells that the process has said what it was answered.
    assert_eq!(
        harness.invoke("raw_runtime", json!({})).await.unwrap(),
        json!(1)
    );
    let logs = harness.logs("raw_runtime").unwrap();
    assert!(logs.starts_with("202 then 400\n"), "{logs}");
}

#[tokio::test]
async fn a_harness_is_not_built_of_what_is_not_there() {
    let missing = Harness::builder().function(function("nothing"));
    let error = missing.start().await.unwrap_err().to_string();
    let path = example("nothing").display().to_string();
    assert_eq!(
        error,
        format!("function `nothing` has no program at `{path}`")
    );

    let astray = Harness::builder().route("/a", "elsewhere");
    let error = astray.start().await.unwrap_err().to_string();
    assert_eq!(error, "no function is called `elsewhere`");
}
