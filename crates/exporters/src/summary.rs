use std::collections::BTreeMap;

use llmopt_telemetry::Latency;
use prometheus::proto::Histogram;

/// Histograms with the same buckets, as one: how many values were at most each bound.
#[derive(Default)]
pub(crate) struct Buckets {
    /// By the bits of the bound, which order positive numbers as they are.
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Buckets {
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for bucket in histogram.get_bucket() {
            let bound = bucket.upper_bound();
            if bound.is_finite() {
                *self.counts.entry(bound.to_bits()).or_default() += bucket.cumulative_count();
            }
        }
        self.total += histogram.get_sample_count();
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        Some(Latency {
            p50_ms: self.quantile(0.5)? * 1e3,
            p90_ms: self.quantile(0.9)? * 1e3,
            p99_ms: self.quantile(0.99)? * 1e3,
        })
    }

    /// Returns the value that a share of all values is at most, as Prometheus' `histogram_quantile` has it: values
    /// lie evenly in their bucket, and those beyond the last bound at it.
    fn quantile(&self, share: f64) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        let rank = share * self.total as f64;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.counts {
            let (bound, count) = (f64::from_bits(*bound), *count as f64);
            if count >= rank {
                return Some(lower + (bound - lower) * (rank - below) / (count - below));
            }
            (lower, below) = (bound, count);
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, core::Collector as _};

    use super::*;

    fn latency(values: &[(&str, f64)]) -> Option<Latency> {
        let options = HistogramOpts::new("a", "a").buckets(vec![0.1, 1.0, 10.0]);
        let histograms = HistogramVec::new(options, &["b"]).unwrap();
        for (label, value) in values {
            histograms.with_label_values(&[label]).observe(*value);
        }
        let mut buckets = Buckets::default();
        for family in histograms.collect() {
            for metric in family.get_metric() {
                buckets.add(metric.get_histogram());
            }
        }
        buckets.latency()
    }

    #[test]
    fn quantiles_are_those_of_all_histograms_together() {
        let values = [("x", 0.05), ("y", 0.05), ("x", 5.0), ("y", 5.0)];
        let latency = latency(&values).unwrap();
        assert_eq!(latency.p50_ms, 100.0);
        assert_eq!(latency.p90_ms, 1_000.0 + 9_000.0 * 0.8);
    }

    #[test]
    fn what_is_beyond_all_bounds_is_said_to_be_at_the_last() {
        assert_eq!(latency(&[("x", 50.0)]).unwrap().p50_ms, 10_000.0);
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(latency(&[]), None);
    }
}
