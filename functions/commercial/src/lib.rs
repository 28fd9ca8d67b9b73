//! `/commercial`: what commercial models cost, what was spent on them, what may be, and how they compare.
//!
//! Knows how money and providers are shown. Does not know how a provider is asked, nor where budgets are kept.

use std::time::Duration;

use axum::Router;
use llmopt_commercial::Commercial;
use llmopt_service::Generation;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// What the routes work with.
#[derive(Clone)]
pub struct CommercialState {
    /// The commercial models, their prices and budgets.
    pub commercial: Commercial,
    /// Our own models, to compare with; `None` where this process has none.
    pub generation: Option<Generation>,
    /// How long an answer of a model of our own may take.
    pub timeout: Duration,
}

/// Returns the routes over `state`.
pub fn router(state: CommercialState) -> Router {
    routes().with_state(state).into()
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<CommercialState> {
    OpenApiRouter::default()
}
