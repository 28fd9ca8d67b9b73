use axum::{Extension, Json, extract::State};
use llmopt_commercial::Asker;
use llmopt_http::{Caller, JsonBody, Problem, Validation, asker};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{CommercialState, Comparison, ComparisonView};

/// Tokens of each answer at most where the request does not say how many.
pub(crate) const DEFAULT_MAX_TOKENS: u32 = 256;
const MAX_TEXTS: usize = 20;
const MAX_MODELS: usize = 10;

/// What is to be compared.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareRequest {
    /// What each model is asked, each text as one message of the user.
    #[schema(min_items = 1, max_items = 20)]
    texts: Vec<String>,
    /// The models: commercial ones, and our own.
    #[schema(min_items = 1, max_items = 10)]
    models: Vec<String>,
    /// Tokens of each answer at most.
    #[schema(minimum = 1, default = 256)]
    max_tokens: Option<u32>,
    /// Whether the models are asked, which costs what it costs; otherwise it is only said what it would cost.
    run: Option<bool>,
}

/// Compares models on the same texts: what each would cost, and with `run` what each answers, costs and takes.
/// Texts are priced by model because models do not count the same tokens.
#[utoipa::path(
    post,
    path = "/commercial/compare",
    tag = "commercial",
    request_body = CompareRequest,
    responses((
        status = 200,
        description = "For each text what became of each model, in the order of the request; one that fails does not touch the others.",
        body = ComparisonView
    ))
)]
pub(crate) async fn compare_models(
    State(state): State<CommercialState>,
    caller: Option<Extension<Caller>>,
    JsonBody(request): JsonBody<CompareRequest>,
) -> Result<Json<ComparisonView>, Problem> {
    let is_run = request.run.unwrap_or_default();
    let comparison = request.validate(asker(caller.as_ref()))?;
    Ok(Json(if is_run {
        comparison.run(&state).await
    } else {
        comparison.quote(&state).await
    }))
}

impl CompareRequest {
    fn validate(self, asker: Asker) -> Result<Comparison, Problem> {
        let mut validation = Validation::default();
        let (texts, models) = (self.texts.len(), self.models.len());
        validation.require((1..=MAX_TEXTS).contains(&texts), "/texts", || {
            format!("expected 1 to {MAX_TEXTS} texts, found {texts}")
        });
        validation.require((1..=MAX_MODELS).contains(&models), "/models", || {
            format!("expected 1 to {MAX_MODELS} models, found {models}")
        });
        for (place, text) in self.texts.iter().enumerate() {
            let pointer = format!("/texts/{place}");
            validation.require(!text.trim().is_empty(), &pointer, || {
                "expected a text, found nothing but blanks".to_owned()
            });
        }
        for (place, model) in self.models.iter().enumerate() {
            let is_first = !self.models[..place].contains(model);
            validation.require(is_first, &format!("/models/{place}"), || {
                format!("expected each model once, found `{model}` again")
            });
        }
        let max_tokens = self.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        validation.require(max_tokens >= 1, "/max_tokens", || {
            "expected 1 or more, found 0".to_owned()
        });
        validation.finish()?;
        Ok(Comparison {
            texts: self.texts,
            models: self.models,
            max_tokens,
            asker,
        })
    }
}
