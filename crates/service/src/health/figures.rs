use llmopt_storage::QueueDepth;
use llmopt_telemetry::RequestSummary;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use utoipa::ToSchema;

use crate::{CacheStatus, Machine};

/// A GPU.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Gpu {
    /// Its name.
    pub name: String,
    /// Its memory.
    pub memory_bytes: u64,
    /// What of that is taken, by whomever.
    pub memory_used_bytes: u64,
    /// The share of the last moments in which it computed, from 0 to 1; `None` where it does not tell.
    pub utilization: Option<f64>,
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What is wrong, if anything is: no more than whoever asks may know. The log says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<&'static str>,
    /// What somebody should see to, though requests are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<&'static str>,
}

/// How a provider of commercial models has done lately, as this process saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProviderFigures {
    /// Its name.
    pub name: String,
    /// Whether it is asked.
    pub circuit: ProviderCircuit,
    /// For how long it is left alone, where it is.
    pub retry_after_seconds: Option<u64>,
}

/// Whether a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderCircuit {
    /// It is.
    Closed,
    /// It failed again and again and is left alone.
    Open,
    /// It was left alone, and one request goes to see how it is.
    Trying,
}

/// How everything is. What is not known is `None`, and never 0.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Status {
    /// The version of the code.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// What the process has of its machine.
    #[serde(flatten)]
    pub machine: Machine,
    /// The GPUs of the machine; `None` where there are none.
    pub gpus: Option<Vec<Gpu>>,
    /// The requests of this process since it started; `None` where others answer, too.
    pub requests: Option<Requests>,
    /// The jobs in each state; at most 1,000 of one are counted.
    pub jobs: Option<JobCounts>,
    /// The messages of the training queue.
    pub queue: Option<QueueCounts>,
    /// The models in memory; `None` where they are in another process's.
    pub model_cache: Option<CacheFigures>,
    /// The providers of commercial models; `None` where others ask them.
    pub providers: Option<Vec<ProviderFigures>>,
    /// What `ready` checks.
    pub checks: Vec<Check>,
}

/// The requests of a process.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Requests {
    /// Those that came to their end.
    pub total: u64,
    /// Those under way, this one included.
    pub active: u64,
    /// Those that ended, by the class of their status.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub by_status: Vec<(&'static str, u64)>,
    /// How long they took, once one has ended.
    pub latency_ms: Option<Latencies>,
}

/// How long requests took at most, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Latencies {
    /// The faster half.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of a hundred.
    pub p99: f64,
}

/// The models in memory, and how often they were there.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CacheFigures {
    /// What is in memory.
    #[serde(flatten)]
    pub status: CacheStatus,
    /// The share of requests that found their model in memory; `None` before the first.
    pub hit_rate: Option<f64>,
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobCounts {
    /// Those that wait for a worker.
    pub queued: u64,
    /// Those that a worker has.
    pub running: u64,
    /// Those that were stopped.
    pub stopped: u64,
    /// Those whose model is published.
    pub succeeded: u64,
    /// Those that cannot succeed.
    pub failed: u64,
}

/// How many messages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueCounts {
    /// Those that wait.
    pub waiting: u64,
    /// Those that somebody works on.
    pub taken: u64,
    /// Dead letters.
    pub dead: u64,
}

impl From<RequestSummary> for Requests {
    fn from(summary: RequestSummary) -> Self {
        Self {
            total: summary.total,
            active: summary.active,
            by_status: summary.by_status,
            latency_ms: summary.latency.map(|latency| Latencies {
                p50: latency.p50_ms,
                p90: latency.p90_ms,
                p99: latency.p99_ms,
            }),
        }
    }
}

impl From<CacheStatus> for CacheFigures {
    fn from(status: CacheStatus) -> Self {
        let all = status.hits + status.misses;
        Self {
            hit_rate: (all > 0).then(|| status.hits as f64 / all as f64),
            status,
        }
    }
}

impl From<QueueDepth> for QueueCounts {
    fn from(depth: QueueDepth) -> Self {
        Self {
            waiting: depth.waiting,
            taken: depth.taken,
            dead: depth.dead,
        }
    }
}

fn as_map<S: Serializer>(counts: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(counts.len()))?;
    for (name, count) in counts {
        map.serialize_entry(name, count)?;
    }
    map.end()
}
