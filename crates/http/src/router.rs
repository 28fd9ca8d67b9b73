use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, Uri, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use llmopt_telemetry::Meter;
use tower::util::option_layer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::{
    Access, Code, Problem, RequestId, accept::wants_plain_json, access::admit, headers,
    measured::Measure, once::once, problem::Rendering, request_id, time_limit::end_in_time,
};

/// Where every route of the platform begins.
pub const API: &str = "/api/v1";

/// How long a body may pause on its way.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// Puts the routes of the platform below [`API`] and behind what all of them share: request ids, the
/// access log, headers for browsers, limits and keys, answers that are given once, and problems for what no
/// route takes.
pub fn platform(routes: Router, access: Access) -> Router {
    platform_beside(routes, Router::new(), access)
}

/// Does the same with routes beside those below [`API`], which the same stands before.
pub fn platform_beside(routes: Router, beside: Router, access: Access) -> Router {
    let outermost = Outermost {
        meter: Arc::clone(&access.meter),
        tells_causes: access.tells_causes,
    };
    let cors = access.origins.layer();
    beside
        .nest(API, routes)
        .fallback(no_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(end_in_time))
        .layer(from_fn_with_state(access.answers.clone(), once))
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE))
        .layer(from_fn_with_state(Arc::new(access), admit))
        .layer(option_layer(cors))
        .layer(from_fn_with_state(outermost, with_request_id))
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

/// What the outermost layer works with.
#[derive(Clone)]
struct Outermost {
    meter: Arc<dyn Meter>,
    tells_causes: bool,
}

async fn with_request_id(
    State(outermost): State<Outermost>,
    mut request: Request,
    next: Next,
) -> Response {
    let rendering = Rendering {
        is_plain: wants_plain_json(request.headers()),
        tells_cause: outermost.tells_causes,
    };
    let mut measure = Measure::begin(outermost.meter, &mut request);
    let response = measure.work(next.run(request)).await;
    let response = settle(response, measure.id(), rendering);
    measure.follow(response)
}

/// Puts the request's id into the answer.
fn settle(response: Response, id: &RequestId, rendering: Rendering) -> Response {
    let mut response = match problem(&response) {
        None => response,
        Some(problem) => {
            let (mut parts, _) = response.into_parts();
            let (rendered, body) = problem.render(Some(id), rendering).into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.extend(rendered.headers);
            parts.extensions.insert(problem);
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

#[cfg(test)]
mod tests;
