mod answer;
mod body;
mod refusals;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderValue};

use crate::{
    Completion, CompletionRequest, EndpointSettings, Go, ModelList, Provider, ProviderError,
    RateHeaders, SettingsError, Transport,
    answer_parser::Decoder,
    deadlines::Deadlines,
    endpoint::{Call, Convention, Endpoint, Head},
    models,
    reader::{Reading, ask},
};

/// The version of the API that is spoken: the last that lets a temperature be set, and so the one that all
/// models answer. An extra header of the same name asks for another.
const VERSION: &str = "2023-06-01";

pub(crate) const CONVENTION: Convention = Convention {
    key_header: "x-api-key",
    key_prefix: "",
    rate: RateHeaders::anthropic,
    describe: refusals::describe,
    classify: refusals::classify,
};

pub(crate) use answer::read;

/// Makes sense of a stream with this head.
pub(crate) fn decoder(head: Head) -> Box<dyn Decoder> {
    Box::new(answer::EventDecoder::new(head))
}

/// Anthropic's messages.
#[derive(Clone)]
pub struct AnthropicProvider {
    endpoint: Endpoint,
}

impl AnthropicProvider {
    /// Anthropic's own address.
    pub const BASE_URL: &'static str = "https://api.anthropic.com";

    /// Makes a client. Connects to nothing yet.
    ///
    /// # Errors
    /// If the address or a header cannot be used.
    pub fn new(transport: Transport, settings: EndpointSettings) -> Result<Self, SettingsError> {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
        let endpoint = Endpoint::new(transport, settings, CONVENTION, headers)?;
        Ok(Self { endpoint })
    }
}

#[async_trait]
impl Provider for AnthropicProvider {
    async fn complete_after(
        &self,
        go: Go,
        request: &CompletionRequest,
    ) -> Result<Completion, ProviderError> {
        let call = Call {
            path: "/v1/messages",
            body: Some((body::write(request)?, go)),
            model: &request.model,
            delivery: request.delivery,
            deadlines: Deadlines::start(request.timeouts),
        };
        ask(&self.endpoint, call, Reading { decoder, read }).await
    }

    async fn list_models(&self, timeout: Duration) -> Result<ModelList, ProviderError> {
        models::list(&self.endpoint, "/v1/models?limit=1000", timeout).await
    }
}
