mod answer;
mod body;
mod refusals;
mod responses;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;

use crate::{
    Completion, CompletionRequest, EndpointSettings, Go, ModelList, OpenAiRoute, Provider,
    ProviderError, RateHeaders, SettingsError, Transport,
    answer_parser::Decoder,
    deadlines::Deadlines,
    endpoint::{Call, Convention, Endpoint, Head},
    models,
    reader::{Reading, ask},
};

pub use body::{Dialect, MaxTokensField};

pub(crate) const CONVENTION: Convention = Convention {
    key_header: "authorization",
    key_prefix: "Bearer ",
    rate: |headers, _| RateHeaders::openai(headers),
    describe: refusals::describe,
    classify: refusals::classify,
};

pub(crate) use answer::read;
pub(crate) use responses::{decoder as response_decoder, read as read_response};

/// Makes sense of a stream with this head.
pub(crate) fn decoder(head: Head) -> Box<dyn Decoder> {
    Box::new(answer::ChunkDecoder::new(head))
}

/// OpenAI's chat completions and responses, and servers that speak the same.
#[derive(Clone)]
pub struct OpenAiProvider {
    endpoint: Endpoint,
    dialect: Dialect,
}

impl OpenAiProvider {
    /// OpenAI's own address.
    pub const BASE_URL: &'static str = "https://api.openai.com/v1";

    /// Makes a client of a server that speaks `dialect`. Connects to nothing yet.
    ///
    /// # Errors
    /// If the address or a header cannot be used.
    pub fn new(
        transport: Transport,
        settings: EndpointSettings,
        dialect: Dialect,
    ) -> Result<Self, SettingsError> {
        let endpoint = Endpoint::new(transport, settings, CONVENTION, HeaderMap::new())?;
        Ok(Self { endpoint, dialect })
    }
}

#[async_trait]
impl Provider for OpenAiProvider {
    async fn complete_after(
        &self,
        go: Go,
        request: &CompletionRequest,
    ) -> Result<Completion, ProviderError> {
        let chat = Reading { decoder, read };
        let (path, body, reading) = match request.route {
            OpenAiRoute::Chat => (
                "/chat/completions",
                body::write(request, self.dialect)?,
                chat,
            ),
            OpenAiRoute::Responses => (
                "/responses",
                responses::write(request, self.dialect)?,
                Reading {
                    decoder: response_decoder,
                    read: read_response,
                },
            ),
        };
        let call = Call {
            path,
            body: Some((body, go)),
            model: &request.model,
            delivery: request.delivery,
            deadlines: Deadlines::start(request.timeouts),
        };
        ask(&self.endpoint, call, reading).await
    }

    async fn list_models(&self, timeout: Duration) -> Result<ModelList, ProviderError> {
        models::list(&self.endpoint, "/models", timeout).await
    }
}
