use axum::{Json, extract::State};
use llmopt_commercial::CatalogEntry;
use llmopt_domain::Picodollars;
use llmopt_http::{PageParameters, PageView, Parameters, Problem, now_ms};
use llmopt_prices::{Api, Day, Multipliers, Period, Rates, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{CommercialState, Dollars};

const MILLION: u64 = 1_000_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParameters {
    /// Only models of this provider.
    provider: Option<String>,
    /// Only models whose id or another name has this text in it.
    search: Option<String>,
    /// Models at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Where the part before ended: its `next_cursor`.
    cursor: Option<String>,
}

/// A commercial model that can be asked here.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CommercialModel {
    /// What it is asked for by.
    id: String,
    /// The same with its provider before it, for models that several have.
    name: String,
    provider: String,
    /// Other names of the same model at the same price.
    aliases: Vec<String>,
    /// The routes of the provider that it answers at.
    #[schema(value_type = Vec<String>)]
    apis: Vec<Api>,
    /// What it answers with an error.
    #[schema(value_type = Vec<String>)]
    rejects: Vec<Refusal>,
    /// The most tokens that a prompt may have, where that is known.
    max_input_tokens: Option<u64>,
    /// The most tokens that an answer may have, where that is known.
    max_output_tokens: Option<u64>,
    /// What it costs today; `null` where nobody knows, and it is refused unless its provider has a ceiling.
    price: Option<ModelPrice>,
    /// Its end, once that is announced.
    shutdown: Option<ShutdownView>,
    /// What else one should know.
    note: Option<String>,
}

/// What a model costs, and how that is known.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ModelPrice {
    #[serde(flatten)]
    rates: RatesView,
    /// What whole requests cost whose prompts are long, the shorter first.
    long_prompts: Vec<LongPromptView>,
    /// What the rates are multiplied by on other terms (`batch`, `flex`, `priority`, `regional`), such as `1/2`.
    #[schema(value_type = Object)]
    multipliers: Multipliers,
    /// Where the price is from; `null` of a ceiling, which the configuration sets.
    source: Option<String>,
    /// The day on which the source was last read.
    #[schema(format = Date)]
    verified: Option<String>,
    /// The first day on which the price is known to hold.
    #[schema(format = Date)]
    from: Option<String>,
    /// Where sources differ, or how a value was derived.
    note: Option<String>,
    /// What has to be looked up before it is relied on.
    doubt: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct LongPromptView {
    /// A prompt with more tokens than this is long; with just as many it is not.
    above_prompt_tokens: u64,
    #[serde(flatten)]
    rates: RatesView,
}

/// What tokens cost, by kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct RatesView {
    /// Dollars for a million tokens.
    usd_per_million_tokens: ByKind<Dollars>,
    /// Picodollars (10⁻¹² dollars) for one token.
    picodollars_per_token: ByKind<u64>,
}

/// A number for each kind of token.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ByKind<T> {
    /// Input that no cache had and none was given.
    input: T,
    /// Output, what the model thought included.
    output: T,
    /// Input from the cache.
    cache_read: T,
    /// Input put into the cache for the short time.
    cache_write: T,
    /// Input put into the cache for the long time.
    cache_write_long: T,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct ShutdownView {
    /// The first day on which the provider answers with an error.
    #[schema(format = Date)]
    on: String,
    /// Whether that day has come.
    past: bool,
    /// The model to use instead.
    replacement: Option<String>,
}

/// Lists the commercial models of the providers that are configured, by their providers and ids: what each costs,
/// takes and can, and when it ends.
#[utoipa::path(
    get,
    path = "/commercial/models",
    tag = "commercial",
    params(ListParameters),
    responses((status = 200, description = "A part of the list.", body = PageView<CommercialModel>))
)]
pub(crate) async fn list_commercial_models(
    State(state): State<CommercialState>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<PageView<CommercialModel>>, Problem> {
    let today = Day::of_unix_ms(now_ms());
    let mut catalog = state.commercial.catalog(today);
    catalog.retain(|entry| parameters.wants(entry));
    let models = catalog.into_iter();
    let mut models: Vec<_> = models
        .map(|entry| CommercialModel::new(entry, today))
        .collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    let page = PageParameters {
        limit: parameters.limit,
        cursor: parameters.cursor,
    };
    Ok(Json(page.part_of(models, |model| &model.name)?))
}

impl ListParameters {
    fn wants(&self, entry: &CatalogEntry) -> bool {
        let is_theirs = |provider: &String| *provider == entry.provider;
        let is_named = |text: &String| {
            let text = text.to_lowercase();
            let mut names = entry.model.names();
            names.any(|name| name.to_lowercase().contains(&text))
        };
        self.provider.as_ref().is_none_or(is_theirs) && self.search.as_ref().is_none_or(is_named)
    }
}

impl CommercialModel {
    fn new(entry: CatalogEntry, today: Day) -> Self {
        let CatalogEntry {
            provider,
            model,
            price,
        } = entry;
        let period = model.period(today);
        let price = price.map(|price| ModelPrice {
            rates: (&price.rates).into(),
            long_prompts: price
                .long_prompts
                .iter()
                .map(|long| LongPromptView {
                    above_prompt_tokens: long.above_prompt_tokens,
                    rates: (&long.rates).into(),
                })
                .collect(),
            multipliers: price.multipliers,
            source: period.map(|it| it.source.clone()),
            verified: period.map(|it| it.verified.to_string()),
            from: period.map(|it| it.from.to_string()),
            note: period.and_then(|it| it.note.clone()),
            doubt: period.and_then(|it: &Period| it.doubt.clone()),
        });
        Self {
            name: format!("{provider}/{}", model.id),
            price,
            shutdown: model.shutdown.map(|shutdown| ShutdownView {
                on: shutdown.on.to_string(),
                past: shutdown.on <= today,
                replacement: shutdown.replacement,
            }),
            id: model.id,
            provider,
            aliases: model.aliases,
            apis: model.apis,
            rejects: model.rejects,
            max_input_tokens: model.max_input_tokens,
            max_output_tokens: model.max_output_tokens,
            note: model.note,
        }
    }
}

impl From<&Rates> for RatesView {
    fn from(rates: &Rates) -> Self {
        let by_kind = ByKind {
            input: rates.input,
            output: rates.output,
            cache_read: rates.cache_read(),
            cache_write: rates.cache_write(),
            cache_write_long: rates.cache_write_long(),
        };
        Self {
            usd_per_million_tokens: by_kind.map(|rate| {
                // No token costs so much that a million of them are more than the greatest amount.
                rate.checked_mul(MILLION).unwrap_or(Picodollars::MAX).into()
            }),
            picodollars_per_token: by_kind.map(Picodollars::get),
        }
    }
}

impl ByKind<Picodollars> {
    fn map<T>(&self, show: impl Fn(Picodollars) -> T) -> ByKind<T> {
        ByKind {
            input: show(self.input),
            output: show(self.output),
            cache_read: show(self.cache_read),
            cache_write: show(self.cache_write),
            cache_write_long: show(self.cache_write_long),
        }
    }
}
