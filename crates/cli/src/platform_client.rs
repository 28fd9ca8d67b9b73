use std::{collections::VecDeque, error::Error, fmt::Write as _, path::PathBuf, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Request},
};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use llmopt_config::Store;
use llmopt_domain::error_chain;
use llmopt_http::API;
use llmopt_providers::{SseEvent, SseLimits, SseParser, Transport};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{context::Context, failure::Failure, serve::Platform};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Which server is meant.
#[derive(Args, Debug, Default)]
pub(crate) struct ServerFlags {
    /// Ask this server, such as `http://127.0.0.1:8080`, and not the data directory
    #[arg(long, value_name = "URL", value_parser = server_url)]
    url: Option<String>,
    /// The file with the platform key that the server wants
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
}

/// Asks the routes of the platform, of a server or in this very process.
pub(crate) enum PlatformClient {
    /// These routes, on the stores of the data directory.
    Here(Router),
    /// Those of a server.
    There {
        transport: Transport,
        url: String,
        key: Option<String>,
    },
}

/// What was answered: its body comes piece by piece.
pub(crate) struct Reply {
    status: u16,
    body: BoxStream<'static, Result<Bytes, Failure>>,
    parser: SseParser,
    events: VecDeque<SseEvent>,
}

/// How long what an answer cost that was given up may take to settle; a sweep settles what is left, at its bound.
const SETTLING: Duration = Duration::from_secs(1);

impl ServerFlags {
    /// Returns who is asked: the server that is named, or else this process, on the data directory.
    pub(crate) async fn client(&self, context: &Context) -> Result<PlatformClient, Failure> {
        let Some(url) = &self.url else {
            return Ok(PlatformClient::Here(routes(context).await?));
        };
        let transport = Transport::new(CONNECT).map_err(|error| Failure::failed_from(&error))?;
        Ok(PlatformClient::There {
            transport,
            url: url.clone(),
            key: self.key()?,
        })
    }

    fn key(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.key_file else {
            return Ok(None);
        };
        let read = std::fs::read_to_string(path);
        let key = read.map_err(|error| {
            Failure::input(format!("failed to read `{}`: {error}", path.display()))
        })?;
        Ok(Some(key.trim().to_owned()))
    }
}

/// Opens the routes on the data directory.
async fn routes(context: &Context) -> Result<Router, Failure> {
    if context.settings.store != Store::Embedded {
        let failure =
            Failure::input("with `LLMOPT_STORE=aws` the functions answer, and not this machine");
        return Err(failure.next("name their API with `--url`, or unset `LLMOPT_STORE`"));
    }
    let platform = Platform::open(context)?;
    // Where no server runs, nobody else gives budgets back what a killed process held.
    platform.commercial.sweep().await;
    let routes = platform.generate_router();
    Ok(routes.merge(platform.commercial_router()))
}

/// Takes the address of a server, with or without where its routes begin.
fn server_url(text: &str) -> Result<String, String> {
    let known = ["http://", "https://"];
    if !known.iter().any(|scheme| text.starts_with(scheme)) {
        return Err("expected an address that begins with `http://` or `https://`".to_owned());
    }
    let root = text.trim_end_matches('/');
    Ok(root.strip_suffix(API).unwrap_or(root).to_owned())
}

impl PlatformClient {
    /// Waits until this process has settled what it asked for and gave up, if it is the one that asked.
    pub(crate) async fn settled(&self) {
        if matches!(self, Self::Here(_)) {
            tokio::time::sleep(SETTLING).await;
        }
    }

