use parking_lot::Mutex;

/// Counts what is sent again, so that a provider in trouble does not get many times the traffic.
pub trait RetryBudget: Send + Sync {
    /// Takes one retry. Returns whether there was one.
    fn withdraw(&self) -> bool;
}

/// No limit.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

impl RetryBudget for Unlimited {
    fn withdraw(&self) -> bool {
        true
    }
}

/// A share of the traffic of this process, and a few retries for when there is little.
#[derive(Debug)]
pub struct SharedRetryBudget {
    percent: u32,
    most: u64,
    /// What there is, in hundredths of a retry.
    hundredths: Mutex<u64>,
}

impl SharedRetryBudget {
    /// What a budget holds at most, in retries, besides those it starts with.
    const SAVED: u64 = 100;

    /// Makes a budget of `percent` retries for a hundred requests, and of `at_first` before any.
    pub fn new(percent: u32, at_first: u32) -> Self {
        let at_first = u64::from(at_first) * 100;
        Self {
            percent,
            most: at_first + Self::SAVED * 100,
            hundredths: Mutex::new(at_first),
        }
    }

    /// Counts a request of a user's; attempts after its first are none.
    pub fn deposit(&self) {
        let mut hundredths = self.hundredths.lock();
        *hundredths = self.most.min(*hundredths + u64::from(self.percent));
    }
}

impl RetryBudget for SharedRetryBudget {
    fn withdraw(&self) -> bool {
        let mut hundredths = self.hundredths.lock();
        let left = hundredths.checked_sub(100);
        *hundredths = left.unwrap_or(*hundredths);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn retries_are_a_share_of_the_requests(
            percent in 0..50_u32, at_first in 0..10_u32, retries in vec(any::<bool>(), 0..600),
        ) {
            let budget = SharedRetryBudget::new(percent, at_first);
            let (mut requests, mut granted) = (0_u64, 0_u64);
            for is_retry in retries {
                if is_retry {
                    granted += u64::from(budget.withdraw());
                } else {
                    requests += 1;
                    budget.deposit();
                }
                let allowed = u64::from(at_first) * 100 + requests * u64::from(percent);
                prop_assert!(granted * 100 <= allowed);
            }
        }
    }

    #[test]
    fn a_tenth_of_the_traffic_may_be_sent_again() {
        let budget = SharedRetryBudget::new(10, 0);
        (0..9).for_each(|_| budget.deposit());
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
    }

    #[test]
    fn a_quiet_day_saves_no_more_than_a_hundred_retries() {
        let budget = SharedRetryBudget::new(50, 3);
        (0..10_000).for_each(|_| budget.deposit());
        let granted = (0..1000).filter(|_| budget.withdraw()).count();
        assert_eq!(granted, 103);
    }
}
