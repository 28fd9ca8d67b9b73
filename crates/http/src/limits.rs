use std::{net::IpAddr, num::NonZeroU32};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::{IntoResponse, Response},
};
use llmopt_domain::{ApiKey, NoSlot, Rate};
use llmopt_service::Granted;
use llmopt_telemetry::RefusalScope;

use crate::{Access, Caller, Code, Problem};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How often may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// From one address, without a key that is taken.
    pub address: Option<Rate>,
    /// With one key, unless it has limits of its own.
    pub key: Option<Rate>,
    /// By each caller for single routes, in addition.
    pub routes: Vec<RouteLimit>,
    /// Whether requests go on where nobody can say how many there were.
    pub open_in_outage: bool,
}

/// How often each caller may ask for a route, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimit {
    /// `generate` is every route that begins with `/generate`, `POST /generate` that one alone.
    pub route: String,
    /// How often.
    pub rate: Rate,
}

/// How a caller stands with the limits that hold for it.
#[derive(Debug, Default)]
pub(crate) struct Standing(Vec<(String, Rate, Granted)>);

/// A slot that a request needs.
struct Wanted<'a> {
    scope: RefusalScope,
    /// What the limit is called where it is told of.
    name: &'a str,
    /// What the store keeps it under.
    id: String,
    rate: Rate,
}

impl Access {
    pub(crate) async fn take_key(&self, caller: &Caller) -> Result<Standing, Response> {
        let rate = self.limits.of_key(&caller.0.record);
        let scope = RefusalScope::Key;
        let wanted = rate.map(|rate| Wanted {
            scope,
            name: scope.as_str(),
            id: who(caller),
            rate,
        });
        self.take_all(wanted).await
    }

    pub(crate) async fn take_address(&self, address: Option<IpAddr>) -> Result<Standing, Response> {
        let scope = RefusalScope::Address;
        let wanted = self.limits.address.zip(address);
        let wanted = wanted.map(|(rate, address)| Wanted {
            scope,
            name: scope.as_str(),
            id: at(address),
            rate,
        });
        self.take_all(wanted).await
    }

    /// Takes what the limits of a route have for the caller called `who`.
    pub(crate) async fn take_route(
        &self,
        who: &str,
        method: &Method,
        route: &str,
    ) -> Result<Standing, Response> {
        let limits = self.limits.routes.iter();
        let wanted = limits
            .filter(|limit| limit.covers(method, route))
            .map(|limit| Wanted {
                scope: RefusalScope::Route,
                name: &limit.route,
                id: format!("{who}#{}", limit.route),
                rate: limit.rate,
            });
        self.take_all(wanted).await
    }

    async fn take_all<'a>(
        &self,
        wanted: impl IntoIterator<Item = Wanted<'a>>,
    ) -> Result<Standing, Response> {
        let mut standing = Standing::default();
        for wanted in wanted.into_iter().collect::<Vec<_>>() {
            standing.0.extend(self.take(&wanted).await?);
        }
        Ok(standing)
    }

    async fn take(&self, wanted: &Wanted<'_>) -> Result<Option<(String, Rate, Granted)>, Response> {
        let Some(limiter) = &self.limiter else {
            return Ok(None);
        };
        let name = wanted.name;
        match limiter.take(&wanted.id, wanted.rate).await {
            Ok(Ok(granted)) => Ok(Some((name.to_owned(), wanted.rate, granted))),
            Ok(Err(no_slot)) => {
                self.meter.refusal(wanted.scope);
                Err(refused(wanted, no_slot))
            }
            Err(error) if self.limits.open_in_outage => {
                tracing::error!(%error, name, "requests go on uncounted: the store of limits is away");
                Ok(None)
            }
            Err(error) => {
                self.meter.refusal(RefusalScope::Uncounted);
                tracing::error!(%error, name, "requests are refused: the store of limits is away");
                Err(Problem::new(
                    Code::StoreUnavailable,
                    "how often was asked cannot be counted now: try again in some seconds",
                )
                .into_response())
            }
        }
    }
}

impl Limits {
    fn of_key(&self, key: &ApiKey) -> Option<Rate> {
        let own = key.limits.requests_per_minute.map(Rate::per_minute);
        let rate = own.or(self.key)?;
        Some(Rate {
            burst: key.limits.burst.unwrap_or(rate.burst),
            ..rate
        })
    }
}

impl RouteLimit {
    /// Limits `route` to so many requests in a minute, and so many at once.
    pub fn new(route: &str, requests_per_minute: NonZeroU32, burst: NonZeroU32) -> Self {
        Self {
            route: route.to_owned(),
            rate: Rate {
                burst,
                ..Rate::per_minute(requests_per_minute)
            },
        }
    }