    /// Asks the route that is at `path` below [`API`] for what it shows.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Sends `body` to the route that is at `path` below [`API`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Reply, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends a request to the route that is at `path` below [`API`].
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        match self {
            Self::Here(router) => {
                let request = Request::builder().method(method).uri(path);
                let request = match body {
                    Some(body) => request
                        .header("content-type", "application/json")
                        .body(Body::from(body.to_string())),
                    None => request.body(Body::empty()),
                };
                here(
                    router.clone(),
                    request.map_err(|error| Failure::failed_from(&error))?,
                )
                .await
            }
            Self::There {
                transport,
                url,
                key,
            } => {
                let address = format!("{url}{API}{path}");
                let request = transport.client().request(method, address);
                let request = match body {
                    Some(body) => request
                        .header("content-type", "application/json")
                        .body(body.to_string()),
                    None => request,
                };
                let request = match key {
                    Some(key) => request.bearer_auth(key),
                    None => request,
                };
                let response = request
                    .send()
                    .await
                    .map_err(|error| unreachable(url, &error))?;
                let status = response.status().as_u16();
                let url = url.clone();
                let pieces = stream::try_unfold(response, move |mut response| {
                    let url = url.clone();
                    async move {
                        let piece = response.chunk().await;
                        let piece = piece.map_err(|error| unreachable(&url, &error))?;
                        Ok(piece.map(|piece| (piece, response)))
                    }
                });
                Ok(Reply::new(status, pieces.boxed()))
            }
        }
    }
}

async fn here(router: Router, request: Request<Body>) -> Result<Reply, Failure> {
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status().as_u16();
    let pieces = response.into_body().into_data_stream();
    let pieces = pieces.map_err(|error| Failure::failed_from(&error));
    Ok(Reply::new(status, pieces.boxed()))
}

fn unreachable(url: &str, error: &dyn Error) -> Failure {
    Failure::failed(format!("failed to ask `{url}`: {}", error_chain(error)))
        .next("start it with `llmopt serve`, or leave `--url` out")
}

impl Reply {
    fn new(status: u16, body: BoxStream<'static, Result<Bytes, Failure>>) -> Self {
        Self {
            status,
            body,
            parser: SseParser::new(SseLimits::default()),
            events: VecDeque::new(),
        }
    }

    /// Goes on only with an answer that is none of a problem.
    pub(crate) async fn succeeded(mut self) -> Result<Self, Failure> {
        if self.status < 400 {
            return Ok(self);
        }
        let problem = self.json().await?;
        Err(problem_failure(&problem))
    }

    /// Reads the whole answer.
    pub(crate) async fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.body.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Reads the whole answer, one document of JSON.
    pub(crate) async fn json(&mut self) -> Result<Value, Failure> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::failed(format!(
                "the answer, of status {}, is no JSON: {error}",
                self.status
            ))
            .next("look whether a server of llmopt is there")
        })
    }

    /// Returns the next event of a stream, with its data; `None` at the end.
    pub(crate) async fn event(&mut self) -> Result<Option<(String, Value)>, Failure> {
        loop {
            if let Some(event) = self.events.pop_front() {
                let data = serde_json::from_str(&event.data).map_err(|error| {
                    Failure::failed(format!("event `{}` has no JSON: {error}", event.event))
                })?;
                return Ok(Some((event.event, data)));
            }
            let Some(piece) = self.body.try_next().await? else {
                return Ok(None);
            };
            let mut events = Vec::new();
            let parsed = self.parser.push(&piece, &mut events);
            parsed.map_err(|error| Failure::failed_from(&error))?;
            self.events.extend(events);
        }
    }
}

/// Renders a problem of the platform as a failure of the command.
pub(crate) fn problem_failure(problem: &Value) -> Failure {
    let text = |name: &str| problem[name].as_str();
    let detail = text("detail").or(text("title"));
    let mut message = detail.unwrap_or("the request failed").to_owned();
    for error in problem["errors"].as_array().into_iter().flatten() {
        if let (Some(pointer), Some(detail)) = (error["pointer"].as_str(), error["detail"].as_str())
            && !message.contains(detail)
        {
            let _ = write!(message, "\n  `{pointer}`: {detail}");
        }
    }
    let failure = match problem["status"].as_u64() {
        // Waiting, or somebody else, may mend these.
        Some(401 | 402 | 403 | 409 | 429) | None => Failure::failed(message),
        Some(status) if status < 500 => Failure::input(message),
        Some(_) => Failure::failed(message),
    };
    match text("code") {
        Some(code) => failure.next(format!("docs/ERRORS.md says more of `{code}`")),
        None => failure,
    }
}
