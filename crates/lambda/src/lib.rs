//! What the `main` of every Lambda function does around its routes: settings, logs, the runtime.
//!
//! Knows how routes meet Lambda's events, and how a function that cannot start says why. Does not know
//! any route, store or engine.

use std::{error::Error, future::Future, process::ExitCode};

use axum::{
    Router,
    http::{Uri, uri::PathAndQuery},
};
use lambda_http::{Request, RequestExt};
use llmopt_config::{Responses, Settings, telemetry};
use llmopt_domain::error_chain;
use llmopt_http::platform;
use tower::ServiceExt;

/// Why a function cannot start or go on.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The version of the code.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

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
pub async fn serve(routes: Router) -> Result<(), Failure> {
    lambda_http::run(platform(routes).map_request(without_stage)).await
}

/// Answers the requests of an API with `routes`, whose answers may come bit by bit.
///
/// # Errors
/// If Lambda does not answer.
pub async fn serve_streams(routes: Router, responses: Responses) -> Result<(), Failure> {
    match responses {
        Responses::Stream => {
            let routes = platform(routes).map_request(without_stage);
            lambda_http::run_with_streaming_response(routes).await
        }
        Responses::Buffer => serve(routes).await,
    }
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

/// Says why there are no logs, where there are none to say it.
fn unlogged(error: &dyn Error) -> ExitCode {
    let line = format!("error: {}\n", error_chain(error));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    ExitCode::FAILURE
}