    fn covers(&self, method: &Method, route: &str) -> bool {
        match self.route.split_once(' ') {
            // Whoever asks for the headers alone has the whole answer made.
            Some(("GET", path)) if method == Method::HEAD => path == route,
            Some((one, path)) => one == method.as_str() && path == route,
            None => route.split('/').nth(1) == Some(&self.route),
        }
    }
}

impl Standing {
    /// Adds how it stands with other limits.
    pub(crate) fn add(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Says how it stands with each limit.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let each = self.0.iter();
        tell(
            headers,
            each.map(|(name, rate, granted)| (&**name, *rate, granted.left, granted.reset_us)),
        );
    }
}

/// Names a caller to the store of limits.
pub(crate) fn who(caller: &Caller) -> String {
    format!("key#{}", caller.id())
}

/// Names those at an address to the store of limits.
pub(crate) fn at(address: IpAddr) -> String {
    format!("address#{}", network(address))
}

/// Says how it stands with limits, as the field's draft standard has it: `r` requests are left, all of
/// them after `t` seconds; `q` may be made in `w` seconds.
fn tell<'a>(headers: &mut HeaderMap, standing: impl Iterator<Item = (&'a str, Rate, u32, u64)>) {
    let (mut limits, mut policies) = (Vec::new(), Vec::new());
    for (name, rate, left, reset_us) in standing {
        let reset = reset_us.div_ceil(1_000_000);
        let window = rate.span_us(rate.burst.get()).div_ceil(1_000_000).max(1);
        limits.push(format!("\"{name}\";r={left};t={reset}"));
        policies.push(format!("\"{name}\";q={};w={window}", rate.burst));
    }
    for (header, values) in [(LIMIT, limits), (POLICY, policies)] {
        if let Ok(value) = HeaderValue::try_from(values.join(", "))
            && !value.is_empty()
        {
            headers.insert(header, value);
        }
    }
}

fn refused(wanted: &Wanted<'_>, no_slot: NoSlot) -> Response {
    let Wanted { name, rate, .. } = *wanted;
    let wait = no_slot.wait_us.div_ceil(1_000_000);
    let period = rate.period_us.get() as f64 / 1e6;
    let who = match wanted.scope {
        RefusalScope::Route => format!("each caller may ask for `{name}`"),
        _ => format!("this {name} may ask"),
    };
    let scope = wanted.scope.as_str();
    tracing::warn!(target: "llmopt::limits", scope, "a request was refused: too many");
    let problem = Problem::new(
        Code::TooManyRequests,
        format!(
            "{who} once in {period} s on average, and {} times at once: ask again after {wait} s",
            rate.burst
        ),
    );
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    tell(headers, [(name, rate, 0, no_slot.wait_us)].into_iter());
    headers.insert(header::RETRY_AFTER, wait.into());
    response
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

    fn limit(route: &str) -> RouteLimit {
        RouteLimit::new(route, NonZeroU32::MIN, NonZeroU32::MIN)
    }

    #[test]
    fn a_limit_of_a_group_is_for_all_its_routes_and_that_of_a_route_for_it_alone() {
        for (name, method, route, covers) in [
            ("generate", Method::POST, "/generate", true),
            ("generate", Method::POST, "/generate/batch", true),
            ("generate", Method::GET, "/models", false),
            ("POST /generate", Method::POST, "/generate", true),
            ("POST /generate", Method::POST, "/generate/batch", false),
            (
                "GET /models/{model_id}",
                Method::GET,
                "/models/{model_id}",
                true,
            ),
            ("GET /models", Method::HEAD, "/models", true),
            ("GET /models", Method::DELETE, "/models", false),
        ] {
            assert_eq!(limit(name).covers(&method, route), covers, "{name} {route}");
        }
    }

    #[test]
    fn several_limits_are_told_in_one_header() {
        let rate = Rate::per_minute(NonZeroU32::new(60).unwrap());
        let mut headers = HeaderMap::new();
        let standing = [
            ("key", rate, 12, 24_000_000),
            ("POST /generate", rate, 3, 1),
        ];
        tell(&mut headers, standing.into_iter());
        assert_eq!(
            headers[LIMIT],
            "\"key\";r=12;t=24, \"POST /generate\";r=3;t=1"
        );
        assert_eq!(
            headers[POLICY],
            "\"key\";q=60;w=60, \"POST /generate\";q=60;w=60"
        );
        let mut headers = HeaderMap::new();
        Standing::default().tell(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
