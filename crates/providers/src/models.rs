use std::time::Duration;

use serde::Deserialize;

use crate::{
    Delivery, ProviderError, RateHeaders,
    deadlines::Deadlines,
    endpoint::{Call, Endpoint},
    json,
    reader::read_whole,
};

/// The models that a key may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelList {
    /// The models, in the provider's order.
    pub models: Vec<ListedModel>,
    /// Whether these are all; a provider sends a thousand at most.
    pub is_complete: bool,
    /// From the request to the end of the answer, a new connection's making included.
    pub latency: Duration,
    /// What the provider calls the request.
    pub request_id: Option<String>,
    /// What the provider says of its rate limits.
    pub rate: RateHeaders,
}

/// A model of a provider's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct ListedModel {
    /// What it is asked for by.
    pub id: String,
    /// The day on which it is turned off, as `2026-10-23`, where that is announced (OpenAI).
    #[serde(default)]
    pub shutdown_date: Option<String>,
    /// The tokens that a prompt may have (Anthropic).
    #[serde(default)]
    pub max_input_tokens: Option<u64>,
    /// Where it is in its life: `active`, `deprecated` or `retired` (Anthropic).
    #[serde(default)]
    pub lifecycle: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<ListedModel>,
    #[serde(default)]
    has_more: bool,
}

/// Lists what is at `path`.
pub(crate) async fn list(
    endpoint: &Endpoint,
    path: &str,
    timeout: Duration,
) -> Result<ModelList, ProviderError> {
    let deadlines = Deadlines::of_total(timeout);
    let call = Call {
        path,
        body: None,
        model: "",
        delivery: Delivery::Whole,
        deadlines,
    };
    let answer = endpoint.send(call).await?;
    let body = read_whole(answer.response, &deadlines).await?;
    let page: Page = json::read(&body, "the list of models")?;
    Ok(ModelList {
        models: page.data,
        is_complete: !page.has_more,
        latency: deadlines.elapsed(),
        request_id: answer.head.request_id,
        rate: answer.head.rate,
    })
}
