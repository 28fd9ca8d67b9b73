//! The learning rate over a run.

use llmopt_domain::Schedule;

/// Returns the learning rate of the step after `taken` steps of `total`.
///
/// Rises in a straight line from zero over `warmup` steps, then falls to zero as `schedule` says:
/// the same numbers as transformers' `get_linear_schedule_with_warmup` and its cosine sibling.
pub fn learning_rate(schedule: Schedule, peak: f64, taken: u64, warmup: u64, total: u64) -> f64 {
    if taken < warmup {
        return peak * taken as f64 / warmup as f64;
    }
    let progress = (taken - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    match schedule {
        Schedule::Linear => peak * (1.0 - progress).max(0.0),
        Schedule::Cosine => peak * (0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())),
    }
}

/// Returns the number of warm-up steps, rounded up.
pub fn warmup_steps(ratio: f64, total: u64) -> u64 {
    (ratio * total as f64).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_from_zero_and_falls_to_zero() {
        let rate = |taken| learning_rate(Schedule::Linear, 1.0, taken, 10, 110);
        assert_eq!(
            (rate(0), rate(5), rate(10), rate(60), rate(110)),
            (0.0, 0.5, 1.0, 0.5, 0.0)
        );
        let rate = |taken| learning_rate(Schedule::Cosine, 2.0, taken, 0, 100);
        assert_eq!(rate(0), 2.0);
        assert!((rate(50) - 1.0).abs() < 1e-12 && rate(100).abs() < 1e-12);
    }
}
