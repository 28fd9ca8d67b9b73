//! Every metric, one documented constant each, and the table of all of them.
//!
//! Names, units and labels are those of OpenTelemetry's conventions where these have one, and so are buckets; the
//! finest of requests are ours, which answer in less than a millisecond.

use crate::{Kind, Metric, Unit, labels::*};

const REQUEST_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0, 30.0, 120.0,
];
const CPU_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, 1.0, 10.0,
];
const BODY_BYTES: &[f64] = &[
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    1_048_576.0,
    16_777_216.0,
];
const ANSWER_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const FIRST_TOKEN_SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const TOKEN_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
];

/// Requests, errors and latency.
pub const REQUEST_DURATION: Metric = Metric {
    name: "http.server.request.duration",
    kind: Kind::Histogram(REQUEST_SECONDS),
    unit: Unit::Seconds,
    labels: &[METHOD, ROUTE, STATUS, ERROR],
    dimensions: &[&[ENVIRONMENT, ROUTE_CLASS, STATUS_CLASS]],
    meaning: "From a request's headers to the last byte of its answer. Its count is the number of requests.",
};

/// Requests under way.
pub const ACTIVE_REQUESTS: Metric = Metric {
    name: "http.server.active_requests",
    kind: Kind::Gauge,
    unit: Unit::Of("request"),
    labels: &[METHOD],
    dimensions: &[],
    meaning: "Requests whose answers are not at their end.",
};

/// What answers weigh.
pub const RESPONSE_SIZE: Metric = Metric {
    name: "http.server.response.body.size",
    kind: Kind::Histogram(BODY_BYTES),
    unit: Unit::Bytes,
    labels: &[METHOD, ROUTE],
    dimensions: &[],
    meaning: "Bytes of an answer's body that were sent; of a stream, all of them.",
};

/// Processor time by request.
pub const REQUEST_CPU: Metric = Metric {
    name: "llmopt.request.cpu.time",
    kind: Kind::Histogram(CPU_SECONDS),
    unit: Unit::Seconds,
    labels: &[METHOD, ROUTE],
    dimensions: &[],
    meaning: "Processor time that a request took until its answer began, without what other threads did for it: \
              stores on one machine and the engine.",
};

/// What limits refused.
pub const REFUSALS: Metric = Metric {
    name: "llmopt.refusals",
    kind: Kind::Counter,
    unit: Unit::Of("refusal"),
    labels: &[REFUSAL_SCOPE],
    dimensions: &[&[ENVIRONMENT, REFUSAL_SCOPE], &[ENVIRONMENT]],
    meaning: "Requests that a limit refused, or that nobody could count (429 and 503).",
};

/// What answers take.
pub const TOKEN_USAGE: Metric = Metric {
    name: "gen_ai.client.token.usage",
    kind: Kind::Histogram(TOKENS),
    unit: Unit::Of("token"),
    labels: &[OPERATION, PROVIDER, MODEL, TOKEN_TYPE],
    dimensions: &[&[ENVIRONMENT, TOKEN_TYPE]],
    meaning: "Tokens of an answer that came to its end: those read and those written.",
};

/// How long answers take.
pub const ANSWER_DURATION: Metric = Metric {
    name: "gen_ai.server.request.duration",
    kind: Kind::Histogram(ANSWER_SECONDS),
    unit: Unit::Seconds,
    labels: &[OPERATION, PROVIDER, MODEL, ERROR],
    dimensions: &[&[ENVIRONMENT]],
    meaning: "From a question to the end of its answer, each of a batch by itself, loading the model included.",
};

/// How long the first token takes.
pub const FIRST_TOKEN: Metric = Metric {
    name: "gen_ai.server.time_to_first_token",
    kind: Kind::Histogram(FIRST_TOKEN_SECONDS),
    unit: Unit::Seconds,
    labels: &[OPERATION, PROVIDER, MODEL],
    dimensions: &[&[ENVIRONMENT]],
    meaning: "From a question to its first token, loading the model included.",
};

/// How long each further token takes.
pub const OUTPUT_TOKEN: Metric = Metric {
    name: "gen_ai.server.time_per_output_token",
    kind: Kind::Histogram(TOKEN_SECONDS),
    unit: Unit::Seconds,
    labels: &[OPERATION, PROVIDER, MODEL],
    dimensions: &[],
    meaning: "For each token after the first, on average over an answer.",
};

/// What answers cost.
pub const COST: Metric = Metric {
    name: "llmopt.cost.usd",
    kind: Kind::Counter,
    unit: Unit::Of("USD"),
    labels: &[PROVIDER, MODEL],
    dimensions: &[&[ENVIRONMENT]],
    meaning: "Dollars that answers cost that came to their end; the ledger has those that broke off too. Models of one's own cost nothing by the token.",
};

/// Whether models were in memory.
pub const CACHE_LOOKUPS: Metric = Metric {
    name: "llmopt.model_cache.lookups",
    kind: Kind::Counter,
    unit: Unit::Of("lookup"),
    labels: &[MODEL, CACHE_RESULT],
    dimensions: &[&[ENVIRONMENT, CACHE_RESULT]],
    meaning: "Answers whose model was in memory (`hit`), or had to be loaded (`miss`).",
};

