use axum::http::Method;
use llmopt_domain::Scope;
use llmopt_http::{Code, ProblemView, required_scope};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, Header, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response,
        ResponseBuilder, Type,
        path::{Operation, Parameter, ParameterIn, PathItem},
        security::SecurityRequirement,
    },
};

/// What the document calls the way to show a key.
pub(crate) const KEY: &str = "key";

/// Headers of every answer, of those to limited routes, and of refusals for want of a slot.
const HEADERS: [(&str, &str); 4] = [
    ("x-request-id", "The request's name in the logs."),
    (
        "ratelimit",
        "What is left of the limit: `\"key\";r=12;t=24` is 12 requests, all of them after 24 s.",
    ),
    (
        "ratelimit-policy",
        "The limit: `\"key\";q=60;w=60` is 60 requests in 60 s.",
    ),
    ("retry-after", "Seconds until the next request is taken."),
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
        let mut response = problem(code);
        complete_response(
            code.status().as_u16(),
            &mut response,
            code != Code::ForeignOrigin,
        );
        let name = code.as_str().to_owned();
        components.responses.insert(name, response.into());
    }
}

/// What can go wrong before a route is asked.
const SHARED: [Code; 10] = [
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
    let concerned = |code: &Code| concerns(*code, operation, scope);
    let mut shared: Vec<Code> = SHARED.into_iter().filter(concerned).collect();
    // Answers have a time of their own.
    shared.retain(|code| *code != Code::RequestTimeout || !path.starts_with("/generate"));
    let responses = &mut operation.responses.responses;
    for (status, response) in &mut *responses {
        if let (Ok(status), RefOr::T(response)) = (status.parse(), response) {
            complete_response(status, response, scope.is_some());
        }
    }
    for code in shared {
        let status = code.status().as_str().to_owned();
        match responses.get_mut(&status) {
            None => {
                let shared = Ref::from_response_name(code.as_str());
                responses.insert(status, shared.into());
            }
            Some(RefOr::T(response)) => note(response, code),
            // Two that all share have one status: both are said.
            Some(found @ RefOr::Ref(_)) => {
                let mut both = problem(Code::Forbidden);
                complete_response(code.status().as_u16(), &mut both, scope.is_some());
                note(&mut both, Code::ForeignOrigin);
                *found = both.into();
            }
        }
    }
    operation.security =
        scope.map(|scope| vec![SecurityRequirement::new(KEY, [scope.to_string()])]);
}

/// Whether a request for this operation can end so before the route is asked.
fn concerns(code: Code, operation: &Operation, scope: Option<Scope>) -> bool {
    let has_body = operation.request_body.is_some();
    let has_query = has(operation, &ParameterIn::Query);
    match code {
        Code::Unauthorized | Code::Forbidden | Code::TooManyRequests | Code::StoreUnavailable => {
            scope.is_some()
        }
        Code::InvalidRequest => has_body || has_query || has(operation, &ParameterIn::Path),
        Code::ValidationFailed => has_body || has_query,
        Code::BodyTooLarge | Code::UnsupportedMediaType => has_body,
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

fn problem(code: Code) -> Response {
    let description = format!("`{}`", code.as_str());
    ResponseBuilder::new().description(description).build()
}

/// Says that a response can be this problem too.
fn note(response: &mut Response, code: Code) {
    let name = format!("`{}`", code.as_str());
    if !response.description.contains(&name) {
        response.description = format!("{}; or {name}", response.description);
    }
}

/// Adds the body of a problem, and the headers of every answer.
fn complete_response(status: u16, response: &mut Response, limited: bool) {
    if status >= 400 {
        let problem = Ref::from_schema_name(ProblemView::name());
        let content = ContentBuilder::new().schema(Some(problem)).build();
        let kind = "application/problem+json".to_owned();
        response.content.insert(kind, content.into());
    }
    for (name, _) in HEADERS {
        let is_there = match name {
            "x-request-id" => true,
            "retry-after" => status == 429,
            _ => limited,
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
