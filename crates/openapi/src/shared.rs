use std::collections::{BTreeMap, btree_map::Entry};

use axum::http::Method;
use llmopt_http::{Code, ProblemView, required_scope};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, Header, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required,
        Response, ResponseBuilder, Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        security::SecurityRequirement,
    },
};

/// What the document calls the way to show a key.
pub(crate) const KEY: &str = "key";

const REQUEST_ID: &str = "x-request-id";
const REPLAYED: &str = "idempotent-replayed";
const SHOULD_RETRY: &str = "x-should-retry";
const LIMIT: [&str; 2] = ["ratelimit", "ratelimit-policy"];

/// Headers of every answer, of those to limited routes, and of refusals for want of a slot.
const HEADERS: [(&str, &str); 6] = [
    (REQUEST_ID, "The request's name in the logs."),
    (
        LIMIT[0],
        "What is left of the limit: `\"key\";r=12;t=24` is 12 requests, all of them after 24 s.",
    ),
    (
        LIMIT[1],
        "The limit: `\"key\";q=60;w=60` is 60 requests in 60 s.",
    ),
    (
        "retry-after",
        "Seconds until it is worth while to ask again.",
    ),
    (
        SHOULD_RETRY,
        "`false` where the same request is not to be sent again at once: that was tried, or is of no use.",
    ),
    (
        REPLAYED,
        "`true` where this is the answer to an earlier request with the same `idempotency-key`.",
    ),
];

/// Adds what no route says of itself because all of them share it: keys, limits, problems and request ids.
pub(crate) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(&method, path, operation);
        }
    }
    let Some(components) = document.components.as_mut() else {
        return;
    };
    let mut schemas = vec![(ProblemView::name().into_owned(), ProblemView::schema())];
    ProblemView::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for (name, description) in HEADERS {
        let header = text(description).into();
        components.headers.insert(name.to_owned(), header);
    }
    for code in SHARED {
        let mut response = problem(&[code]);
        let limited: &[&str] = if code == Code::ForeignOrigin {
            &[]
        } else {
            &LIMIT
        };
        complete_response(code.status().as_u16(), &mut response, limited);
        let name = code.as_str().to_owned();
        components.responses.insert(name, response.into());
    }
}

/// What can go wrong before a route is asked.
const SHARED: [Code; 13] = [
    Code::ForeignOrigin,
    Code::Unauthorized,
    Code::Forbidden,
    Code::TooManyRequests,
    Code::StoreUnavailable,
    Code::InvalidRequest,
    Code::ValidationFailed,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::RequestTimeout,
    Code::IdempotencyInFlight,
    Code::IdempotencyAnswerUnavailable,
    Code::IdempotencyKeyReused,
];

fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    let all = [
        (Method::GET, item.get.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
    ];
    let there = all
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation?)));
    there.collect()
}

fn complete_operation(method: &Method, path: &str, operation: &mut Operation) {
    let scope = required_scope(method, path);
    let mut headers: Vec<&str> = Vec::new();
    if scope.is_some() {
        headers.extend(LIMIT);
    }
    if path.starts_with("/generate") || path.starts_with("/commercial") {
        headers.push(SHOULD_RETRY);
    }
    if method == Method::POST {
        headers.push(REPLAYED);
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(idempotency_key().into());
    }
    let mut shared: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in SHARED {
        if concerns(code, method, path, operation) {
            let same = shared.entry(code.status().as_u16()).or_default();
            same.push(code);
        }
    }
    let responses = &mut operation.responses.responses;
    for (status, response) in &mut *responses {
        if let (Ok(status), RefOr::T(response)) = (status.parse(), response) {
            complete_response(status, response, &headers);
        }
    }
    for (status, codes) in shared {
        let named = responses.entry(status.to_string());
        match (named, &codes[..]) {
            (Entry::Vacant(vacant), [code]) => {
                vacant.insert(Ref::from_response_name(code.as_str()).into());
            }
            (Entry::Vacant(vacant), codes) => {
                let mut response = problem(codes);
                complete_response(status, &mut response, &headers);
                vacant.insert(response.into());
            }
            (Entry::Occupied(mut own), codes) => {
                if let RefOr::T(response) = own.get_mut() {
                    response.description = format!("{}; or {}", response.description, names(codes));
                }
            }
        }
    }
    operation.security =
        scope.map(|scope| vec![SecurityRequirement::new(KEY, [scope.to_string()])]);
}

/// Whether a request for this operation can end so before the route is asked.
fn concerns(code: Code, method: &Method, path: &str, operation: &Operation) -> bool {
    let has_body = operation.request_body.is_some();
    let has_query = has(operation, &ParameterIn::Query);
    let has_place = has(operation, &ParameterIn::Path);
    let once = method == Method::POST;
    match code {
        Code::Unauthorized | Code::Forbidden | Code::TooManyRequests | Code::StoreUnavailable => {
            required_scope(method, path).is_some()
        }
        Code::InvalidRequest => has_body || has_query || has_place || once,
        Code::ValidationFailed => has_body || has_query,
        Code::BodyTooLarge => has_body || once,
        Code::UnsupportedMediaType => has_body,
        Code::IdempotencyInFlight
        | Code::IdempotencyKeyReused
        | Code::IdempotencyAnswerUnavailable => once,
        // Answers have a time of their own.
        Code::RequestTimeout => !path.starts_with("/generate") && path != "/commercial/compare",
        _ => true,
    }
}

fn has(operation: &Operation, place: &ParameterIn) -> bool {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(Parameter { parameter_in, .. }) => Some(parameter_in),
            RefOr::Ref(_) => None,
        })
        .any(|found| found == place)
}

fn problem(codes: &[Code]) -> Response {
    ResponseBuilder::new().description(names(codes)).build()
}

fn names(codes: &[Code]) -> String {
    let names: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`", code.as_str()))
        .collect();
    names.join(" or ")
}

fn idempotency_key() -> Parameter {
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"));
    let does = "The same request with it is done once and gets the same answer, for a day.";
    ParameterBuilder::new()
        .name("idempotency-key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(does))
        .schema(Some(key))
        .build()
}

/// Adds the body of a problem, the headers of every answer, and those that this operation's answers have.
fn complete_response(status: u16, response: &mut Response, own: &[&str]) {
    if status >= 400 {
        let problem = Ref::from_schema_name(ProblemView::name());
        let content = ContentBuilder::new().schema(Some(problem)).build();
        // The second for those who take no other.
        for kind in ["application/problem+json", "application/json"] {
            response
                .content
                .insert(kind.to_owned(), content.clone().into());
        }
    }
    for (name, _) in HEADERS {
        let is_there = match name {
            REQUEST_ID => true,
            "retry-after" => {
                matches!(status, 409 | 429) || status == 503 && own.contains(&SHOULD_RETRY)
            }
            SHOULD_RETRY => own.contains(&name) && status >= 400,
            REPLAYED => own.contains(&name) && status < 300,
            _ => own.contains(&name),
        };
        if is_there {
            let header = Ref::new(format!("#/components/headers/{name}"));
            response.headers.insert(name.to_owned(), RefOr::Ref(header));
        }
    }
}

fn text(description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(description))
        .build()
}
