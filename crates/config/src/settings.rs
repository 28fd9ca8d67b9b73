use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::providers;
use crate::source::{self, Problem, Source};
use crate::telemetry;
use crate::variables::{self, Variable};
use crate::{ConfigError, Environment, LimitSettings, Origin, ProviderSettings, Secret};

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Pretty,
    /// One JSON object for each event.
    Json,
}

/// The form in which weights are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelWeights {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Blocks of 32 8-bit integers with a 16-bit scale.
    Q8_0,
}

/// Where everything is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the data directory.
    Embedded,
    /// In an AWS account.
    Aws,
}

/// What a trainer computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The first GPU that can be used, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// The first GPU, and nothing else.
    Cuda,
}

/// When what was spent is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendingSync {
    /// Before an answer is passed on.
    Full,
    /// Some moments later.
    Normal,
}

/// How functions answer that can stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responses {
    /// As Lambda streams them.
    Stream,
    /// Whole.
    Buffer,
}

/// How finely functions measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// Not at all.
    Off,
    /// By the classes of routes and statuses.
    Routes,
    /// Answers by model too.
    Models,
}

/// The resources in an AWS account; who needs one asks [`Settings::need`] for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Resources(Vec<(&'static str, String)>);

/// The settings of a process, every one of them checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where llmopt runs (`LLMOPT_ENVIRONMENT`).
    pub environment: Environment,
    /// What is logged, a filter that parses (`LLMOPT_LOG`).
    pub log: String,
    /// How logs are written (`LLMOPT_LOG_FORMAT`).
    pub log_format: LogFormat,
    /// Where everything is kept (`LLMOPT_DATA_DIR`).
    pub data_dir: PathBuf,
    /// Threads to compute with, at least 1 (`LLMOPT_THREADS`).
    pub threads: u32,
    /// The trainer binary, if it is not beside our own (`LLMOPT_TRAINER`).
    pub trainer: Option<PathBuf>,
    /// The machine that jobs are estimated for (`LLMOPT_TRAINER_MACHINE`).
    pub trainer_machine: String,
    /// What an hour of it costs, in millionths of a dollar (`LLMOPT_TRAINER_USD_PER_HOUR`).
    pub trainer_price: Option<u64>,
    /// The Hub, if it is not the public one (`LLMOPT_HUB_ENDPOINT`, else `HF_ENDPOINT`).
    pub hub_endpoint: Option<String>,
    /// The Hub's access token (`HF_TOKEN`).
    pub hub_token: Option<Secret>,
    /// The secret that holds it (`LLMOPT_HUB_TOKEN_SECRET`).
    pub hub_token_secret: Option<String>,
    /// Requests from one address in a minute; `None` is no limit (`LLMOPT_REQUESTS_PER_MINUTE`).
    pub requests_per_minute: Option<NonZeroU32>,
    /// Requests with one key in a minute; `None` is no limit (`LLMOPT_KEY_REQUESTS_PER_MINUTE`).
    pub key_requests_per_minute: Option<NonZeroU32>,
    /// Whether requests go on that cannot be counted (`LLMOPT_LIMITS_IN_OUTAGE`).
    pub open_in_outage: bool,
    /// Requests of each caller for single routes (`LLMOPT_ROUTE_LIMITS`).
    pub route_limits: Vec<RouteRate>,
    /// The sites whose pages may ask; `*` is all of them (`LLMOPT_CORS_ORIGINS`).
    pub cors_origins: Vec<String>,
    /// Models to keep in memory at most (`LLMOPT_MODEL_CACHE`).
    pub model_cache: NonZeroU32,
    /// Memory that models may take together, in bytes; `None` is no limit (`LLMOPT_MODEL_CACHE_MB`).
    pub model_cache_bytes: Option<u64>,
    /// The form in which weights are served (`LLMOPT_MODEL_WEIGHTS`).
    pub model_weights: ModelWeights,
    /// What a trainer computes on (`LLMOPT_DEVICE`).
    pub device: Device,
    /// Threads that compute one answer (`LLMOPT_MODEL_THREADS`).
    pub model_threads: NonZeroU32,
    /// Where the server listens (`LLMOPT_LISTEN`).
    pub listen: SocketAddr,
    /// How long a trainer's claim on a job holds (`LLMOPT_JOB_LEASE_SECONDS`).
    pub job_lease: Duration,
    /// How long a model may take to answer (`LLMOPT_MODEL_TIMEOUT_SECONDS`).
    pub model_timeout: Duration,
    /// The providers of commercial models that are configured; their names differ (`OPENAI_*`, `ANTHROPIC_*`,
    /// `LLMOPT_OPENAI_*`, `LLMOPT_ANTHROPIC_*`, `LLMOPT_PROVIDERS`).
    pub providers: Vec<ProviderSettings>,
    /// How often single models of OpenAI's and Anthropic's may be asked, by their ids (`LLMOPT_MODEL_LIMITS`).
    pub model_limits: BTreeMap<String, LimitSettings>,
    /// Names for commercial models, each with the ids to ask in turn (`LLMOPT_MODEL_ALIASES`).
    pub model_aliases: BTreeMap<String, Vec<String>>,
    /// How long a request waits for its turn with a provider (`LLMOPT_TURN_WAIT_SECONDS`).
    pub turn_wait: Duration,
    /// When what was spent is on the disk (`LLMOPT_SPENDING_SYNC`).
    pub spending_sync: SpendingSync,
    /// Where alerts of budgets are sent (`LLMOPT_ALERT_WEBHOOK`).
    pub alert_webhook: Option<Secret>,
    /// The SNS topic that alerts of budgets are sent to (`LLMOPT_ALERT_TOPIC`).
    pub alert_topic: Option<String>,
    /// Where everything is kept (`LLMOPT_STORE`).
    pub store: Store,
    /// How functions answer that can stream (`LLMOPT_RESPONSES`).
    pub responses: Responses,
    /// How finely functions measure (`LLMOPT_METRICS`).
    pub metrics: Metrics,
    /// The collector of traces (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    pub otlp_endpoint: Option<String>,
    /// Headers for it (`OTEL_EXPORTER_OTLP_HEADERS`).
    pub otlp_headers: Option<Secret>,
    /// What the server is called in traces and metrics (`OTEL_SERVICE_NAME`).
    pub service_name: String,
    /// The memory of the Lambda function that this process is, in bytes (`AWS_LAMBDA_FUNCTION_MEMORY_SIZE`).
    pub lambda_memory_bytes: Option<u64>,
    /// The Batch job that this process is, and which attempt of it (`AWS_BATCH_JOB_ID`,
    /// `AWS_BATCH_JOB_ATTEMPT`).
    pub batch_job: Option<(String, u32)>,
    resources: Resources,
}

