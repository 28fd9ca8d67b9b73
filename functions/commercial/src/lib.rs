//! `/commercial`: what commercial models cost, what was spent on them, what may be, and how they compare.
//!
//! Knows how money and providers are shown. Does not know how a provider is asked, nor where budgets are kept.

mod budgets;
mod compare;
mod comparison;
mod comparison_view;
mod csv;
mod days;
mod dollars;
mod models;
mod providers;
mod remedy;
mod usage;
mod usage_view;

use std::time::Duration;

use axum::Router;
pub use budgets::{BudgetView, WindowView, budget_scope};
pub use comparison::Comparison;
pub use comparison_view::{
    Answered, Cell, ComparisonView, ModelKind, ModelTotals, QuoteView, TextRow,
};
pub use days::{Days, NoDays};
pub use dollars::Dollars;
use llmopt_commercial::Commercial;
use llmopt_http::{DescribedRouter, routes};
use llmopt_service::Generation;
pub use usage::GroupName;
pub use usage_view::{TokenTotals, UsageDay, UsageGroup, UsageTotals, UsageView};
use utoipa::openapi::OpenApi;

/// What the routes work with.
#[derive(Clone)]
pub struct CommercialState {
    /// The commercial models, their prices and budgets.
    pub commercial: Commercial,
    /// Our own models, to compare with; `None` where this process has none.
    pub generation: Option<Generation>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long many questions of one request may take together, where whoever is in between waits no longer; `None` is as
    /// long as it takes.
    pub longest: Option<Duration>,
}

/// Returns the routes over `state`.
pub fn router(state: CommercialState) -> Router {
    routes().with_state(state)
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> DescribedRouter<CommercialState> {
    DescribedRouter::default()
        .routes(routes!(providers::test_providers))
        .routes(routes!(models::list_commercial_models))
        .routes(routes!(usage::get_usage))
        .routes(routes!(budgets::list_budgets, budgets::set_budget))
        .routes(routes!(budgets::delete_budget))
        .routes(routes!(compare::compare_models))
}

#[cfg(test)]
mod tests;
