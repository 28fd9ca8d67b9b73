//! What the `main` of every Lambda function does around its routes: settings, logs, the runtime.
//!
//! Knows how routes meet Lambda's events, and how a function that cannot start says why. Does not know
//! any route, store or engine.

use std::{error::Error, future::Future, process::ExitCode, time::Duration};

use axum::{
    Router,
    http::{Uri, uri::PathAndQuery},
};
use lambda_http::{Request, RequestExt, request::RequestContext};
use llmopt_config::{Responses, Settings, telemetry};
use llmopt_domain::error_chain;
use llmopt_http::{Access, ClientAddress, Trace, platform};
use tower::ServiceExt;
#[cfg(feature = "access")]
use {
    llmopt_config::{Metrics, variables},
    llmopt_domain::Rate,
    llmopt_http::{Guard, Limits, Origins, RouteLimit},
    llmopt_service::{Answers, Keys, Limiter},
    llmopt_storage_aws::{Aws, DynamoAnswerStore, DynamoRateStore, DynamoRecordStore},
    llmopt_telemetry::{EmfDetail, EmfMeter, Meter, Unmetered},
    std::sync::Arc,
};

/// Why a function cannot start or go on.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The version of the code.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a function may take until its answer begins: API Gateway gives up a connection that says nothing for five
/// minutes.
pub const LONGEST_ANSWER: Duration = Duration::from_secs(285);

/// Reads the settings, sets up the logs and does `work`; what fails is logged with its causes.
///
/// A function that cannot start ends at once: Lambda shows its log, and no request waits for it.
pub async fn run<F: Future<Output = Result<(), Failure>>>(
    work: impl FnOnce(Settings) -> F,
) -> ExitCode {
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(error) => return unlogged(&error),
    };
    if let Err(error) = telemetry::init(&settings) {
        return unlogged(&error);
    }
    match work(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error_chain(&*error), "the function cannot go on");
            ExitCode::FAILURE
        }
    }
}

/// Answers the requests of an API with `routes`, each answer whole.
///
/// # Errors
/// If Lambda does not answer.
pub async fn serve(routes: Router, access: Access) -> Result<(), Failure> {
    lambda_http::run(platform(routes, access).map_request(as_it_came)).await
}

/// Answers the requests of an API with `routes`, whose answers may come bit by bit.
///
/// # Errors
/// If Lambda does not answer.
pub async fn serve_streams(
    routes: Router,
    access: Access,
    responses: Responses,
) -> Result<(), Failure> {
    match responses {
        Responses::Stream => {
            let routes = platform(routes, access).map_request(as_it_came);
            lambda_http::run_with_streaming_response(routes).await
        }
        Responses::Buffer => serve(routes, access).await,
    }
}

/// Gives a request what Lambda's library says of it beside it: its path without the API's stage, its address, and its
/// trace.
pub fn as_it_came(request: Request) -> Request {
    with_trace(with_address(without_stage(request)))
}

/// Notes which trace of X-Ray the request is a part of, for the log: X-Ray itself sees functions without our help.
fn with_trace(mut request: Request) -> Request {
    let context = request.lambda_context_ref();
    let header = context.and_then(|context| context.xray_trace_id.as_deref());
    if let Some(id) = header.and_then(trace_id) {
        let trace = Trace {
            id: id.to_owned(),
            span: tracing::Span::none(),
        };
        request.extensions_mut().insert(trace);
    }
    request
}

/// Takes the trace's id out of what X-Ray says of an invocation: `Root=1-…;Parent=…;Sampled=1`.
fn trace_id(header: &str) -> Option<&str> {
    let parts = header.split(';');
    let mut roots = parts.filter_map(|part| part.trim().strip_prefix("Root="));
    roots.next().filter(|id| !id.is_empty())
}

/// Notes where the API says that the request comes from: the other end of its connection, whatever headers
/// claim.
fn with_address(mut request: Request) -> Request {
    let address = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.as_deref(),
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
        _ => None,
    };
    if let Some(address) = address.and_then(|address| address.parse().ok()) {
        request.extensions_mut().insert(ClientAddress(address));
    }
    request
}

