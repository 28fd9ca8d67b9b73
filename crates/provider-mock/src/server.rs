use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, State as Shared},
    http::{HeaderMap, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use serde_json::Value;
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    Api, Behaviour, Ended, Exchange, Fault, Tokens, anthropic, control,
    delivery::{Piece, bill, body as sent_body, spoil, spoil_whole},
    openai,
    refusal::{Refusal, respond},
    request::Asked,
    responses,
    state::{Record, State},
};

/// A server that is running on this machine. Dropping it ends it.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    state: State,
    task: JoinHandle<()>,
}

/// Why there is no server.
#[derive(Debug, Error)]
#[error("failed to listen on port {port}")]
pub struct MockError {
    port: u16,
    source: std::io::Error,
}

impl Mock {
    /// Starts a server on a port of the loopback address; 0 takes any that is free.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start(port: u16) -> Result<Self, MockError> {
        let failed = |source| MockError { port, source };
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let state = State::default();
        let router = router(state.clone());
        // Else an event of a stream waits until the other side says that it has the one before, for which that side
        // takes its time. A connection that is gone already shows it when it is read.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let task = tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            // It ends with the task.
            let _ = axum::serve(listener, service).await;
        });
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// Returns where it is: Anthropic's base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns OpenAI's base URL.
    pub fn openai_url(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// Has the next request that nothing else is said for answered like this.
    pub fn next(&self, behaviour: Behaviour) {
        self.state.push(behaviour);
    }

    /// Has every request for a model answered like this, from when nothing is left that was said for the next.
    pub fn for_model(&self, model: &str, behaviour: Behaviour) {
        self.state.set_model(model.to_owned(), behaviour);
    }

    /// Returns what was asked, in order.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.state.exchanges()
    }

    /// Runs until the server ends, which it does not by itself.
    pub async fn run(mut self) {
        // The task has no result but its end.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(state: State) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(openai_chat))
        .route("/v1/responses", post(openai_responses))
        .route("/v1/messages", post(anthropic_messages))
        .route("/v1/models", get(list_models))
        .merge(control::routes())
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(state)
}

/// A request, before it is known to be one.
struct Received {
    api: Api,
    target: &'static str,
    peer: SocketAddr,
    headers: HeaderMap,
    body: Value,
}

async fn openai_chat(
    Shared(state): Shared<State>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = "POST /v1/chat/completions";
    answer(
        &state,
        Received::question(Api::Openai, target, peer, (headers, body)),
    )
    .await
}

const RESPONSES: &str = "POST /v1/responses";

async fn openai_responses(
    Shared(state): Shared<State>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    answer(
        &state,
        Received::question(Api::Openai, RESPONSES, peer, (headers, body)),
    )
    .await
}

async fn anthropic_messages(
    Shared(state): Shared<State>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = "POST /v1/messages";
    answer(
        &state,
        Received::question(Api::Anthropic, target, peer, (headers, body)),
    )
    .await
}

impl Received {
    fn question(
        api: Api,
        target: &'static str,
        peer: SocketAddr,
        (headers, body): (HeaderMap, Bytes),
    ) -> Self {
        Self {
            api,
            target,
            peer,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            headers,
        }
    }
}