impl Settings {
    /// Reads the environment of this process and `.env` in the current folder, if there is one.
    ///
    /// # Errors
    /// If `.env` cannot be read or parsed, a variable with our prefix is unknown, or a value is not
    /// what its variable takes.
    pub fn load() -> Result<Self, ConfigError> {
        let dotenv = read_dotenv(Path::new(".env"))?;
        Self::from_source(&Source::new(std::env::vars_os(), &dotenv)?)
    }

    /// Reads these variables in place of the environment, and `dotenv` in place of the text of `.env`.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn from_pairs<N: Into<OsString>, V: Into<OsString>>(
        process: impl IntoIterator<Item = (N, V)>,
        dotenv: &str,
    ) -> Result<Self, ConfigError> {
        let process = process
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self::from_source(&Source::new(process, dotenv)?)
    }

    /// Returns the folder that downloads from a Hub are cached in.
    pub fn hub_cache_dir(&self) -> PathBuf {
        self.data_dir.join("hub")
    }

    /// Returns what an hour of the machine costs that jobs are trained on, in US dollars, where that is known.
    pub fn trainer_usd_per_hour(&self) -> Option<f64> {
        self.trainer_price.map(|millionths| millionths as f64 / 1e6)
    }

    /// Returns the name or URL of the AWS resource that `variable` gives.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] if it is not set.
    pub fn need(&self, variable: &'static Variable) -> Result<&str, ConfigError> {
        let found = self
            .resources
            .0
            .iter()
            .find(|(name, _)| *name == variable.name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or(ConfigError::Missing {
                name: variable.name,
                kind: variable.kind,
                example: variable.example,
            })
    }

    fn from_source(source: &Source) -> Result<Self, ConfigError> {
        // The environment's own default is the same in every environment.
        let environment = Reader {
            source,
            environment: Environment::Development,
        }
        .required(&variables::ENVIRONMENT, Environment::parse)?;
        let read = Reader {
            source,
            environment,
        };
        let endpoint = read.optional(&variables::HUB_ENDPOINT, parse_endpoint)?;
        let shared_endpoint = read.optional(&variables::HF_ENDPOINT, parse_endpoint)?;
        let threads = read.optional(&variables::THREADS, parse_threads)?;
        Ok(Self {
            environment,
            log: read.required(&variables::LOG, parse_filter)?,
            log_format: read.required(&variables::LOG_FORMAT, parse_log_format)?,
            data_dir: read.required(&variables::DATA_DIR, parse_path)?,
            threads: threads.unwrap_or_else(available_threads),
            device: read.required(&variables::DEVICE, parse_device)?,
            trainer: read.optional(&variables::TRAINER, parse_path)?,
            trainer_machine: read.required(&variables::TRAINER_MACHINE, parse_resource)?,
            trainer_price: read.optional(&variables::TRAINER_USD_PER_HOUR, parse_dollars)?,
            hub_endpoint: endpoint.or(shared_endpoint),
            hub_token: read.optional(&variables::HF_TOKEN, parse_token)?,
            hub_token_secret: read.optional(&variables::HUB_TOKEN_SECRET, parse_resource)?,
            requests_per_minute: read
                .required(&variables::REQUESTS_PER_MINUTE, |value| value.parse().ok())
                .map(NonZeroU32::new)?,
            key_requests_per_minute: read
                .required(&variables::KEY_REQUESTS_PER_MINUTE, |value| {
                    value.parse().ok()
                })
                .map(NonZeroU32::new)?,
            open_in_outage: read.required(&variables::LIMITS_IN_OUTAGE, parse_outage)?,
            route_limits: read
                .optional(&variables::ROUTE_LIMITS, parse_route_limits)?
                .unwrap_or_default(),
            cors_origins: read
                .optional(&variables::CORS_ORIGINS, parse_origins)?
                .unwrap_or_default(),
            model_cache: read.required(&variables::MODEL_CACHE, |value| value.parse().ok())?,
            model_cache_bytes: read.optional(&variables::MODEL_CACHE_MB, parse_mebibytes)?,
            model_weights: read.required(&variables::MODEL_WEIGHTS, parse_model_weights)?,
            model_threads: read.required(&variables::MODEL_THREADS, |value| {
                parse_threads(value).and_then(NonZeroU32::new)
            })?,
            listen: read.required(&variables::LISTEN, |value| value.parse().ok())?,
            job_lease: read.required(&variables::JOB_LEASE_SECONDS, parse_seconds)?,
            model_timeout: read.required(&variables::MODEL_TIMEOUT_SECONDS, parse_seconds)?,
            providers: read.providers()?,
            model_limits: read
                .checked(&variables::MODEL_LIMITS, providers::parse_model_limits)?
                .unwrap_or_default(),
            model_aliases: read
                .checked(&variables::MODEL_ALIASES, providers::parse_aliases)?
                .unwrap_or_default(),
            turn_wait: read.required(&variables::TURN_WAIT_SECONDS, providers::parse_wait)?,
            spending_sync: read.required(&variables::SPENDING_SYNC, parse_spending_sync)?,
            alert_webhook: read.optional(&variables::ALERT_WEBHOOK, |value| {
                parse_endpoint(value).map(|_| Secret::new(value))
            })?,
            alert_topic: read.optional(&variables::ALERT_TOPIC, providers::parse_topic)?,
            store: read.required(&variables::STORE, parse_store)?,
            responses: read.required(&variables::RESPONSES, parse_responses)?,
            metrics: read.required(&variables::METRICS, parse_metrics)?,
            otlp_endpoint: read.optional(&variables::OTLP_ENDPOINT, parse_endpoint)?,
            otlp_headers: read.optional(&variables::OTLP_HEADERS, parse_headers)?,
            service_name: read.required(&variables::SERVICE_NAME, parse_name)?,
            lambda_memory_bytes: read.optional(&variables::LAMBDA_MEMORY, parse_mebibytes)?,
            batch_job: read.batch_job()?,
            resources: read.resources()?,
        })
    }
}

