use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use llmopt_domain::{ApiKey, NoSlot, Rate, Scope};
use llmopt_service::{Answers, Granted, Keys, Limiter};
use llmopt_storage::Stored;
use llmopt_telemetry::{Meter, RefusalScope, Unmetered};

use crate::{API, Code, Origins, Problem, local::refuse_foreign};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

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
    /// Answers requests once that have a name; absent, names are not looked at.
    pub answers: Option<Answers>,
    /// Counts what is asked and refused.
    pub meter: Arc<dyn Meter>,
}

/// How often may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// From one address, without a key that is taken.
    pub address: Option<Rate>,
    /// With one key, unless it has limits of its own.
    pub key: Option<Rate>,
    /// Whether requests go on where nobody can say how many there were.
    pub open_in_outage: bool,
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
    State(access): State<Access>,
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
    let standing = match limited {
        Ok(standing) => standing,
        Err(refused) => return refused,
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(problem) => return unauthorized(problem, standing),
    };
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    let mut response = next.run(request).await;
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    tell_standing(response.headers_mut(), standing);
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

    fn rate_of(&self, key: &ApiKey) -> Option<Rate> {
        let own = key.limits.requests_per_minute.map(Rate::per_minute);
        let rate = own.or(self.limits.key)?;
        Some(Rate {
            burst: key.limits.burst.unwrap_or(rate.burst),
            ..rate
        })
    }

    async fn take_key(&self, caller: &Caller) -> Result<Standing, Response> {
        let Some(rate) = self.rate_of(&caller.0.record) else {
            return Ok(None);
        };
        self.take(RefusalScope::Key, &format!("key#{}", caller.id()), rate)
            .await
    }

    async fn take_address(&self, address: Option<IpAddr>) -> Result<Standing, Response> {
        let (Some(rate), Some(address)) = (self.limits.address, address) else {
            return Ok(None);
        };
        let id = format!("address#{}", network(address));
        self.take(RefusalScope::Address, &id, rate).await
    }

    async fn take(
        &self,
        refusal: RefusalScope,
        id: &str,
        rate: Rate,
    ) -> Result<Standing, Response> {
        let Some(limiter) = &self.limiter else {
            return Ok(None);
        };
        let scope = refusal.as_str();
        match limiter.take(id, rate).await {
            Ok(Ok(granted)) => Ok(Some((scope, rate, granted))),
            Ok(Err(no_slot)) => {
                self.meter.refusal(refusal);
                Err(refused(scope, rate, no_slot))
            }
            Err(error) if self.limits.open_in_outage => {
                tracing::error!(%error, scope, "requests go on uncounted: the store of limits is away");
                Ok(None)
            }
            Err(error) => {
                self.meter.refusal(RefusalScope::Uncounted);
                tracing::error!(%error, scope, "requests are refused: the store of limits is away");
                Err(Problem::new(
                    Code::StoreUnavailable,
                    "how often was asked cannot be counted now: try again in some seconds",
                )
                .into_response())
            }
        }
    }
}

/// How a caller stands with its limit, if it has one.
type Standing = Option<(&'static str, Rate, Granted)>;

fn tell_standing(headers: &mut HeaderMap, standing: Standing) {
    if let Some((scope, rate, granted)) = standing {
        tell(headers, scope, rate, granted.left, granted.reset_us);
    }
}

/// Says how it stands with a limit, as the field's draft standard has it: `r` requests are left, all of
/// them after `t` seconds; `q` may be made in `w` seconds.
fn tell(headers: &mut HeaderMap, scope: &str, rate: Rate, left: u32, reset_us: u64) {
    let reset = reset_us.div_ceil(1_000_000);
    let window = rate.span_us(rate.burst.get()).div_ceil(1_000_000).max(1);
    let limit = format!("\"{scope}\";r={left};t={reset}");
    let policy = format!("\"{scope}\";q={};w={window}", rate.burst);
    for (name, value) in [(LIMIT, limit), (POLICY, policy)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

fn refused(scope: &'static str, rate: Rate, no_slot: NoSlot) -> Response {
    let wait = no_slot.wait_us.div_ceil(1_000_000);
    let period = rate.period_us.get() as f64 / 1e6;
    tracing::warn!(target: "llmopt::limits", scope, "a request was refused: too many");
    let problem = Problem::new(
        Code::TooManyRequests,
        format!(
            "this {scope} may ask once in {period} s on average, and {} times at once: ask again after {wait} s",
            rate.burst
        ),
    );
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    tell(headers, scope, rate, 0, no_slot.wait_us);
    headers.insert(header::RETRY_AFTER, wait.into());
    response
}

fn unauthorized(problem: Problem, standing: Standing) -> Response {
    let asks_for_key = problem.code() == Code::Unauthorized;
    let mut response = problem.into_response();
    if asks_for_key {
        let scheme = HeaderValue::from_static("Bearer realm=\"llmopt\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
    }
    tell_standing(response.headers_mut(), standing);
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
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.and_then(|path| path.as_str().strip_prefix(API));
    route.map_or(Need::Key(Scope::Generate), |route| {
        need_of(request.method(), route)
    })
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

/// Returns what counts as one caller: whoever has an IPv6 address has the 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
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
            (Method::GET, "/keys", Need::Key(Scope::Admin)),
            (Method::GET, "/healthy", Need::Key(Scope::Admin)),
            (Method::POST, "/status", Need::Key(Scope::Admin)),
        ] {
            assert_eq!(need_of(&method, route), need, "{method} {route}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
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
