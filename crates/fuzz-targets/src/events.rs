use std::time::Duration;

use axum::body::Body;
use llmopt_domain::{JobState, TrainingJob};
use llmopt_job_events_function::take_in;
use llmopt_lambda::as_it_came;
use llmopt_service::Dispatcher;
use serde_json::{Value, json};

use crate::{
    platform::with_platform,
    text::{lossy, parts},
};

/// The path, the query, a header's name and value, an address and the body of a request to a REST API.
pub(crate) fn api(bytes: &[u8]) {
    let [path, query, name, value, address, body] = parts(bytes).map(lossy);
    let path = format!("/{path}");
    // What an API says itself, whatever the caller says.
    if name.eq_ignore_ascii_case("host") || name.to_ascii_lowercase().starts_with("x-forwarded-") {
        return;
    }
    let event = json!({
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": if body.is_empty() { "GET" } else { "POST" },
        "headers": {name.clone(): value, "Host": "api.example.com"},
        "multiValueHeaders": {name: [value], "Host": ["api.example.com"]},
        "queryStringParameters": {"q": query},
        "multiValueQueryStringParameters": {"q": [query]},
        "requestContext": {
            "accountId": "1", "resourceId": "r", "stage": "prod", "requestId": "q",
            "identity": {"sourceIp": address}, "resourcePath": "/{proxy+}",
            "httpMethod": "GET", "apiId": "a", "path": path,
        },
        "body": body,
        "isBase64Encoded": false,
    });
    let Ok(request) = lambda_http::request::from_str(&event.to_string()) else {
        return;
    };
    let request = as_it_came(request);
    assert!(request.uri().path().starts_with('/'), "{}", request.uri());
    let (parts, body) = request.into_parts();
    let request = lambda_http::http::Request::from_parts(parts, Body::from(body.to_vec()));
    with_platform(|platform| platform.ask(request));
}

/// Events in JSON, one after the other, in which `JOB` stands for a job that waits.
pub(crate) fn batch(bytes: &[u8]) {
    with_platform(|platform| {
        platform.block_on(async {
            let records = &platform.stores.records;
            let _ = records.delete("job-1").await;
            let golden = include_str!("../../domain/golden/training_job.v1.json");
            let spec = serde_json::from_str::<TrainingJob>(golden).unwrap().spec;
            let job = TrainingJob::new("job-1", spec, vec!["d".to_owned()], 1);
            records.create(&job).await.unwrap();
            let dispatcher = Dispatcher::new(platform.stores.clone(), Duration::from_secs(60));
            let mut may_fail = false;
            for event in lossy(bytes).replace("JOB", "job-1").split('\0') {
                let Ok(event) = serde_json::from_str::<Value>(event) else {
                    continue;
                };
                may_fail |= event["source"] == "aws.batch" && event["detail"]["status"] == "FAILED";
                let taken = take_in(&dispatcher, &platform.spending, &event);
                taken.await.unwrap();
            }
            let job = records.get("job-1").await.unwrap().record;
            let waits = job.state == JobState::Queued && job.fruitless_claims == 0;
            assert!(waits || may_fail, "{job:?}");
        });
    });
}