/// How often each caller may ask for a route or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRate {
    /// A group such as `generate`, or a route such as `POST /training/jobs`.
    pub route: String,
    /// Requests in a minute on average.
    pub requests_per_minute: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// Reads variables as the types they stand for.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source,
    environment: Environment,
}

impl Reader<'_> {
    fn batch_job(&self) -> Result<Option<(String, u32)>, ConfigError> {
        let id = self.optional(&variables::BATCH_JOB_ID, parse_resource)?;
        let attempt = self.optional(&variables::BATCH_JOB_ATTEMPT, |value| value.parse().ok())?;
        Ok(id.map(|id| (id, attempt.unwrap_or(1))))
    }

    fn resources(&self) -> Result<Resources, ConfigError> {
        let mut resources = Vec::new();
        for variable in RESOURCES {
            let value = self.optional(variable, parse_resource)?;
            resources.extend(value.map(|value| (variable.name, value)));
        }
        Ok(Resources(resources))
    }

    pub(crate) fn optional<T>(
        &self,
        variable: &'static Variable,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let raw = self.source.get(variable, self.environment)?;
        raw.map(|raw| parse(raw.value.trim()).ok_or_else(|| raw.invalid()))
            .transpose()
    }

    /// Reads a value of which a part can be wrong.
    pub(crate) fn checked<T>(
        &self,
        variable: &'static Variable,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<T>, ConfigError> {
        let raw = self.source.get(variable, self.environment)?;
        raw.map(|raw| parse(raw.value.trim()).map_err(|problem| raw.wrong(problem)))
            .transpose()
    }

    pub(crate) fn required<T>(
        &self,
        variable: &'static Variable,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.optional(variable, parse)?
            .ok_or_else(|| source::invalid(variable, Origin::Default, "nothing".to_owned()))
    }
}