/// Both APIs have this path; only Anthropic's has a version in a header.
async fn list_models(
    Shared(state): Shared<State>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response<Body> {
    let api = match headers.contains_key("anthropic-version") {
        true => Api::Anthropic,
        false => Api::Openai,
    };
    let received = Received {
        api,
        target: "GET /v1/models",
        peer,
        headers,
        body: Value::Null,
    };
    answer(&state, received).await
}

async fn answer(state: &State, received: Received) -> Response<Body> {
    let model = received.body["model"].as_str().map(str::to_owned);
    let behaviour = state.behaviour(model.as_deref());
    let record = state.record(Exchange {
        api: received.api,
        target: received.target.to_owned(),
        peer_port: received.peer.port(),
        model,
        headers: texts(&received.headers),
        body: received.body.clone(),
        status: 0,
        billed: None,
        ended: Ended::Open,
    });
    if behaviour.head_ms > 0 {
        // No time at all would be a millisecond.
        tokio::time::sleep(Duration::from_millis(behaviour.head_ms)).await;
    }
    let headers = headers_of(received.api);
    match decide(&received, &behaviour) {
        Ok(Decided::Models(models)) => {
            let text = spoil_whole(models.to_string(), behaviour.fault.as_ref());
            let sent = Sent {
                pieces: vec![Piece::new(text, 0)],
                content_type: "application/json",
                billed: None,
            };
            send(sent, &behaviour, headers, record)
        }
        Ok(Decided::Answer(asked)) => send(
            sent(&Writer::of(&received), &asked, &behaviour),
            &behaviour,
            headers,
            record,
        ),
        Err(refusal) => {
            record.answered(refusal.status, None);
            record.end(Ended::Whole);
            refusal.response(headers)
        }
    }
}

enum Decided {
    Models(Value),
    Answer(Asked),
}

fn decide(received: &Received, behaviour: &Behaviour) -> Result<Decided, Refusal> {
    let api = received.api;
    let fault = behaviour.fault.as_ref();
    if let Some(refusal) = fault.and_then(|fault| Refusal::of_fault(api, fault)) {
        return Err(refusal);
    }
    // Anthropic's own client sends the key as a bearer's from its second version on.
    let of_key: &[&str] = match api {
        Api::Openai => &["authorization"],
        Api::Anthropic => &["x-api-key", "authorization"],
    };
    if !of_key
        .iter()
        .any(|name| received.headers.contains_key(*name))
    {
        return Err(Refusal::no_key(api));
    }
    let body = &received.body;
    Ok(match (api, received.target) {
        (Api::Openai, "GET /v1/models") => Decided::Models(openai::models()),
        (Api::Anthropic, "GET /v1/models") => Decided::Models(anthropic::models()),
        (Api::Openai, RESPONSES) => Decided::Answer(responses::read(body, behaviour)?),
        (Api::Openai, _) => Decided::Answer(openai::read(body, behaviour)?),
        (Api::Anthropic, _) => {
            Decided::Answer(anthropic::read(&received.headers, body, behaviour)?)
        }
    })
}

/// What is sent.
struct Sent {
    pieces: Vec<Piece>,
    content_type: &'static str,
    /// What it costs before the first piece.
    billed: Option<Tokens>,
}

/// How a route writes its answers.
struct Writer {
    whole: fn(&Asked, &Behaviour) -> Value,
    stream: fn(&Asked, &Behaviour) -> Vec<Piece>,
    error: fn(&Behaviour) -> Piece,
}

impl Writer {
    fn of(received: &Received) -> Self {
        match (received.api, received.target) {
            (Api::Openai, RESPONSES) => Self {
                whole: responses::whole,
                stream: responses::stream,
                error: responses::error,
            },
            (Api::Openai, _) => Self {
                whole: openai::whole,
                stream: openai::stream,
                error: |_| openai::error(),
            },
            (Api::Anthropic, _) => Self {
                whole: anthropic::whole,
                stream: anthropic::stream,
                error: |_| anthropic::error(),
            },
        }
    }
}

fn sent(writer: &Writer, asked: &Asked, behaviour: &Behaviour) -> Sent {
    let fault = behaviour.fault.as_ref();
    let pieces = match asked.streams {
        true => {
            let mut pieces = (writer.stream)(asked, behaviour);
            bill(&mut pieces, asked.tokens.output);
            spoil(pieces, fault, (writer.error)(behaviour))
        }
        false => {
            let text = (writer.whole)(asked, behaviour).to_string();
            vec![Piece::new(spoil_whole(text, fault), asked.tokens.output)]
        }
    };
    Sent {
        pieces,
        content_type: match asked.streams {
            true => "text/event-stream; charset=utf-8",
            false => "application/json",
        },
        billed: Some(Tokens {
            output: 0,
            ..asked.tokens
        }),
    }
}

fn send(
    sent: Sent,
    behaviour: &Behaviour,
    mut headers: Vec<(String, String)>,
    record: Record,
) -> Response<Body> {
    let fault = behaviour.fault.as_ref();
    let content_type = match fault {
        Some(Fault::ContentType { value }) => value.clone(),
        _ => sent.content_type.to_owned(),
    };
    headers.push(("content-type".to_owned(), content_type));
    record.answered(200, sent.billed);
    let pause = Duration::from_millis(behaviour.event_ms);
    let body = sent_body(sent.pieces, fault, pause, record);
    respond(200, &headers, body)
}

/// Returns the headers that every response of an API has.
fn headers_of(api: Api) -> Vec<(String, String)> {
    let headers: &[(&str, &str)] = match api {
        Api::Openai => &[
            ("x-request-id", "req_mock"),
            ("openai-processing-ms", "1"),
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        Api::Anthropic => &[
            ("request-id", "req_mock"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2099-01-01T00:00:00Z"),
            ("anthropic-ratelimit-input-tokens-limit", "50000"),
            ("anthropic-ratelimit-input-tokens-remaining", "49000"),
        ],
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    headers.iter().map(owned).collect()
}

fn texts(headers: &HeaderMap) -> std::collections::BTreeMap<String, String> {
    let text =
        |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}
