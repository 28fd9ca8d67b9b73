use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use llmopt_domain::{ApiKey, Scope};
use llmopt_service::{Answers, Keys, Limiter};
use llmopt_storage::Stored;
use llmopt_telemetry::{Meter, Unmetered};

use crate::{
    API, Code, Limits, Origins, Problem,
    limits::{Standing, at, who},
    local::refuse_foreign,
};

/// Who has to show a key.
#[derive(Clone)]
pub enum Guard {
    /// Nobody: everybody may do everything.
    Nobody,
    /// Everybody, as soon as there is a key.
    OnceThereAreKeys(Keys),
    /// Everybody.
    Everybody(Keys),
}

/// Who may ask, and how often.
#[derive(Clone)]
pub struct Access {
    /// Who has to show a key.
    pub guard: Guard,
    /// Keeps the limits; absent, there are none.
    pub limiter: Option<Limiter>,
    /// The limits.
    pub limits: Limits,
    /// The sites whose pages may ask.
    pub origins: Origins,
    /// Whether only those of this machine are answered, and no page of another site that `origins` does not name.
    pub is_local: bool,
    /// Whether problems tell why a fault of ours came about, which may name files and hosts: in development.
    pub tells_causes: bool,
    /// Answers requests once that have a name; absent, names are not looked at.
    pub answers: Option<Answers>,
    /// Counts what is asked and refused.
    pub meter: Arc<dyn Meter>,
}

/// Where a request comes from, as whoever took it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Who asks: the key that was shown. The answer carries it too, for the log.
#[derive(Clone)]
pub struct Caller(pub Arc<Stored<ApiKey>>);

impl Caller {
    /// Returns the key's id, which is no secret.
    pub fn id(&self) -> &str {
        &self.0.record.id
    }
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing: it tells only that the service is there.
    Nothing,
    /// A key for this.
    Key(Scope),
}

/// Lets a request through that may be asked now.
pub(crate) async fn admit(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    if access.is_local
        && let Err(problem) = refuse_foreign(request.uri(), request.headers(), &access.origins)
    {
        return problem.into_response();
    }
    let Need::Key(scope) = need(&request) else {
        return next.run(request).await;
    };
    let caller = access.guard.caller(request.headers(), scope).await;
    // Who has a key is known by it, wherever it comes from: many may share an address.
    let limited = match &caller {
        Ok(Some(caller)) => access.take_key(caller).await,
        Ok(None) | Err(_) => access.take_address(address(&request)).await,
    };
    let mut standing = match limited {
        Ok(standing) => standing,
        Err(refused) => return refused,
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(problem) => return unauthorized(problem, &standing),
    };
    if !access.limits.routes.is_empty() {
        let who = match &caller {
            Some(caller) => Some(who(caller)),
            None => address(&request).map(at),
        };
        let asked = asked(&request).map(|(method, route)| (method.clone(), route.to_owned()));
        if let (Some(who), Some((method, route))) = (who, asked) {
            match access.take_route(&who, &method, &route).await {
                Ok(more) => standing.add(more),
                Err(refused) => return refused,
            }
        }
    }
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    let mut response = next.run(request).await;
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    standing.tell(response.headers_mut());
    response
}

impl Guard {
    /// Returns who asks; `None` where nobody has to say it.
    async fn caller(&self, headers: &HeaderMap, scope: Scope) -> Result<Option<Caller>, Problem> {
        let keys = match self {
            Self::Nobody => return Ok(None),
            Self::OnceThereAreKeys(keys) if !keys.are_there_lately().await? => return Ok(None),
            Self::OnceThereAreKeys(keys) | Self::Everybody(keys) => keys,
        };
        authenticate(keys, headers, scope).await.map(Some)
    }
}

impl Access {
    /// Lets everybody do everything.
    pub fn open() -> Self {
        Self {
            guard: Guard::Nobody,
            limiter: None,
            limits: Limits::default(),
            origins: Origins::None,
            is_local: false,
            tells_causes: false,
            answers: None,
            meter: Arc::new(Unmetered),
        }
    }

    /// Answers requests once that have a name, by `answers`.
    #[must_use]
    pub fn with_answers(self, answers: Answers) -> Self {
        Self {
            answers: Some(answers),
            ..self
        }
    }
}

