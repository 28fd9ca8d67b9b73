use std::{
    num::{NonZeroU32, NonZeroU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llmopt_domain::Rate;
use llmopt_providers::{RateHeaders, RateState};

use crate::{
    CommercialError, Inner, ModelLimits, Question, Quote, WhenLimited, ask::FIRST_RETRIES,
    catalog::Candidate,
};

/// What a provider without a limit is taken to be asked for in a minute, where a part of that is wanted.
const UNLIMITED: u32 = 600;

/// A limit that a question has to wait for.
struct TurnLimit {
    /// What it is kept by, for all processes.
    id: String,
    rate: Rate,
    count: NonZeroU32,
    /// What it is of.
    of: LimitOf,
}

enum LimitOf {
    /// The key that asks, which may use so many tokens a minute.
    Key(NonZeroU32),
    /// A provider, or a model of it: in words, for people.
    Provider(String),
}

impl Inner {
    /// Waits until the question may be sent, as far as the limits of its key, its provider and its model say; all
    /// processes stand in the same line. Returns how long it waited.
    ///
    /// # Errors
    /// [`CommercialError::Limited`] or [`CommercialError::KeyLimited`] if its turn is further away than anyone waits: it
    /// takes none then, but for those of the limits that were looked at before.
    pub(crate) async fn wait_for_turn(
        &self,
        candidate: &Candidate,
        quote: &Quote,
        question: &Question,
    ) -> Result<Duration, CommercialError> {
        let now_us = now_us();
        let mut turn_us = now_us;
        for limit in limits(candidate, quote, question)? {
            let taken = self.take(candidate, &limit, now_us).await;
            let is_sent_back = matches!(taken, Err(CommercialError::Limited { .. }))
                && question.when_limited == WhenLimited::SendBack;
            if is_sent_back {
                candidate.provider.note_refusal(&*self.alerts).await;
            }
            turn_us = turn_us.max(taken?);
        }
        let wait = Duration::from_micros(turn_us - now_us);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(wait)
    }

    /// Takes the next turn of a limit, and returns when it is.
    async fn take(
        &self,
        candidate: &Candidate,
        limit: &TurnLimit,
        now_us: u64,
    ) -> Result<u64, CommercialError> {
        // Whoever waits has taken a slot that comes later than the burst allows, and goes when it does not.
        let ahead = self.policy.longest_wait.as_micros() / u128::from(limit.rate.period_us.get());
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let rate = Rate {
            burst: limit.rate.burst.saturating_add(ahead),
            ..limit.rate
        };
        let taken = self.rates.take(&limit.id, rate, now_us, limit.count).await;
        match taken.map_err(CommercialError::Rates)? {
            Ok(slots) => {
                let early = limit.rate.span_us(limit.rate.burst.get());
                Ok(slots.end_us.saturating_sub(early).max(now_us))
            }
            Err(refused) => {
                let wait = Duration::from_micros(refused.wait_us);
                let name = match &limit.of {
                    LimitOf::Key(limit) => {
                        let limit = limit.get();
                        return Err(CommercialError::KeyLimited { limit, wait });
                    }
                    LimitOf::Provider(name) => name,
                };
                Err(CommercialError::Limited {
                    provider: candidate.provider.setup.name.clone(),
                    limit: name.clone(),
                    wait,
                })
            }
        }
    }

    /// Returns whether a call may be made again, as far as all processes together are concerned: a provider in trouble is
    /// not to be asked three times as often because many processes ask it.
    pub(crate) async fn may_call_again(&self, candidate: &Candidate) -> bool {
        let limit = candidate.provider.setup.limits.requests_per_minute;
        let asked = u64::from(limit.map_or(UNLIMITED, NonZeroU32::get));
        let again = (asked * u64::from(self.policy.retry_percent)).div_ceil(100);
        let again = u32::try_from(again).ok().and_then(NonZeroU32::new);
        let again = again.unwrap_or(NonZeroU32::MIN);
        let rate = Rate {
            burst: again.saturating_add(FIRST_RETRIES),
            ..Rate::per_minute(again)
        };
        let id = format!("{}/retries", candidate.line());
        match self.rates.take(&id, rate, now_us(), NonZeroU32::MIN).await {
            Ok(taken) => taken.is_ok(),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "how many calls are made again is counted by this process alone"
                );
                true
            }
        }
    }

    /// Has nobody ask a provider before it wants to be asked again, or before it has as many tokens as such a question
    /// takes.
    pub(crate) async fn learn(
        &self,
        candidate: &Candidate,
        quote: &Quote,
        (rate, retry_after): (&RateHeaders, Option<Duration>),
    ) {
        let of_requests = until_enough(&rate.requests, 1);
        let (input, output) = (quote.estimated_prompt_tokens, quote.most_output_tokens);
        let tokens = [
            (&rate.tokens, input.saturating_add(output)),
            (&rate.input_tokens, input),
            (&rate.output_tokens, output),
        ];
        let of_tokens = tokens
            .into_iter()
            .filter_map(|(state, wanted)| until_enough(state, wanted))
            .max();
        let wait = retry_after.max(of_requests).max(of_tokens);
        let Some(wait) = wait.filter(|wait| !wait.is_zero()) else {
            return;
        };
        let (own, all) = (candidate.own_limits(), candidate.provider.setup.limits);
        let (id, limit) = match (own.requests_per_minute, all.requests_per_minute) {
            // What a provider says of its limits is mostly of one model.
            (Some(limit), _) => (candidate.model_line(), limit),
            (None, Some(limit)) => (candidate.line(), limit),
            (None, None) => return,
        };
        // Slots are given out a burst ahead of their time: the first that is free is to be the burst's last.
        let ahead_us = Rate::per_minute(limit).span_us(limit.get() - 1);
        let wait_us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        let until_us = now_us().saturating_add(wait_us).saturating_add(ahead_us);
        if let Err(error) = self.rates.hold(&id, until_us).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "what a provider says of its limit is not kept");
        }
    }
}

