use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{Method, StatusCode, Uri, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use tower::util::option_layer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::{
    Access, Caller, Code, Problem, RequestId, access::admit, headers, once::once, request_id,
    time_limit::end_in_time,
};

/// Where every route of the platform begins.
pub const API: &str = "/api/v1";
/// Routes that are asked so often that a line for each would drown the log.
const QUIET: [&str; 2] = ["/api/v1/health", "/api/v1/ready"];

/// How long a body may pause on its way.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// Puts the routes of the platform below [`API`] and behind what all of them share: request ids, the
/// access log, headers for browsers, limits and keys, answers that are given once, and problems for what no
/// route takes.
pub fn platform(routes: Router, access: Access) -> Router {
    let cors = access.origins.layer();
    Router::new()
        .nest(API, routes)
        .fallback(no_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(end_in_time))
        .layer(from_fn_with_state(access.answers.clone(), once))
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE))
        .layer(from_fn_with_state(access, admit))
        .layer(option_layer(cors))
        .layer(from_fn(with_request_id))
}

async fn no_route(method: Method, uri: Uri) -> Problem {
    let path = uri.path();
    Problem::new(
        Code::NoRoute,
        format!("there is no route `{method} {path}`: every route begins with `{API}`"),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let path = uri.path();
    Problem::new(
        Code::MethodNotAllowed,
        format!("`{path}` does not take `{method}`: the header `allow` says what it takes"),
    )
}

async fn with_request_id(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    request.extensions_mut().insert(id.clone());
    let response = settle(next.run(request).await, &id);
    log(
        &method,
        route.as_deref().unwrap_or("-"),
        &response,
        &id,
        began,
    );
    response
}

/// Puts the request's id into the answer.
fn settle(response: Response, id: &RequestId) -> Response {
    let mut response = match problem(&response) {
        None => response,
        Some(problem) => {
            let (mut parts, _) = response.into_parts();
            let (rendered, body) = problem.render(Some(id)).into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.extend(rendered.headers);
            Response::from_parts(parts, body)
        }
    };
    if let Some(value) = id.header_value() {
        response.headers_mut().insert(request_id::HEADER, value);
    }
    headers::secure(response.headers_mut());
    response
}

/// Returns the problem that the answer is, or that it should be: axum's own extractors refuse a broken
/// path with a line of text.
fn problem(response: &Response) -> Option<Problem> {
    let problem = response.extensions().get::<Problem>().cloned();
    let detail = "failed to read the request's path";
    problem.or_else(|| {
        (response.status() == StatusCode::BAD_REQUEST)
            .then(|| Problem::new(Code::InvalidRequest, detail))
    })
}

fn log(method: &Method, route: &str, response: &Response, id: &RequestId, began: Instant) {
    let status = response.status();
    if QUIET.contains(&route) && status.is_success() {
        return;
    }
    let latency_ms = began.elapsed().as_secs_f64() * 1e3;
    tracing::info!(
        target: "llmopt::access",
        %method,
        route,
        status = status.as_u16(),
        latency_ms,
        key = response.extensions().get::<Caller>().map(Caller::id),
        request_id = id.as_str(),
        "request"
    );
}

#[cfg(test)]
mod tests;
