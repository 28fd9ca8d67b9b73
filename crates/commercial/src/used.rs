use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_prices::{Region, ServiceTier, Terms, TokenLimits};
use llmopt_providers::{ConnectionError, Delivery, Finished, Phase, ProviderError};
use llmopt_storage::spend::Basis;
use serde::{
    Deserialize as _,
    de::{IntoDeserializer as _, value::Error as NoTier},
};

use crate::{Quote, catalog::Candidate};

/// Tokens that a provider may have generated and not sent when it is told to stop.
const IN_FLIGHT: u64 = 64;

/// What a call used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) usage: TokenUsage,
    pub(crate) cost: Picodollars,
    /// Whether that is the most that it can have been, because nobody told.
    pub(crate) is_assumed: bool,
    /// How it can be more than was reserved.
    pub(crate) overrun: Option<String>,
}

/// What was seen of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This many bytes of it, and no more than a little was on its way.
    Bytes(u64),
    /// Not how far it was.
    Nothing,
}

impl Seen {
    /// What is seen of an answer that had not begun when nobody waited for it any more.
    pub(crate) fn before(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Stream => Self::Bytes(0),
            Delivery::Whole => Self::Nothing,
        }
    }

    /// What is seen of an answer that broke off by `error` after so many bytes. Silence, and what is no answer, may hide
    /// any length: of a proxy's in between, or of a line that was too long.
    fn at(error: &ProviderError, bytes: u64) -> Self {
        match error {
            ProviderError::Interrupted { cause, .. } => Self::at(cause, bytes),
            _ if bytes == 0 => Self::Nothing,
            ProviderError::Timeout { .. } | ProviderError::Protocol(_) => Self::Nothing,
            _ => Self::Bytes(bytes),
        }
    }
}

impl Used {
    /// Nothing was.
    pub(crate) fn nothing() -> Self {
        Self {
            usage: TokenUsage::default(),
            cost: Picodollars::ZERO,
            is_assumed: false,
            overrun: None,
        }
    }

    /// How that is known.
    pub(crate) fn basis(&self) -> Basis {
        match &self.overrun {
            Some(reason) => Basis::Overrun {
                reason: reason.clone(),
            },
            None if self.is_assumed => Basis::Assumed,
            None => Basis::Measured,
        }
    }
}

impl Candidate {
    /// Returns what a whole answer used, of whose text there are `bytes`; of its tokens some were `known` before it ended.
    pub(crate) fn used(
        &self,
        quote: &Quote,
        finished: &Finished,
        (known, bytes): (Option<TokenUsage>, u64),
    ) -> Used {
        // Some servers tell nothing but noughts.
        let is_told = |tokens: &TokenUsage| {
            tokens.prompt_tokens() > 0 && (tokens.output_tokens > 0 || bytes == 0)
        };
        let Some(reported) = finished.usage.filter(|it| is_told(&it.tokens)) else {
            tracing::warn!(
                model = self.model,
                "a provider did not tell what an answer used"
            );
            let known = known.filter(|tokens| tokens.prompt_tokens() > 0);
            return self.used_of_part(quote, known, Seen::Bytes(bytes));
        };
        if let Some(problem) = reported.problem {
            tracing::warn!(
                model = self.model,
                ?problem,
                "a provider's report of tokens contradicts itself"
            );
        }
        let usage = reported.tokens;
        match self.cost_of(&usage, finished) {
            Some(cost) => self.charged(quote, usage, cost),
            None => {
                tracing::warn!(
                    model = self.model,
                    tier = finished.service_tier,
                    place = finished.place,
                    "an answer has no price at its tier and place, and is billed at its bound"
                );
                Used {
                    usage,
                    cost: quote.bound,
                    is_assumed: true,
                    overrun: None,
                }
            }
        }
    }

