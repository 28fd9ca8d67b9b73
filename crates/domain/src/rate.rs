use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

/// How often something may happen: once each period on average, and so many times at once.
///
/// This is the generic cell rate algorithm. Each event takes a slot of one period on the line of time, no
/// two the same, which has not begun when the event happens and begins within the burst: in any time `t`
/// at most `burst + t / period` events can have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// Microseconds from one event to the next on average.
    pub period_us: NonZeroU64,
    /// Events at once.
    pub burst: NonZeroU32,
}

/// How long slots may be held back at most, in microseconds.
pub const LONGEST_HOLD_US: u64 = 3_600_000_000;

/// Slots that were taken, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// When the first begins, in microseconds since 1970.
    pub begin_us: u64,
    /// When the last ends, and the first free one begins.
    pub end_us: u64,
}

/// No slot is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSlot {
    /// Microseconds until there is.
    pub wait_us: u64,
}

impl Rate {
    /// Returns `count` events in each minute, and as many at once.
    pub fn per_minute(count: NonZeroU32) -> Self {
        let period = 60_000_000_u64.div_ceil(count.get().into());
        Self {
            period_us: NonZeroU64::new(period).unwrap_or(NonZeroU64::MIN),
            burst: count,
        }
    }

    /// Takes `count` slots at `now_us`, where the first free one begins at `free_us`. More than fit into
    /// the burst are never free.
    ///
    /// # Errors
    /// [`NoSlot`] where they are not all free.
    pub fn take(self, free_us: u64, now_us: u64, count: NonZeroU32) -> Result<Slots, NoSlot> {
        let begin_us = self.first_free(free_us, now_us);
        let end_us = begin_us.saturating_add(self.span_us(count.get()));
        let latest = now_us.saturating_add(self.span_us(self.burst.get()));
        match end_us.checked_sub(latest) {
            None | Some(0) => Ok(Slots { begin_us, end_us }),
            Some(wait_us) => Err(NoSlot { wait_us }),
        }
    }