const RESOURCES: [&Variable; 11] = [
    &variables::BUCKET,
    &variables::RECORDS_TABLE,
    &variables::KEYS_TABLE,
    &variables::RATES_TABLE,
    &variables::ANSWERS_TABLE,
    &variables::EVENTS_TABLE,
    &variables::TRAINING_QUEUE_URL,
    &variables::DEAD_LETTER_QUEUE_URL,
    &variables::QUESTION_QUEUE_URL,
    &variables::DEAD_QUESTION_QUEUE_URL,
    &variables::INFERENCE_FUNCTION,
];

fn parse_store(value: &str) -> Option<Store> {
    match value {
        "embedded" => Some(Store::Embedded),
        "aws" => Some(Store::Aws),
        _ => None,
    }
}

fn parse_responses(value: &str) -> Option<Responses> {
    match value {
        "stream" => Some(Responses::Stream),
        "buffer" => Some(Responses::Buffer),
        _ => None,
    }
}

fn parse_metrics(value: &str) -> Option<Metrics> {
    match value {
        "off" => Some(Metrics::Off),
        "routes" => Some(Metrics::Routes),
        "models" => Some(Metrics::Models),
        _ => None,
    }
}

fn parse_device(value: &str) -> Option<Device> {
    match value {
        "auto" => Some(Device::Auto),
        "cpu" => Some(Device::Cpu),
        "cuda" => Some(Device::Cuda),
        _ => None,
    }
}

fn parse_headers(value: &str) -> Option<Secret> {
    let is_header = |pair: &str| {
        pair.split_once('=')
            .is_some_and(|(name, _)| !name.trim().is_empty())
    };
    let is_plain = value
        .chars()
        .all(|char| char.is_ascii_graphic() || char == ' ');
    (is_plain && value.split(',').all(is_header)).then(|| Secret::new(value))
}

