use std::time::Duration;

use crate::{ProviderError, RetryBudget};

/// When a request that failed is sent again. It decides only; who asks waits and sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts at most, the first included.
    pub max_attempts: u32,
    /// What is waited after the first attempt, on average three quarters of it, and twice that after each next.
    pub base: Duration,
    /// What that grows to at most.
    pub cap: Duration,
    /// The longest time that a provider may ask to be left alone before it is not asked again at all.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// What the official clients do: three attempts, from half a second to eight, and two minutes at most of what
    /// a provider asks for.
    fn default() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            longest_retry_after: Duration::from_secs(120),
        }
    }
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Which, from 1.
    pub number: u32,
    /// Why.
    pub error: &'a ProviderError,
    /// What is left of the time that the caller has.
    pub time_left: Duration,
    /// A random number from 0 up to 1, which spreads callers that failed together.
    pub random: f64,
}

/// What to do after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Wait this long, and send it again.
    After(Duration),
    /// Leave it.
    No(NoRetry),
}

/// Why a request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoRetry {
    /// It would fail again, or a part of the answer was passed on.
    Useless,
    /// It was sent often enough.
    Attempts,
    /// The provider wants to be left alone for longer than anyone waits.
    RetryAfter,
    /// The caller's time would be over.
    Time,
    /// Too many requests are sent again already.
    Budget,
}

impl RetryPolicy {
    /// Decides. Takes from `budget` only where it says to send again.
    ///
    /// What the provider asks for is the least that is waited, and the growing time comes on top: where a limit
    /// is of so many requests a minute, all that came too early would otherwise come together again.
    pub fn decide(&self, attempt: Attempt<'_>, budget: &dyn RetryBudget) -> Retry {
        if !attempt.error.is_retryable_before_first_byte() {
            return Retry::No(NoRetry::Useless);
        }
        if attempt.number >= self.max_attempts {
            return Retry::No(NoRetry::Attempts);
        }
        let floor = attempt.error.retry_after().unwrap_or_default();
        if floor > self.longest_retry_after {
            return Retry::No(NoRetry::RetryAfter);
        }
        let wait = floor.saturating_add(self.backoff(attempt.number, attempt.random));
        if wait >= attempt.time_left {
            return Retry::No(NoRetry::Time);
        }
        match budget.withdraw() {
            true => Retry::After(wait),
            false => Retry::No(NoRetry::Budget),
        }
    }

    /// Returns a time between the half and the whole of what has grown by then.
    fn backoff(&self, number: u32, random: f64) -> Duration {
        let doublings = number.saturating_sub(1).min(31);
        let grown = self.base.saturating_mul(1 << doublings).min(self.cap);
        let is_share = (0.0..=1.0).contains(&random);
        let half = grown / 2;
        let above = half.mul_f64(if is_share { random } else { 1.0 });
        half.saturating_add(above).min(grown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{LimitScope, Phase, Refusal, Unlimited, retry_budget::SharedRetryBudget};

    fn limited(retry_after: Option<Duration>) -> ProviderError {
        ProviderError::RateLimited {
            scope: LimitScope::Requests,
            refusal: Box::new(Refusal {
                retry_after,
                ..Refusal::default()
            }),
        }
    }

    fn attempt(error: &ProviderError, number: u32) -> Attempt<'_> {
        Attempt {
            number,
            error,
            time_left: Duration::from_secs(600),
            random: 0.5,
        }
    }

    #[test]
    fn what_cannot_work_is_not_sent_again() {
        let refusal = || Box::<Refusal>::default();
        let cut = Box::new(ProviderError::ended());
        let useless = [
            ProviderError::QuotaExhausted(refusal()),
            ProviderError::Authentication(refusal()),
            ProviderError::Permission(refusal()),
            ProviderError::Invalid(refusal()),
            ProviderError::TooLarge(refusal()),
            ProviderError::Protocol(String::new()),
            ProviderError::Interrupted {
                cause: cut,
                usage: None,
            },
            ProviderError::Timeout {
                phase: Phase::Total,
                limit: Duration::ZERO,
            },
        ];
        for error in useless {
            let decided = RetryPolicy::default().decide(attempt(&error, 1), &Unlimited);
            assert_eq!(decided, Retry::No(NoRetry::Useless), "{error:?}");
        }
    }

    #[test]
    fn a_request_is_sent_so_often_and_for_so_long() {
        let policy = RetryPolicy::default();
        let error = limited(None);
        let decide = |number| policy.decide(attempt(&error, number), &Unlimited);
        assert_eq!(decide(1), Retry::After(Duration::from_millis(375)));
        assert_eq!(decide(2), Retry::After(Duration::from_millis(750)));
        assert_eq!(decide(3), Retry::No(NoRetry::Attempts));
        let hurried = Attempt {
            time_left: Duration::from_millis(375),
            ..attempt(&error, 1)
        };
        assert_eq!(policy.decide(hurried, &Unlimited), Retry::No(NoRetry::Time));
        let tomorrow = limited(Some(Duration::from_secs(121)));
        let decided = policy.decide(attempt(&tomorrow, 1), &Unlimited);
        assert_eq!(decided, Retry::No(NoRetry::RetryAfter));
    }

    #[test]
    fn only_a_retry_is_taken_from_the_budget() {
        let budget = SharedRetryBudget::new(0, 1);
        let policy = RetryPolicy::default();
        let error = limited(None);
        let last = policy.decide(attempt(&error, 3), &budget);
        assert_eq!(last, Retry::No(NoRetry::Attempts));
        assert!(matches!(
            policy.decide(attempt(&error, 1), &budget),
            Retry::After(_)
        ));
        let spent = policy.decide(attempt(&error, 1), &budget);
        assert_eq!(spent, Retry::No(NoRetry::Budget));
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_the_provider_asks(
            retry_after in prop::option::of(0..=120_u64), number in 1..3_u32, random in 0.0..1.0_f64,
        ) {
            let policy = RetryPolicy::default();
            let floor = retry_after.map(Duration::from_secs);
            let error = limited(floor);
            let decided = policy.decide(Attempt { random, ..attempt(&error, number) }, &Unlimited);
            let Retry::After(wait) = decided else {
                panic!("{decided:?}");
            };
            let above = wait - floor.unwrap_or_default();
            prop_assert!(above >= policy.base / 2);
            prop_assert!(above <= policy.cap);
        }

        #[test]
        fn no_number_of_attempts_or_randomness_breaks_it(
            number: u32, random: f64, base in 0..u64::MAX, cap in 0..=u64::MAX,
        ) {
            let policy = RetryPolicy {
                max_attempts: u32::MAX,
                base: Duration::from_millis(base),
                cap: Duration::from_secs(cap),
                ..RetryPolicy::default()
            };
            let error = limited(None);
            let time_left = Duration::MAX;
            let decided = policy.decide(Attempt { random, time_left, ..attempt(&error, number) }, &Unlimited);
            let fits = match decided {
                Retry::After(wait) => wait <= policy.cap,
                Retry::No(why) => number == u32::MAX && why == NoRetry::Attempts,
            };
            prop_assert!(fits, "{decided:?}");
        }
    }
}