    /// Returns how many slots are free at `now_us`, where the first of them begins at `free_us`.
    pub fn free(self, free_us: u64, now_us: u64) -> u32 {
        let latest = now_us.saturating_add(self.span_us(self.burst.get()));
        let free = latest.saturating_sub(self.first_free(free_us, now_us)) / self.period_us;
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// Returns the last moment, in microseconds since 1970, that the first free slot can begin at. What says
    /// more was written by a clock that was wrong.
    pub fn absurd_us(self, now_us: u64) -> u64 {
        let latest = now_us.saturating_add(self.span_us(self.burst.get()));
        latest.saturating_add(LONGEST_HOLD_US)
    }

    fn first_free(self, free_us: u64, now_us: u64) -> u64 {
        if free_us > self.absurd_us(now_us) {
            return now_us;
        }
        free_us.max(now_us)
    }

    /// Returns how long `count` slots are together.
    pub fn span_us(self, count: u32) -> u64 {
        self.period_us.get().saturating_mul(count.into())
    }
}

impl Slots {
    /// Takes the first slot of these out that has not begun at `now_us`, if there is one.
    pub fn next(&mut self, now_us: u64, rate: Rate) -> Option<u64> {
        let period = rate.period_us.get();
        let passed = now_us.saturating_sub(self.begin_us).div_ceil(period);
        let begin = self.begin_us.checked_add(passed.checked_mul(period)?)?;
        let end = begin.checked_add(period)?;
        self.begin_us = end.min(self.end_us);
        (end <= self.end_us).then_some(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000;

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn rate(period_us: u64, burst: u32) -> Rate {
        Rate {
            period_us: NonZeroU64::new(period_us).unwrap(),
            burst: count(burst),
        }
    }

    /// Takes one slot at each of `times` and returns which were granted.
    fn granted(rate: Rate, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut free_us = 0;
        let mut granted = Vec::new();
        for now_us in times {
            if let Ok(slots) = rate.take(free_us, now_us, count(1)) {
                free_us = slots.end_us;
                granted.push(now_us);
            }
        }
        granted
    }

    #[test]
    fn with_the_clock_frozen_exactly_the_burst_passes() {
        let granted = granted(rate(1_000, 7), [NOW; 100]);
        assert_eq!(granted.len(), 7);
    }

    #[test]
    fn whoever_waits_as_told_passes() {
        let rate = rate(1_000, 3);
        let full = rate.take(0, NOW, count(3)).unwrap();
        assert_eq!((full.begin_us, full.end_us), (NOW, NOW + 3_000));
        let NoSlot { wait_us } = rate.take(full.end_us, NOW + 400, count(1)).unwrap_err();
        assert_eq!(wait_us, 600);
        assert!(rate.take(full.end_us, NOW + 999, count(1)).is_err());
        assert!(rate.take(full.end_us, NOW + 1_000, count(1)).is_ok());
    }

    #[test]
    fn no_window_has_more_than_burst_and_rate_and_a_busy_one_has_hardly_less() {
        let (period, burst) = (1_000, 5);
        // Requests come in clumps, with gaps that let the burst come back.
        let mut times = Vec::new();
        let mut now = NOW;
        let mut seed: u64 = 7;
        for _ in 0..4_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += match seed >> 60 {
                0 => 9_000,
                step => step * 20,
            };
            times.push(now);
        }
        let granted = granted(rate(period, burst), times.iter().copied());
        for (at, first) in granted.iter().enumerate() {
            for (further, last) in granted[at..].iter().enumerate() {
                let most = u64::from(burst) + (last - first) / period;
                assert!((further as u64) < most, "{further} from {first} to {last}");
            }
        }
        let busy = granted_all_the_time(rate(period, burst), 1_000_000);
        assert!(busy >= 995 + 5, "{busy}");
    }

    fn granted_all_the_time(rate: Rate, time_us: u64) -> usize {
        granted(rate, (NOW..NOW + time_us).step_by(50)).len()
    }

    #[test]
    fn what_is_free_is_what_can_be_taken() {
        let rate = rate(1_000, 10);
        for free_us in [
            0,
            NOW - 1,
            NOW,
            NOW + 1,
            NOW + 2_500,
            NOW + 9_999,
            NOW + 50_000,
        ] {
            let free = rate.free(free_us, NOW);
            assert!(free == 0 || rate.take(free_us, NOW, count(free)).is_ok());
            assert!(rate.take(free_us, NOW, count(free + 1)).is_err());
        }
    }

    #[test]
    fn what_a_wrong_clock_wrote_holds_up_nobody() {
        let rate = rate(1_000, 10);
        let a_day_ahead = NOW + 24 * LONGEST_HOLD_US;
        assert_eq!(rate.take(a_day_ahead, NOW, count(1)).unwrap().begin_us, NOW);
        assert!(rate.take(NOW + LONGEST_HOLD_US, NOW, count(1)).is_err());
    }

    #[test]
    fn slots_that_have_begun_are_lost() {
        let rate = rate(1_000, 10);
        let mut slots = rate.take(0, NOW, count(4)).unwrap();
        assert_eq!(slots.next(NOW, rate), Some(NOW));
        assert_eq!(slots.next(NOW, rate), Some(NOW + 1_000));
        assert_eq!(slots.next(NOW + 2_001, rate), Some(NOW + 3_000));
        assert_eq!(slots.next(NOW + 2_001, rate), None);
        let mut late = rate.take(0, NOW, count(4)).unwrap();
        assert_eq!(late.next(NOW + 3_001, rate), None);
        assert_eq!(late.next(NOW, rate), None);
    }

    #[test]
    fn a_rate_of_each_minute_has_its_period() {
        let rate = Rate::per_minute(count(120));
        assert_eq!((rate.period_us.get(), rate.burst.get()), (500_000, 120));
    }
}