/// Gives a request the path that routes are known by: without the API's stage, which Lambda's library
/// puts before it.
fn without_stage(mut request: Request) -> Request {
    let path = request.raw_http_path();
    let path = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(path) = path.parse::<PathAndQuery>() {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Opens the keys and the limits of the platform: everybody has to show a key.
///
/// # Errors
/// If the tables that keep them are not named; whether they can be read is for the function to see.
#[cfg(feature = "access")]
pub fn access(aws: &Aws, settings: &Settings) -> Result<(Keys, Access), Failure> {
    let keys = DynamoRecordStore::new(aws, settings.need(&variables::KEYS_TABLE)?);
    let rates = settings.need(&variables::RATES_TABLE)?;
    let uses = DynamoRecordStore::new(aws, rates);
    let keys = Keys::new(Arc::new(keys), Arc::new(uses));
    let access = Access {
        guard: Guard::Everybody(keys.clone()),
        limiter: Some(Limiter::new(Arc::new(DynamoRateStore::new(aws, rates)))),
        limits: Limits {
            address: settings.requests_per_minute.map(Rate::per_minute),
            key: settings.key_requests_per_minute.map(Rate::per_minute),
            routes: settings
                .route_limits
                .iter()
                .map(|it| RouteLimit::new(&it.route, it.requests_per_minute, it.burst))
                .collect(),
            open_in_outage: settings.open_in_outage,
        },
        origins: Origins::of(&settings.cors_origins),
        is_local: false,
        // Whoever reaches a function need not be who may read its log.
        tells_causes: false,
        answers: None,
        meter: meter(settings),
    };
    Ok((keys, access))
}

/// Opens the answers of requests that are answered once.
///
/// # Errors
/// If the table that keeps them is not named; whether it can be used shows when the first is kept.
#[cfg(feature = "access")]
pub fn answers(aws: &Aws, settings: &Settings) -> Result<Answers, Failure> {
    let table = settings.need(&variables::ANSWERS_TABLE)?;
    Ok(Answers::new(Arc::new(DynamoAnswerStore::new(aws, table))))
}

/// Returns what measures, as the settings want it.
#[cfg(feature = "access")]
pub fn meter(settings: &Settings) -> Arc<dyn Meter> {
    let detail = match settings.metrics {
        Metrics::Off => return Arc::new(Unmetered),
        Metrics::Routes => EmfDetail::Routes,
        Metrics::Models => EmfDetail::Models,
    };
    Arc::new(EmfMeter::stdout(settings.environment.name(), detail))
}

/// Says why there are no logs, where there are none to say it.
fn unlogged(error: &dyn Error) -> ExitCode {
    let line = format!("error: {}\n", error_chain(error));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use lambda_http::request::from_str;

    use super::*;

    fn came(source: &str, forwarded: &str) -> Option<String> {
        let event = format!(
            r#"{{
                "resource": "/api/v1/models", "path": "/api/v1/models", "httpMethod": "GET",
                "headers": {{"x-forwarded-for": "{forwarded}"}},
                "multiValueHeaders": {{"x-forwarded-for": ["{forwarded}"]}},
                "queryStringParameters": null, "multiValueQueryStringParameters": null,
                "pathParameters": null, "stageVariables": null, "body": null,
                "isBase64Encoded": false,
                "requestContext": {{
                    "resourcePath": "/api/v1/models", "httpMethod": "GET", "stage": "live",
                    "path": "/live/api/v1/models", "identity": {{"sourceIp": "{source}"}}
                }}
            }}"#
        );
        let request = as_it_came(from_str(&event).unwrap());
        assert_eq!(request.uri().path(), "/api/v1/models");
        let address = request.extensions().get::<ClientAddress>();
        address.map(|ClientAddress(address)| address.to_string())
    }

    #[test]
    fn the_trace_is_the_root_that_the_invocation_names() {
        let header = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";
        assert_eq!(
            trace_id(header),
            Some("1-67891233-abcdef012345678912345678")
        );
        for none in ["", "Parent=53995c3f42cd8ad8", "Root="] {
            assert_eq!(trace_id(none), None, "{none}");
        }
    }

    #[test]
    fn a_request_comes_from_where_the_api_says_and_not_from_where_a_header_does() {
        let told = came("192.0.2.7", "203.0.113.9");
        assert_eq!(told.as_deref(), Some("192.0.2.7"));
        let told = came("2001:db8::7", "203.0.113.9");
        assert_eq!(told.as_deref(), Some("2001:db8::7"));
        assert_eq!(came("test-invoke-source-ip", "203.0.113.9"), None);
    }
}
