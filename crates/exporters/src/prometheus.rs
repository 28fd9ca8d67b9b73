use llmopt_telemetry::{
    AnswerEnd, CHAT, Kind, Meter, Metric, RefusalScope, RequestEnd, RequestSummary, metrics,
};
use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder,
    core::Collector, proto::MetricFamily,
};
use thiserror::Error;

use crate::{models::Models, summary::Buckets};

/// What [`PrometheusMeter::render`] gives.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why metrics cannot be had.
#[derive(Debug, Error)]
#[error("failed to keep metrics")]
pub struct MetricsError(#[from] prometheus::Error);

/// A [`Meter`] that keeps what it is told, for Prometheus to read.
///
/// A measurement takes a shared lock for as long as its series is looked up, and then adds to it; only the first
/// of a series keeps others waiting.
pub struct PrometheusMeter {
    registry: Registry,
    models: Models,
    durations: HistogramVec,
    active: GaugeVec,
    sizes: HistogramVec,
    cpu: HistogramVec,
    refusals: CounterVec,
    answers: HistogramVec,
    first_tokens: HistogramVec,
    output_tokens: HistogramVec,
    tokens: HistogramVec,
    costs: CounterVec,
    lookups: CounterVec,
    other_models: CounterVec,
}

/// What something is at the moment of a scrape.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What it is.
    pub metric: &'static Metric,
    /// The values of its labels, in their order.
    pub labels: Vec<String>,
    /// The value.
    pub value: f64,
}

impl PrometheusMeter {
    /// Begins to count.
    ///
    /// # Errors
    /// If a metric's name is none.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let meter = Self {
            models: Models::default(),
            durations: histogram(&registry, &metrics::REQUEST_DURATION)?,
            active: gauge(&registry, &metrics::ACTIVE_REQUESTS)?,
            sizes: histogram(&registry, &metrics::RESPONSE_SIZE)?,
            cpu: histogram(&registry, &metrics::REQUEST_CPU)?,
            refusals: counter(&registry, &metrics::REFUSALS)?,
            answers: histogram(&registry, &metrics::ANSWER_DURATION)?,
            first_tokens: histogram(&registry, &metrics::FIRST_TOKEN)?,
            output_tokens: histogram(&registry, &metrics::OUTPUT_TOKEN)?,
            tokens: histogram(&registry, &metrics::TOKEN_USAGE)?,
            costs: counter(&registry, &metrics::COST)?,
            lookups: counter(&registry, &metrics::CACHE_LOOKUPS)?,
            other_models: counter(&registry, &metrics::OTHER_MODELS)?,
            registry,
        };
        // What is to be alarmed about is there before it happens: a rate wants two values.
        for scope in RefusalScope::ALL {
            meter.refusals.with_label_values(&[scope.as_str()]);
        }
        meter.other_models.with_label_values::<&str>(&[]);
        Ok(meter)
    }

    /// Renders everything that was counted, and `readings`.
    ///
    /// # Errors
    /// If a reading has not the labels of its metric.
    pub fn render(&self, readings: &[Reading]) -> Result<String, MetricsError> {
        let mut families = self.registry.gather();
        families.extend(read(readings)?);
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }

    fn model<'a>(&self, model: Option<&'a str>) -> &'a str {
        let Some(model) = model else {
            return "";
        };
        let label = self.models.label(model);
        if label != model {
            self.other_models.with_label_values::<&str>(&[]).inc();
        }
        label
    }
}

impl Meter for PrometheusMeter {
    fn begin(&self, method: &'static str) {
        self.active.with_label_values(&[method]).inc();
    }

    fn request(&self, end: &RequestEnd<'_>) {
        let (method, route) = (end.method, end.route.unwrap_or_default());
        let status = end.status.map_or_else(String::new, |it| it.to_string());
        let error = end.error.unwrap_or_default();
        self.active.with_label_values(&[method]).dec();
        self.durations
            .with_label_values(&[method, route, &status, error])
            .observe(end.duration.as_secs_f64());
        let own = [method, route];
        self.sizes.with_label_values(&own).observe(end.bytes as f64);
        self.cpu
            .with_label_values(&own)
            .observe(end.cpu.as_secs_f64());
    }

    fn refusal(&self, scope: RefusalScope) {
        self.refusals.with_label_values(&[scope.as_str()]).inc();
    }