fn unauthorized(problem: Problem, standing: &Standing) -> Response {
    let asks_for_key = problem.code() == Code::Unauthorized;
    let mut response = problem.into_response();
    if asks_for_key {
        let scheme = HeaderValue::from_static("Bearer realm=\"llmopt\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
    }
    standing.tell(response.headers_mut());
    response
}

async fn authenticate(keys: &Keys, headers: &HeaderMap, scope: Scope) -> Result<Caller, Problem> {
    let text = bearer(headers)?;
    let key = keys.authenticate(text).await?.map_err(|problem| {
        Problem::new(
            Code::Unauthorized,
            format!("{problem}: show another in `authorization: Bearer KEY`"),
        )
    })?;
    if !key.record.allows(scope) {
        return Err(Problem::new(
            Code::Forbidden,
            format!("expected a key with the scope `{scope}`: ask an administrator for one"),
        ));
    }
    Ok(Caller(key))
}

/// Returns the key that a request shows.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let missing = |found: &str| {
        Problem::new(
            Code::Unauthorized,
            format!("expected one header `authorization: Bearer KEY`, found {found}"),
        )
    };
    let value = shown.next().ok_or_else(|| missing("none"))?;
    if shown.next().is_some() {
        return Err(missing("several"));
    }
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    match parts {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Ok(key.trim()),
        _ => Err(missing("another")),
    }
}

/// Says what a route asks for. A route that nobody thought of here is for administrators.
fn need(request: &Request) -> Need {
    asked(request).map_or(Need::Key(Scope::Generate), |(method, route)| {
        need_of(method, route)
    })
}

/// Returns the route that a request is for, if there is one.
fn asked(request: &Request) -> Option<(&Method, &str)> {
    let matched = request.extensions().get::<MatchedPath>()?;
    let route = matched.as_str().strip_prefix(API)?;
    Some((request.method(), route))
}

/// Returns the scope that a key needs for a route, such as `/models/{model_id}`; `None` where no key is needed.
pub fn required_scope(method: &Method, route: &str) -> Option<Scope> {
    match need_of(method, route) {
        Need::Nothing => None,
        Need::Key(scope) => Some(scope),
    }
}

fn need_of(method: &Method, route: &str) -> Need {
    let reads = method == Method::GET || method == Method::HEAD;
    let first = route.split('/').nth(1).unwrap_or_default();
    match first {
        "health" | "ready" | "docs" => Need::Nothing,
        "status" | "openapi.json" | "models" if reads => Need::Key(Scope::Generate),
        "generate" => Need::Key(Scope::Generate),
        "commercial" => match route {
            // What callers used themselves: `usage` tells administrators alone of others.
            "/commercial/models" | "/commercial/usage" | "/commercial/compare" => {
                Need::Key(Scope::Generate)
            }
            _ => Need::Key(Scope::Admin),
        },
        "models" | "datasets" | "training" => Need::Key(Scope::Train),
        _ => Need::Key(Scope::Admin),
    }
}

fn address(request: &Request) -> Option<IpAddr> {
    let extensions = request.extensions();
    let told = extensions
        .get::<ClientAddress>()
        .map(|ClientAddress(address)| *address);
    told.or_else(|| {
        let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(address.ip())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_nobody_thought_of_are_for_administrators() {
        for (method, route, need) in [
            (Method::GET, "/health", Need::Nothing),
            (Method::GET, "/ready", Need::Nothing),
            (Method::GET, "/status", Need::Key(Scope::Generate)),
            (
                Method::GET,
                "/models/{model_id}",
                Need::Key(Scope::Generate),
            ),
            (
                Method::DELETE,
                "/models/{model_id}",
                Need::Key(Scope::Train),
            ),
            (Method::POST, "/generate/batch", Need::Key(Scope::Generate)),
            (Method::GET, "/datasets", Need::Key(Scope::Train)),
            (Method::POST, "/training/jobs", Need::Key(Scope::Train)),
            (
                Method::GET,
                "/commercial/models",
                Need::Key(Scope::Generate),
            ),
            (Method::GET, "/commercial/usage", Need::Key(Scope::Generate)),
            (
                Method::POST,
                "/commercial/compare",
                Need::Key(Scope::Generate),
            ),
            (Method::GET, "/commercial/test", Need::Key(Scope::Admin)),
            (Method::GET, "/commercial/budgets", Need::Key(Scope::Admin)),
            (Method::PUT, "/commercial/budgets", Need::Key(Scope::Admin)),
            (Method::GET, "/keys", Need::Key(Scope::Admin)),
            (Method::GET, "/healthy", Need::Key(Scope::Admin)),
            (Method::POST, "/status", Need::Key(Scope::Admin)),
        ] {
            assert_eq!(need_of(&method, route), need, "{method} {route}");
        }
    }

    #[test]
    fn a_key_is_shown_as_a_bearer_token() {
        let shown = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(str::to_owned).map_err(|it| it.code())
        };
        assert_eq!(shown(&["Bearer abc"]), Ok("abc".to_owned()));
        assert_eq!(shown(&["bearer  abc "]), Ok("abc".to_owned()));
        for wrong in [&[][..], &["abc"], &["Basic abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(shown(wrong), Err(Code::Unauthorized), "{wrong:?}");
        }
    }
}