impl Candidate {
    fn own_limits(&self) -> ModelLimits {
        let limits = self.provider.setup.models.get(&self.model);
        limits.copied().unwrap_or_default()
    }

    fn line(&self) -> String {
        format!("provider/{}", self.provider.setup.name)
    }

    fn model_line(&self) -> String {
        format!("{}/{}", self.line(), self.model)
    }
}

/// Returns the limits that a question is under, those of the key first and of the model next: whoever may not ask
/// takes no turn from others.
fn limits(
    candidate: &Candidate,
    quote: &Quote,
    question: &Question,
) -> Result<Vec<TurnLimit>, CommercialError> {
    let wanted = quote
        .estimated_prompt_tokens
        .saturating_add(quote.most_output_tokens);
    let mut found = Vec::new();
    if let Some(limit) = question.asker.tokens_per_minute {
        found.push(TurnLimit {
            id: format!("key/{}/tokens", question.asker.key),
            rate: tokens_per_minute(limit),
            count: within(limit, wanted, "the key")?,
            of: LimitOf::Key(limit),
        });
    }
    let name = &candidate.provider.setup.name;
    let scopes = [
        (
            candidate.own_limits(),
            candidate.model_line(),
            format!("{name}, {}", candidate.model),
        ),
        (
            candidate.provider.setup.limits,
            candidate.line(),
            name.clone(),
        ),
    ];
    for (limits, id, of) in scopes {
        if let Some(limit) = limits.requests_per_minute {
            found.push(TurnLimit {
                id: id.clone(),
                rate: Rate::per_minute(limit),
                count: NonZeroU32::MIN,
                of: LimitOf::Provider(format!("{limit} requests a minute ({of})")),
            });
        }
        if let Some(limit) = limits.tokens_per_minute {
            found.push(TurnLimit {
                id: format!("{id}/tokens"),
                rate: tokens_per_minute(limit),
                count: within(limit, wanted, name)?,
                of: LimitOf::Provider(format!("{limit} tokens a minute ({of})")),
            });
        }
    }
    Ok(found)
}

/// Returns the tokens that are wanted, where `of` may use so many in a minute.
fn within(limit: NonZeroU32, wanted: u64, of: &str) -> Result<NonZeroU32, CommercialError> {
    let count = u32::try_from(wanted)
        .ok()
        .filter(|count| *count <= limit.get());
    let count = count.ok_or_else(|| CommercialError::OverTokenLimit {
        of: of.to_owned(),
        wanted,
        limit: limit.get(),
    })?;
    Ok(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
}

/// Returns the rate of so many tokens in a minute. Microseconds are too coarse for millions of them: then it is a
/// little slower.
fn tokens_per_minute(limit: NonZeroU32) -> Rate {
    let period = 60_000_000_u64.div_ceil(limit.get().into());
    Rate {
        period_us: NonZeroU64::new(period).unwrap_or(NonZeroU64::MIN),
        burst: limit,
    }
}

/// Returns how long it takes until a limit has so much again, where it has nothing: it fills up evenly.
fn until_enough(state: &RateState, wanted: u64) -> Option<Duration> {
    let full = state.reset_after.filter(|_| state.is_exhausted())?;
    let Some(limit) = state.limit.filter(|limit| *limit > wanted) else {
        return Some(full);
    };
    let part = full.as_micros().saturating_mul(wanted.into()) / u128::from(limit);
    Some(Duration::from_micros(u64::try_from(part).unwrap_or(u64::MAX)).min(full))
}

/// Returns the time now, in microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_tokens_is_waited_for_until_there_are_enough() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let used_up = RateState {
            limit: Some(150_000),
            remaining: Some(0),
            reset_after: Some(minutes(6)),
        };
        assert_eq!(until_enough(&used_up, 50_000), Some(minutes(2)));
        assert_eq!(until_enough(&used_up, 200_000), Some(minutes(6)));
        assert_eq!(
            until_enough(&used_up, 1),
            Some(Duration::from_micros(2_400))
        );
        let unknown = RateState {
            limit: None,
            ..used_up
        };
        assert_eq!(until_enough(&unknown, 1), Some(minutes(6)));
        let left = RateState {
            remaining: Some(1),
            ..used_up
        };
        assert_eq!(until_enough(&left, 50_000), None);
    }
}