    fn answer(&self, end: &AnswerEnd<'_>) {
        let (provider, model) = (end.provider, self.model(end.model));
        let error = end.outcome.err().unwrap_or_default();
        self.answers
            .with_label_values(&[CHAT, provider, model, error])
            .observe(end.duration.as_secs_f64());
        let Ok(used) = end.outcome else {
            return;
        };
        let own = [CHAT, provider, model];
        self.first_tokens
            .with_label_values(&own)
            .observe(used.first_token.as_secs_f64());
        if let Some(each) = end.output_token() {
            self.output_tokens
                .with_label_values(&own)
                .observe(each.as_secs_f64());
        }
        for (kind, tokens) in [("input", used.input_tokens), ("output", used.output_tokens)] {
            self.tokens
                .with_label_values(&[CHAT, provider, model, kind])
                .observe(tokens as f64);
        }
        self.costs
            .with_label_values(&[provider, model])
            .inc_by(used.cost_picodollars as f64 / 1e12);
        if let Some(cached) = used.cached {
            let result = if cached { "hit" } else { "miss" };
            self.lookups.with_label_values(&[model, result]).inc();
        }
    }

    fn requests(&self) -> Option<RequestSummary> {
        Some(summary(&self.durations.collect(), &self.active.collect()))
    }
}

fn summary(durations: &[MetricFamily], active: &[MetricFamily]) -> RequestSummary {
    let mut buckets = Buckets::default();
    let mut by_status = [
        ("1xx", 0),
        ("2xx", 0),
        ("3xx", 0),
        ("4xx", 0),
        ("5xx", 0),
        ("cancelled", 0),
    ];
    for metric in durations.iter().flat_map(|family| family.get_metric()) {
        let histogram = metric.get_histogram();
        let status = metric.get_label().iter().find_map(|label| {
            (label.name() == "http_response_status_code").then(|| label.value().to_owned())
        });
        let class = status.and_then(|status| status.chars().next()?.to_digit(10));
        let place = class.map_or(5, |class| (class as usize).clamp(1, 5) - 1);
        by_status[place].1 += histogram.get_sample_count();
        buckets.add(histogram);
    }
    let active = active.iter().flat_map(|family| family.get_metric());
    RequestSummary {
        total: by_status.iter().map(|(_, count)| count).sum(),
        by_status: by_status.to_vec(),
        active: active
            .map(|it| it.get_gauge().get_value().max(0.0) as u64)
            .sum(),
        latency: buckets.latency(),
    }
}

/// Gives readings the form of what is kept, in a registry that lives as long as the scrape.
fn read(readings: &[Reading]) -> Result<Vec<MetricFamily>, MetricsError> {
    let registry = Registry::new();
    for metric in metrics::ALL {
        let own = || readings.iter().filter(|it| it.metric.name == metric.name);
        if own().next().is_none() {
            continue;
        }
        match metric.kind {
            Kind::Counter => {
                let counter = counter(&registry, metric)?;
                for reading in own() {
                    let series = counter.get_metric_with_label_values(&reading.labels)?;
                    series.inc_by(reading.value);
                }
            }
            _ => {
                let gauge = gauge(&registry, metric)?;
                for reading in own() {
                    let series = gauge.get_metric_with_label_values(&reading.labels)?;
                    series.set(reading.value);
                }
            }
        }
    }
    Ok(registry.gather())
}

fn counter(registry: &Registry, metric: &Metric) -> Result<CounterVec, MetricsError> {
    let options = Opts::new(metric.prometheus(), metric.meaning);
    let labels = metric.prometheus_labels();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    registered(registry, CounterVec::new(options, &labels)?)
}

fn gauge(registry: &Registry, metric: &Metric) -> Result<GaugeVec, MetricsError> {
    let options = Opts::new(metric.prometheus(), metric.meaning);
    let labels = metric.prometheus_labels();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    registered(registry, GaugeVec::new(options, &labels)?)
}

fn histogram(registry: &Registry, metric: &Metric) -> Result<HistogramVec, MetricsError> {
    let mut options = HistogramOpts::new(metric.prometheus(), metric.meaning);
    if let Kind::Histogram(buckets) = metric.kind {
        options = options.buckets(buckets.to_vec());
    }
    let labels = metric.prometheus_labels();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    registered(registry, HistogramVec::new(options, &labels)?)
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, MetricsError> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests;