/// Answers of models beyond those that are told apart.
pub const OTHER_MODELS: Metric = Metric {
    name: "llmopt.metrics.other_models",
    kind: Kind::Counter,
    unit: Unit::Of("answer"),
    labels: &[],
    dimensions: &[],
    meaning: "Answers counted under the model `other`, because a hundred models have been told apart already.",
};

/// Models in memory.
pub const CACHED_MODELS: Metric = Metric {
    name: "llmopt.model_cache.models",
    kind: Kind::Gauge,
    unit: Unit::Of("model"),
    labels: &[],
    dimensions: &[],
    meaning: "Models in memory.",
};

/// What they take.
pub const CACHE_SIZE: Metric = Metric {
    name: "llmopt.model_cache.size",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    dimensions: &[],
    meaning: "Memory that they take together.",
};

/// Jobs by state.
pub const JOBS: Metric = Metric {
    name: "llmopt.jobs",
    kind: Kind::Gauge,
    unit: Unit::Of("job"),
    labels: &[JOB_STATE],
    dimensions: &[],
    meaning: "Jobs in each state; at most 1,000 of one are counted.",
};

/// Messages by state.
pub const MESSAGES: Metric = Metric {
    name: "llmopt.queue.messages",
    kind: Kind::Gauge,
    unit: Unit::Of("message"),
    labels: &[MESSAGE_STATE],
    dimensions: &[],
    meaning: "Messages of the training queue: those that wait, those that somebody works on, and dead letters.",
};

/// What `ready` found.
pub const READY: Metric = Metric {
    name: "llmopt.ready",
    kind: Kind::Gauge,
    unit: Unit::Of("check"),
    labels: &[CHECK],
    dimensions: &[],
    meaning: "1 where what was checked can be used, 0 where not.",
};

/// The process's processor time.
pub const PROCESS_CPU: Metric = Metric {
    name: "process.cpu.time",
    kind: Kind::Counter,
    unit: Unit::Seconds,
    labels: &[],
    dimensions: &[],
    meaning: "Processor time of the server, all threads together. Trainers are processes of their own.",
};

/// The process's memory.
pub const PROCESS_MEMORY: Metric = Metric {
    name: "process.memory.usage",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    dimensions: &[],
    meaning: "Resident memory of the server.",
};

/// What the process may take.
pub const PROCESS_MEMORY_LIMIT: Metric = Metric {
    name: "llmopt.process.memory.limit",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    dimensions: &[],
    meaning: "Memory that it may take; absent where nothing limits it.",
};

/// How long the process runs.
pub const UPTIME: Metric = Metric {
    name: "process.uptime",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    labels: &[],
    dimensions: &[],
    meaning: "Since the server started.",
};

/// The disk.
pub const DISK: Metric = Metric {
    name: "system.filesystem.usage",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[DISK_STATE],
    dimensions: &[],
    meaning: "The disk with the data directory.",
};

/// What GPUs do.
pub const GPU_UTILIZATION: Metric = Metric {
    name: "hw.gpu.utilization",
    kind: Kind::Gauge,
    unit: Unit::Ratio,
    labels: &[GPU],
    dimensions: &[],
    meaning: "Share of the last moments in which the GPU computed, for whomever.",
};

/// What of their memory is taken.
pub const GPU_MEMORY: Metric = Metric {
    name: "hw.gpu.memory.usage",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[GPU],
    dimensions: &[],
    meaning: "Memory of the GPU that is taken, by whomever.",
};

/// What memory they have.
pub const GPU_MEMORY_LIMIT: Metric = Metric {
    name: "hw.gpu.memory.limit",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[GPU],
    dimensions: &[],
    meaning: "Memory that the GPU has.",
};

/// What runs.
pub const TARGET: Metric = Metric {
    name: "target.info",
    kind: Kind::Gauge,
    unit: Unit::Of("process"),
    labels: &[SERVICE, VERSION],
    dimensions: &[],
    meaning: "1, with what runs here.",
};

/// All metrics, in the order of the reference.
pub const ALL: &[&Metric] = &[
    &REQUEST_DURATION,
    &ACTIVE_REQUESTS,
    &RESPONSE_SIZE,
    &REQUEST_CPU,
    &REFUSALS,
    &ANSWER_DURATION,
    &FIRST_TOKEN,
    &OUTPUT_TOKEN,
    &TOKEN_USAGE,
    &COST,
    &CACHE_LOOKUPS,
    &OTHER_MODELS,
    &CACHED_MODELS,
    &CACHE_SIZE,
    &JOBS,
    &MESSAGES,
    &READY,
    &PROCESS_CPU,
    &PROCESS_MEMORY,
    &PROCESS_MEMORY_LIMIT,
    &UPTIME,
    &DISK,
    &GPU_UTILIZATION,
    &GPU_MEMORY,
    &GPU_MEMORY_LIMIT,
    &TARGET,
];