    /// Returns what an answer used at most that broke off, or whose tokens nobody told, but for those that are
    /// `known`. Where the model may have thought, or the answer was to come whole, nobody knows how far it was.
    pub(crate) fn used_of_part(
        &self,
        quote: &Quote,
        known: Option<TokenUsage>,
        seen: Seen,
    ) -> Used {
        let most = quote.most_output_tokens;
        let output = match seen {
            Seen::Bytes(bytes) if !self.may_think => most.min(bytes.saturating_add(IN_FLIGHT)),
            Seen::Bytes(_) | Seen::Nothing => most,
        };
        let Some(known) = known else {
            let limits = TokenLimits {
                prompt_tokens: quote.most_prompt_tokens,
                output_tokens: output,
            };
            let cost = self.price.cost_unknown(limits, self.terms());
            return Used {
                cost: cost.unwrap_or(quote.bound).min(quote.bound),
                is_assumed: true,
                ..Used::nothing()
            };
        };
        let usage = TokenUsage {
            output_tokens: known.output_tokens.max(output),
            ..known
        };
        let cost = self.price.cost(&usage, self.terms());
        Used {
            is_assumed: true,
            ..self.charged(quote, usage, cost.unwrap_or(quote.bound))
        }
    }

    /// Returns what a call used at most that gave no answer. Whoever refuses bills nothing, and neither does who
    /// was not reached; of what else becomes of a request nobody knows what it cost.
    pub(crate) fn used_by_failure(&self, quote: &Quote, error: &ProviderError) -> Used {
        match may_be_billed(error) {
            true => self.used_of_part(quote, None, Seen::at(error, 0)),
            false => Used::nothing(),
        }
    }

    /// Returns what an answer used at most that broke off after so many bytes, of whose tokens some were `known` when it
    /// began.
    pub(crate) fn used_until(
        &self,
        quote: &Quote,
        error: &ProviderError,
        (known, bytes): (Option<TokenUsage>, u64),
    ) -> Used {
        let told = match error {
            ProviderError::Interrupted { usage, .. } => *usage,
            _ => None,
        };
        self.used_of_part(quote, told.or(known), Seen::at(error, bytes))
    }

    fn charged(&self, quote: &Quote, usage: TokenUsage, cost: Picodollars) -> Used {
        let overrun = (cost > quote.bound).then(|| {
            format!(
                "{} counted {} tokens of prompt and {} of answer, where at most {} and {} were expected",
                self.provider.setup.name,
                usage.prompt_tokens(),
                usage.output_tokens,
                quote.most_prompt_tokens,
                quote.most_output_tokens
            )
        });
        Used {
            usage,
            cost,
            is_assumed: false,
            overrun,
        }
    }

    /// Computes the cost at the tier and the place that the provider says it served; at the dearest there is where
    /// that is not known. `None` where the price has nothing on it.
    fn cost_of(&self, usage: &TokenUsage, finished: &Finished) -> Option<Picodollars> {
        let region = match finished.place.as_deref() {
            // What is from before there were places has none to tell.
            None | Some("not_available") => self.provider.setup.region,
            Some("global") => Region::Global,
            Some(_) => Region::Regional,
        };
        let cost = |tier| self.price.cost(usage, Terms { tier, region }).ok();
        let tier = finished.service_tier.as_deref();
        match tier.map(known_tier) {
            None => cost(ServiceTier::Standard),
            Some(Some(tier)) => cost(tier),
            Some(None) => {
                tracing::warn!(
                    model = self.model,
                    tier,
                    "a provider served a tier that is not known"
                );
                ServiceTier::ALL.into_iter().filter_map(cost).max()
            }
        }
    }

    /// Returns what is paid for where the provider says nothing else.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            tier: ServiceTier::Standard,
            region: self.provider.setup.region,
        }
    }
}

fn known_tier(name: &str) -> Option<ServiceTier> {
    let tier: Result<_, NoTier> = ServiceTier::deserialize(name.into_deserializer());
    tier.ok()
}

fn may_be_billed(error: &ProviderError) -> bool {
    match error {
        ProviderError::Timeout { phase, .. } => *phase != Phase::Connect,
        ProviderError::Connection(ConnectionError::Failed(error)) => !error.is_connect(),
        ProviderError::Connection(ConnectionError::Ended)
        | ProviderError::Protocol(_)
        | ProviderError::Interrupted { .. } => true,
        ProviderError::Unsendable { .. } | ProviderError::Key(_) => false,
        // An error that comes after the head of an answer may come after some work.
        error => error.refusal().is_some_and(|refusal| refusal.status < 400),
    }
}
