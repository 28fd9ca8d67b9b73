use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt as _;
use llmopt_domain::{Message, Role};
use llmopt_provider_mock::{Behaviour, Exchange, Fault, Mock};
use llmopt_providers::{
    AnthropicProvider, Completion, CompletionRequest, Delivery, Dialect, EndpointSettings,
    Finished, FixedKey, Go, KeySource, ModelList, OpenAiProvider, OpenAiRoute, Provider,
    ProviderError, ProviderEvent, ProviderKey, Timeouts, Transport,
};

/// Which API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OpenAi,
    /// OpenAI's Responses API.
    Responses,
    Anthropic,
}

pub(crate) const ALL: [Kind; 3] = [Kind::OpenAi, Kind::Responses, Kind::Anthropic];
pub(crate) const SECRET: &str = "sk-very-secret";

/// A server and a client of it.
pub(crate) struct Place {
    pub(crate) mock: Mock,
    pub(crate) provider: Box<dyn Provider>,
}

impl Place {
    pub(crate) async fn new(kind: Kind) -> Self {
        let key = ProviderKey::new(SECRET).unwrap();
        Self::with_keys(kind, Arc::new(FixedKey(Some(key)))).await
    }

    pub(crate) async fn with_keys(kind: Kind, keys: Arc<dyn KeySource>) -> Self {
        let mock = Mock::start(0).await.unwrap();
        let base_url = match kind {
            Kind::OpenAi | Kind::Responses => mock.openai_url(),
            Kind::Anthropic => mock.url(),
        };
        let provider = provider(kind, settings(base_url, keys));
        Self { mock, provider }
    }

    /// Asks, and returns everything that is said.
    pub(crate) async fn ask(&self, request: &CompletionRequest) -> Said {
        let completion = self.provider.complete(request).await.unwrap();
        said(completion).await
    }

    /// Asks for what fails in such a way, and returns how.
    pub(crate) async fn fail(&self, fault: Fault) -> ProviderError {
        self.mock.next(Behaviour::failing(fault));
        self.provider.complete(&question()).await.unwrap_err()
    }

    pub(crate) fn last(&self) -> Exchange {
        self.mock.exchanges().pop().unwrap()
    }
}

pub(crate) fn settings(base_url: String, keys: Arc<dyn KeySource>) -> EndpointSettings {
    EndpointSettings {
        base_url,
        headers: vec![("x-extra".to_owned(), "here".to_owned())],
        query: Vec::new(),
        keys,
    }
}

pub(crate) fn provider(kind: Kind, settings: EndpointSettings) -> Box<dyn Provider> {
    let transport = Transport::new(Duration::from_secs(5)).unwrap();
    let openai = || OpenAiProvider::new(transport.clone(), settings.clone(), Dialect::OPENAI);
    match kind {
        Kind::OpenAi => Box::new(openai().unwrap()),
        Kind::Responses => Box::new(AtResponses(openai().unwrap())),
        Kind::Anthropic => Box::new(AnthropicProvider::new(transport, settings).unwrap()),
    }
}

/// Asks every question at the Responses API.
struct AtResponses(OpenAiProvider);

#[async_trait]
impl Provider for AtResponses {
    async fn complete_after(
        &self,
        go: Go,
        request: &CompletionRequest,
    ) -> Result<Completion, ProviderError> {
        let request = CompletionRequest {
            route: OpenAiRoute::Responses,
            ..request.clone()
        };
        self.0.complete_after(go, &request).await
    }

    async fn list_models(&self, timeout: Duration) -> Result<ModelList, ProviderError> {
        self.0.list_models(timeout).await
    }
}

/// All that an answer said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) text: String,
    /// Names and arguments.
    pub(crate) calls: Vec<(String, String)>,
    pub(crate) call_ids: Vec<String>,
    pub(crate) finished: Option<Finished>,
    pub(crate) error: Option<ProviderError>,
}

pub(crate) async fn said(mut completion: Completion) -> Said {
    let mut said = Said::default();
    while let Some(event) = completion.events.next().await {
        assert!(
            said.finished.is_none() && said.error.is_none(),
            "more after the end"
        );
        match event {
            Ok(ProviderEvent::Text(text)) => {
                assert!(!text.is_empty());
                said.text.push_str(&text);
            }
            Ok(ProviderEvent::ToolCall(part)) => {
                if let Some(name) = part.name {
                    said.calls.push((name, String::new()));
                    said.call_ids.extend(part.id);
                }
                said.calls[part.index as usize].1.push_str(&part.arguments);
            }
            Ok(ProviderEvent::Finished(finished)) => said.finished = Some(finished),
            Err(error) => said.error = Some(error),
        }
    }
    said
}

pub(crate) fn question() -> CompletionRequest {
    let turns = vec![Message::new(Role::User, "Grüße an die 🦀 bitte")];
    CompletionRequest::new("model-x", turns, 100)
}

pub(crate) fn whole_question() -> CompletionRequest {
    CompletionRequest {
        delivery: Delivery::Whole,
        ..question()
    }
}

/// Long enough for any machine, short enough to wait for.
pub(crate) fn short(first_byte: Duration, idle: Duration, total: Duration) -> CompletionRequest {
    CompletionRequest {
        timeouts: Timeouts {
            first_byte,
            idle,
            total,
        },
        ..question()
    }
}

/// Returns the name of an error's variant.
pub(crate) fn variant(error: &ProviderError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}
