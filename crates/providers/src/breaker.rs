use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;

use crate::ProviderError;

/// When a provider is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Faults in a row after which it is.
    pub faults: u32,
    /// For how long at first; twice as long each time that it then fails again.
    pub cool_down: Duration,
    /// For how long at most.
    pub longest_cool_down: Duration,
}

impl Default for BreakerSettings {
    /// After five faults in a row, for five seconds, then ten, and for two minutes at most.
    fn default() -> Self {
        Self {
            faults: 5,
            cool_down: Duration::from_secs(5),
            longest_cool_down: Duration::from_secs(120),
        }
    }
}

/// Leaves a provider alone that fails again and again, and then tries it with one request at a time.
///
/// All times come from the caller, and must not go back.
#[derive(Debug)]
pub struct CircuitBreaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Requests go through; these many faults came last.
    Closed { faults: u32 },
    /// None does until then.
    Open { until: Instant, cool_down: Duration },
    /// One is under way, to see how the provider is. Where nothing is heard of it until then, another goes.
    Trying { until: Instant, cool_down: Duration },
}

/// A request is not to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the provider has failed again and again and is left alone")]
pub struct NotAdmitted {
    /// After which time to try again.
    pub retry_after: Duration,
}

/// Whether a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// It is.
    Closed,
    /// It failed again and again and is left alone.
    Open {
        /// For how long.
        retry_after: Duration,
    },
    /// It was left alone for long enough: one request goes, or is under way, to see how it is.
    Trying,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The provider works, whether or not it liked the request.
    Works,
    /// The provider is at fault.
    Fault,
}

impl From<&ProviderError> for Outcome {
    fn from(error: &ProviderError) -> Self {
        match error.is_fault_of_provider() {
            true => Self::Fault,
            false => Self::Works,
        }
    }
}

impl CircuitBreaker {
    /// Makes one that lets everything through.
    pub fn new(settings: BreakerSettings) -> Self {
        let state = Mutex::new(State::Closed { faults: 0 });
        Self { settings, state }
    }

    /// Asks whether a request may be sent now. What becomes of one that may is to be recorded.
    ///
    /// # Errors
    /// If the provider is to be left alone.
    pub fn admit(&self, now: Instant) -> Result<(), NotAdmitted> {
        let mut state = self.state.lock();
        let (until, cool_down) = match *state {
            State::Closed { .. } => return Ok(()),
            State::Open { until, cool_down } | State::Trying { until, cool_down } => {
                (until, cool_down)
            }
        };
        if now < until {
            let retry_after = until - now;
            return Err(NotAdmitted { retry_after });
        }
        *state = State::Trying {
            until: now + cool_down,
            cool_down,
        };
        Ok(())
    }

    /// Returns whether requests are sent, without asking for one.
    pub fn circuit(&self, now: Instant) -> Circuit {
        match *self.state.lock() {
            State::Closed { .. } => Circuit::Closed,
            State::Open { until, .. } if now < until => Circuit::Open {
                retry_after: until - now,
            },
            State::Open { .. } | State::Trying { .. } => Circuit::Trying,
        }
    }

    /// Records what became of a request.
    pub fn record(&self, outcome: Outcome, now: Instant) {
        let mut state = self.state.lock();
        *state = match (outcome, *state) {
            (Outcome::Works, State::Open { until, cool_down }) => {
                // It was sent before the faults; the next one that is sent will tell.
                State::Open { until, cool_down }
            }
            (Outcome::Works, _) => State::Closed { faults: 0 },
            (Outcome::Fault, State::Closed { faults }) => self.after_fault(faults + 1, now),
            (Outcome::Fault, State::Trying { cool_down, .. }) => {
                let cool_down = cool_down.saturating_mul(2);
                self.open(cool_down.min(self.settings.longest_cool_down), now)
            }
            (Outcome::Fault, open @ State::Open { .. }) => open,
        };
    }

    fn after_fault(&self, faults: u32, now: Instant) -> State {
        match faults < self.settings.faults {
            true => State::Closed { faults },
            false => self.open(self.settings.cool_down, now),
        }
    }

    fn open(&self, cool_down: Duration, now: Instant) -> State {
        let until = now + cool_down;
        State::Open { until, cool_down }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(BreakerSettings {
            faults: 3,
            cool_down: 4 * SECOND,
            longest_cool_down: 10 * SECOND,
        })
    }

    fn fail(breaker: &CircuitBreaker, times: u32, now: Instant) {
        (0..times).for_each(|_| breaker.record(Outcome::Fault, now));
    }

    #[test]
    fn faults_in_a_row_leave_the_provider_alone() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 2, now);
        breaker.record(Outcome::Works, now);
        fail(&breaker, 2, now);
        assert_eq!(breaker.admit(now), Ok(()));
        fail(&breaker, 1, now);
        let retry_after = 3 * SECOND;
        assert_eq!(
            breaker.admit(now + SECOND),
            Err(NotAdmitted { retry_after })
        );
    }

    #[test]
    fn one_request_at_a_time_tries_it_then() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        let later = now + 4 * SECOND;
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err());
        breaker.record(Outcome::Works, later);
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[test]
    fn a_trial_that_fails_makes_it_wait_longer_up_to_a_limit() {
        let (breaker, mut now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        for seconds in [4, 8, 10, 10] {
            let error = breaker.admit(now).unwrap_err();
            assert_eq!(error.retry_after, seconds * SECOND);
            now += seconds * SECOND;
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.record(Outcome::Fault, now);
        }
    }

    #[test]
    fn a_trial_of_which_nothing_is_heard_is_followed_by_another() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        assert_eq!(breaker.admit(now + 4 * SECOND), Ok(()));
        assert!(breaker.admit(now + 7 * SECOND).is_err());
        assert_eq!(breaker.admit(now + 8 * SECOND), Ok(()));
    }

    #[test]
    fn what_was_sent_before_does_not_bring_it_back() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        breaker.record(Outcome::Works, now);
        assert!(breaker.admit(now).is_err());
    }

    proptest! {
        #[test]
        fn it_is_never_closed_to_a_provider_that_works(
            steps in vec((any::<bool>(), 0..6_u32), 0..60),
        ) {
            let (breaker, mut now) = (breaker(), Instant::now());
            for (works, seconds) in steps {
                now += seconds * SECOND;
                if breaker.admit(now).is_ok() {
                    let outcome = if works { Outcome::Works } else { Outcome::Fault };
                    breaker.record(outcome, now);
                }
            }
            now += 10 * SECOND;
            prop_assert_eq!(breaker.admit(now), Ok(()));
            breaker.record(Outcome::Works, now);
            prop_assert_eq!(breaker.admit(now), Ok(()));
        }

        #[test]
        fn a_provider_in_trouble_gets_few_requests(waits in vec(0..3_u32, 1..200)) {
            let (breaker, start) = (breaker(), Instant::now());
            let (mut now, mut sent) = (start, 0);
            for seconds in waits {
                now += seconds * SECOND;
                if breaker.admit(now).is_ok() {
                    sent += 1;
                    breaker.record(Outcome::Fault, now);
                }
            }
            let trials = now.duration_since(start).as_secs() / 4;
            prop_assert!(sent <= 3 + trials, "{sent} in {:?}", now.duration_since(start));
        }
    }
}