fn parse_name(value: &str) -> Option<String> {
    let is_name = !value.is_empty() && !value.contains(char::is_control);
    is_name.then(|| value.to_owned())
}

fn parse_outage(value: &str) -> Option<bool> {
    match value {
        "closed" => Some(false),
        "open" => Some(true),
        _ => None,
    }
}

fn parse_route_limits(value: &str) -> Option<Vec<RouteRate>> {
    value
        .split(',')
        .map(|limit| parse_route_limit(limit.trim()))
        .collect()
}

fn parse_route_limit(value: &str) -> Option<RouteRate> {
    let (route, rate) = value.rsplit_once('=')?;
    let route = crate::routes::known(route.trim())?;
    let (rate, burst) = rate.split_once('/').unwrap_or((rate, rate));
    Some(RouteRate {
        route: route.to_owned(),
        requests_per_minute: rate.trim().parse().ok()?,
        burst: burst.trim().parse().ok()?,
    })
}

fn parse_origins(value: &str) -> Option<Vec<String>> {
    if value == "*" {
        return Some(vec![value.to_owned()]);
    }
    value
        .split(',')
        .map(|origin| parse_origin(origin.trim()))
        .collect()
}

/// Takes what a browser says of a page: where it is from, without a path.
fn parse_origin(value: &str) -> Option<String> {
    let origin = parse_endpoint(value)?;
    let host = origin.split_once("://")?.1;
    let is_host = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    (is_host && origin == value).then(|| origin.to_ascii_lowercase())
}

pub(crate) fn parse_resource(value: &str) -> Option<String> {
    let is_name = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| value.to_owned())
}

fn parse_filter(value: &str) -> Option<String> {
    telemetry::filter(value).map(|_| value.to_owned())
}

fn parse_log_format(value: &str) -> Option<LogFormat> {
    match value {
        "pretty" => Some(LogFormat::Pretty),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn parse_model_weights(value: &str) -> Option<ModelWeights> {
    match value {
        "f32" => Some(ModelWeights::F32),
        "f16" => Some(ModelWeights::F16),
        "q8_0" => Some(ModelWeights::Q8_0),
        _ => None,
    }
}

fn parse_mebibytes(value: &str) -> Option<u64> {
    let mebibytes: NonZeroU32 = value.parse().ok()?;
    Some(u64::from(mebibytes.get()) << 20)
}

pub(crate) fn parse_path(value: &str) -> Option<PathBuf> {
    (!value.is_empty()).then(|| PathBuf::from(value))
}

fn parse_spending_sync(value: &str) -> Option<SpendingSync> {
    match value {
        "full" => Some(SpendingSync::Full),
        "normal" => Some(SpendingSync::Normal),
        _ => None,
    }
}

fn parse_threads(value: &str) -> Option<u32> {
    value
        .parse()
        .ok()
        .filter(|threads| (1..=1024).contains(threads))
}

/// Reads dollars as millionths of one.
fn parse_dollars(value: &str) -> Option<u64> {
    const DIGITS: usize = 6;
    let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > DIGITS {
        return None;
    }
    let millionths: u64 = format!("{part:0<DIGITS$}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(millionths)
}

pub(crate) fn parse_endpoint(value: &str) -> Option<String> {
    let host = value
        .strip_prefix("https://")
        .or_else(|| value.strip_prefix("http://"))?;
    let is_host = !host.is_empty() && !host.starts_with('/') && !host.contains(char::is_whitespace);
    is_host.then(|| value.trim_end_matches('/').to_owned())
}

pub(crate) fn parse_token(value: &str) -> Option<Secret> {
    // The token becomes an HTTP header.
    let is_token = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| Secret::new(value))
}

fn parse_seconds(value: &str) -> Option<Duration> {
    let seconds: NonZeroU32 = value.parse().ok()?;
    Some(Duration::from_secs(seconds.get().into()))
}

fn available_threads() -> u32 {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(available).unwrap_or(u32::MAX)
}

fn read_dotenv(path: &Path) -> Result<String, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
