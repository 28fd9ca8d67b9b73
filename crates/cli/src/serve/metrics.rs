use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use llmopt_exporters::{MetricsError, PrometheusMeter, Reading, TEXT_FORMAT};
use llmopt_http::{Code, Problem};
use llmopt_service::{Health, Status};
use llmopt_telemetry::{Metric, metrics};

/// What is scraped, and as whose.
#[derive(Clone)]
pub(crate) struct Scraped {
    pub(crate) meter: Arc<PrometheusMeter>,
    pub(crate) health: Health,
    pub(crate) service: String,
}

/// Returns the route that Prometheus reads, which is beside the API's as scrapers expect it.
pub(crate) fn router(scraped: Scraped) -> Router {
    Router::new()
        .route("/metrics", get(get_metrics))
        .with_state(scraped)
}

async fn get_metrics(State(scraped): State<Scraped>) -> Result<impl IntoResponse, Problem> {
    let status = scraped.health.status().await;
    let readings = readings(&status, &scraped.service);
    let text = scraped
        .meter
        .render(&readings)
        .map_err(|error| broken(&error))?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text))
}

fn broken(error: &MetricsError) -> Problem {
    tracing::error!(error = %llmopt_domain::error_chain(error), "metrics cannot be rendered");
    Problem::new(
        Code::Internal,
        "the metrics cannot be rendered: the log says why",
    )
}

/// Shows a status as metrics; what is not known is not among them.
fn readings(status: &Status, service: &str) -> Vec<Reading> {
    let mut readings = Readings::default();
    readings.add(&metrics::TARGET, &[service, &status.version], 1);
    readings.add(&metrics::UPTIME, &[], status.uptime_seconds);
    process(&mut readings, status);
    work(&mut readings, status);
    for (number, gpu) in status.gpus.iter().flatten().enumerate() {
        let number = number.to_string();
        readings.add(&metrics::GPU_MEMORY, &[&number], gpu.memory_used_bytes);
        readings.add(&metrics::GPU_MEMORY_LIMIT, &[&number], gpu.memory_bytes);
        readings.maybe(&metrics::GPU_UTILIZATION, &[&number], gpu.utilization);
    }
    readings.0
}

fn process(readings: &mut Readings, status: &Status) {
    let machine = &status.machine;
    let cpu = Some(machine.cpu.process_seconds);
    readings.maybe(&metrics::PROCESS_CPU, &[], cpu);
    let memory = machine.memory;
    if let Some(resident) = memory.resident_bytes {
        readings.add(&metrics::PROCESS_MEMORY, &[], resident);
    }
    if let Some(limit) = memory.limit_bytes {
        readings.add(&metrics::PROCESS_MEMORY_LIMIT, &[], limit);
    }
    if let Some(disk) = machine.disk {
        let used = disk.total_bytes.saturating_sub(disk.free_bytes);
        readings.add(&metrics::DISK, &["free"], disk.free_bytes);
        readings.add(&metrics::DISK, &["used"], used);
    }
}

fn work(readings: &mut Readings, status: &Status) {
    if let Some(jobs) = status.jobs {
        for (state, count) in [
            ("queued", jobs.queued),
            ("running", jobs.running),
            ("stopped", jobs.stopped),
            ("succeeded", jobs.succeeded),
            ("failed", jobs.failed),
        ] {
            readings.add(&metrics::JOBS, &[state], count);
        }
    }
    if let Some(queue) = status.queue {
        for (state, count) in [
            ("waiting", queue.waiting),
            ("taken", queue.taken),
            ("dead", queue.dead),
        ] {
            readings.add(&metrics::MESSAGES, &[state], count);
        }
    }
    if let Some(cache) = &status.model_cache {
        readings.add(&metrics::CACHED_MODELS, &[], cache.status.models.into());
        readings.add(&metrics::CACHE_SIZE, &[], cache.status.size_bytes);
    }
    for check in &status.checks {
        let is_well = u64::from(check.failure.is_none());
        readings.add(&metrics::READY, &[check.name], is_well);
    }
}

#[derive(Default)]
struct Readings(Vec<Reading>);

impl Readings {
    fn add(&mut self, metric: &'static Metric, labels: &[&str], value: u64) {
        self.maybe(metric, labels, Some(value as f64));
    }

    fn maybe(&mut self, metric: &'static Metric, labels: &[&str], value: Option<f64>) {
        self.0.extend(value.map(|value| Reading {
            metric,
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            value,
        }));
    }
}
