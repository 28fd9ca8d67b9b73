//! Every environment variable, one documented constant each, and the table of all of them.

mod providers;

use crate::Environment;

pub use providers::{
    ALERT_TOPIC, ALERT_WEBHOOK, ANTHROPIC_API_KEY, ANTHROPIC_API_KEY_FILE, ANTHROPIC_BASE_URL,
    ANTHROPIC_KEY_SECRET, ANTHROPIC_REGION, ANTHROPIC_REQUESTS_PER_MINUTE,
    ANTHROPIC_TOKENS_PER_MINUTE, MODEL_ALIASES, MODEL_LIMITS, OPENAI_API_KEY, OPENAI_API_KEY_FILE,
    OPENAI_BASE_URL, OPENAI_KEY_SECRET, OPENAI_REGION, OPENAI_REQUESTS_PER_MINUTE,
    OPENAI_TOKENS_PER_MINUTE, PROVIDERS, SPENDING_SYNC, TURN_WAIT_SECONDS,
};

/// What an environment variable takes, where its value comes from when unset, and what reads it.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it takes, as a reader of the reference understands it.
    pub kind: &'static str,
    /// What holds when it is not set.
    pub default: Default,
    /// Which commands it takes effect in.
    pub read_by: &'static str,
    /// What it does, in a sentence.
    pub description: &'static str,
    /// A value for `.env.example`, where the default is none.
    pub example: &'static str,
    /// Whether its value must not be shown.
    pub secret: bool,
}

/// What holds when a variable is not set.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// This value in every environment.
    Everywhere(&'static str),
    /// A value for each environment.
    By {
        /// The value in development.
        development: &'static str,
        /// The value in testing.
        testing: &'static str,
        /// The value in production.
        production: &'static str,
    },
    /// No value; the program does what this says.
    Unset(&'static str),
}

impl Default {
    /// Returns the value in `environment`, if there is one.
    pub const fn value(self, environment: Environment) -> Option<&'static str> {
        match self {
            Self::Everywhere(value) => Some(value),
            Self::By {
                development,
                testing,
                production,
            } => Some(match environment {
                Environment::Development => development,
                Environment::Testing => testing,
                Environment::Production => production,
            }),
            Self::Unset(_) => None,
        }
    }
}

/// The prefix of our own variables; a name that has it and is not in the table is refused.
pub const PREFIX: &str = "LLMOPT_";

/// Chooses the defaults of the other variables.
pub const ENVIRONMENT: Variable = Variable {
    name: "LLMOPT_ENVIRONMENT",
    kind: "`development`, `testing` or `production`",
    default: Default::Everywhere("development"),
    read_by: "every command",
    description: "Where llmopt runs; chooses the defaults of the other variables.",
    example: "",
    secret: false,
};

/// Says what is logged.
pub const LOG: Variable = Variable {
    name: "LLMOPT_LOG",
    kind: "a level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as `warn,llmopt=debug`",
    default: Default::By {
        development: "warn,llmopt=debug",
        testing: "warn,llmopt=info",
        production: "info",
    },
    read_by: "every command",
    description: "What is logged, on standard error.",
    example: "",
    secret: false,
};

/// Says how logs are written.
pub const LOG_FORMAT: Variable = Variable {
    name: "LLMOPT_LOG_FORMAT",
    kind: "`pretty` or `json`",
    default: Default::By {
        development: "pretty",
        testing: "pretty",
        production: "json",
    },
    read_by: "every command",
    description: "How logs are written: lines for people, or one JSON object for each event.",
    example: "",
    secret: false,
};

/// Says where everything is kept.
pub const DATA_DIR: Variable = Variable {
    name: "LLMOPT_DATA_DIR",
    kind: "a folder",
    default: Default::Everywhere(".llmopt"),
    read_by: "every command",
    description: "Where models, jobs, checkpoints and downloads are kept; relative to the current folder. \
                  `--data-dir` overrides it.",
    example: "",
    secret: false,
};

/// Says how many threads compute.
pub const THREADS: Variable = Variable {
    name: "LLMOPT_THREADS",
    kind: "a whole number from 1 to 1024",
    default: Default::Unset("the processors this process may use"),
    read_by: "`llmopt train`, `llmopt evaluate` and `llmopt serve`",
    description: "Threads to compute with.",
    example: "2",
    secret: false,
};

/// Names the machine that jobs are estimated for.
pub const TRAINER_MACHINE: Variable = Variable {
    name: "LLMOPT_TRAINER_MACHINE",
    kind: "`local` or an instance type such as `g5.xlarge`",
    default: Default::Everywhere("local"),
    read_by: "`llmopt train --estimate`, `llmopt serve` and the function `training`",
    description: "The machine that jobs are trained on, by which their time and memory are estimated.",
    example: "",
    secret: false,
};

/// Says what an hour of that machine costs.
pub const TRAINER_USD_PER_HOUR: Variable = Variable {
    name: "LLMOPT_TRAINER_USD_PER_HOUR",
    kind: "US dollars, with at most six digits behind the point",
    default: Default::Unset("nothing is known of it, and nothing is said of costs"),
    read_by: "`llmopt train --estimate`, `llmopt serve` and the function `training`",
    description: "What an hour of the machine costs that jobs are trained on.",
    example: "1.006",
    secret: false,
};

/// Names the trainer's binary.
pub const TRAINER: Variable = Variable {
    name: "LLMOPT_TRAINER",
    kind: "a file",
    default: Default::Unset("`llmopt-trainer` beside the `llmopt` binary"),
    read_by: "`llmopt train`, `llmopt evaluate` and `llmopt serve`",
    description: "The trainer binary to start.",
    example: "target/release/llmopt-trainer",
    secret: false,
};

/// Names the Hub to fetch base models from.
pub const HUB_ENDPOINT: Variable = Variable {
    name: "LLMOPT_HUB_ENDPOINT",
    kind: "an `http://` or `https://` URL",
    default: Default::Unset("`HF_ENDPOINT`, else the public Hugging Face Hub"),
    read_by: "commands that fetch a base model",
    description: "The Hub to fetch base models from, such as a mirror.",
    example: "https://hub.example.com",
    secret: false,
};

/// Names the Hub, as the field's other tools spell it.
pub const HF_ENDPOINT: Variable = Variable {
    name: "HF_ENDPOINT",
    kind: "an `http://` or `https://` URL",
    default: Default::Unset("the public Hugging Face Hub"),
    read_by: "commands that fetch a base model",
    description: "The same for all Hugging Face tools; `LLMOPT_HUB_ENDPOINT` overrides it.",
    example: "https://hub.example.com",
    secret: false,
};

/// Holds the token for gated and private models.
pub const HF_TOKEN: Variable = Variable {
    name: "HF_TOKEN",
    kind: "an access token",
    default: Default::Unset("only public models can be fetched"),
    read_by: "commands that fetch a base model",
    description: "The Hub's access token, for gated and private models. Never logged.",
    example: "hf_...",
    secret: true,
};

/// Names the secret with that token.
pub const HUB_TOKEN_SECRET: Variable = Variable {
    name: "LLMOPT_HUB_TOKEN_SECRET",
    kind: "the name or ARN of a secret in AWS Secrets Manager",
    default: Default::Unset("`HF_TOKEN`, if that is set"),
    read_by: "commands that fetch a base model",
    description: "The secret that holds the Hub's access token, so that no environment has to. Read when a model is \
                  fetched; `HF_TOKEN` overrides it.",
    example: "llmopt/hub-token",
    secret: false,
};

/// Limits the requests of each caller.
pub const REQUESTS_PER_MINUTE: Variable = Variable {
    name: "LLMOPT_REQUESTS_PER_MINUTE",
    kind: "a whole number; `0` turns the limit off",
    default: Default::By {
        development: "120",
        testing: "0",
        production: "30",
    },
    read_by: "`llmopt serve` and the functions",
    description: "Requests that may come from one address in a minute, and at once, without a key that is taken.",
    example: "",
    secret: false,
};

/// Limits the requests with each key.
pub const KEY_REQUESTS_PER_MINUTE: Variable = Variable {
    name: "LLMOPT_KEY_REQUESTS_PER_MINUTE",
    kind: "a whole number; `0` turns the limit off",
    default: Default::By {
        development: "0",
        testing: "0",
        production: "600",
    },
    read_by: "`llmopt serve` and the functions",
    description: "Requests that may be made with one key in a minute, and at once, unless the key has limits of its own.",
    example: "",
    secret: false,
};

/// Says what becomes of requests that cannot be counted.
pub const LIMITS_IN_OUTAGE: Variable = Variable {
    name: "LLMOPT_LIMITS_IN_OUTAGE",
    kind: "`closed` or `open`",
    default: Default::Everywhere("closed"),
    read_by: "`llmopt serve` and the functions",
    description: "What becomes of requests while the store that counts them does not answer: they are refused with 503, or \
                  go on uncounted. Either is logged as an error.",
    example: "",
    secret: false,
};

/// Limits the requests of each caller for single routes.
pub const ROUTE_LIMITS: Variable = Variable {
    name: "LLMOPT_ROUTE_LIMITS",
    kind: "`ROUTE=RATE` or `ROUTE=RATE/BURST`, separated by commas",
    default: Default::Unset("no route has a limit of its own"),
    read_by: "`llmopt serve` and the functions",
    description: "Requests that each caller may make in a minute, and at once, for a group of routes (`generate`, \
                  `training`) or one of them (`POST /training/jobs`), in addition to the limits of keys and addresses.",
    example: "generate=60/10,POST /training/jobs=5",
    secret: false,
};

/// Names the sites whose pages may ask.
pub const CORS_ORIGINS: Variable = Variable {
    name: "LLMOPT_CORS_ORIGINS",
    kind: "origins such as `https://app.example.com`, separated by commas, or `*` for all",
    default: Default::Unset("no page of another site may read an answer"),
    read_by: "`llmopt serve` and the functions",
    description: "The sites whose pages may ask and read the answers (CORS). A server for this machine alone lets in only \
                  pages of sites that are named: `*` does not open it.",
    example: "https://app.example.com",
    secret: false,
};

/// Bounds how many models stay in memory.
pub const MODEL_CACHE: Variable = Variable {
    name: "LLMOPT_MODEL_CACHE",
    kind: "a whole number from 1",
    default: Default::By {
        development: "3",
        testing: "1",
        production: "3",
    },
    read_by: "`llmopt serve`",
    description: "Models to keep in memory at most.",
    example: "",
    secret: false,
};

/// Bounds how much memory models take.
pub const MODEL_CACHE_MB: Variable = Variable {
    name: "LLMOPT_MODEL_CACHE_MB",
    kind: "a whole number from 1, in MiB",
    default: Default::Unset("only their number is bounded"),
    read_by: "`llmopt serve`",
    description: "Memory that models may take together at most.",
    example: "4096",
    secret: false,
};

/// Says in which form weights are served.
pub const MODEL_WEIGHTS: Variable = Variable {
    name: "LLMOPT_MODEL_WEIGHTS",
    kind: "`f32`, `f16` or `q8_0`",
    default: Default::Everywhere("f32"),
    read_by: "`llmopt serve`",
    description: "The form in which a model's weights are served. `f32` answers as the model was evaluated, token for \
                  token; `f16` takes half and `q8_0` about a quarter of the memory, and both are faster.",
    example: "",
    secret: false,
};

/// Says on what models are trained.
pub const DEVICE: Variable = Variable {
    name: "LLMOPT_DEVICE",
    kind: "`auto`, `cpu` or `cuda`",
    default: Default::Everywhere("auto"),
    read_by: "the trainer",
    description: "What a trainer computes on: with `auto` the first GPU that it can use, and the processor where there is \
                  none; with `cpu` the processor; with `cuda` the first GPU, without which it refuses to work.",
    example: "",
    secret: false,
};

/// Says how many threads compute one answer.
pub const MODEL_THREADS: Variable = Variable {
    name: "LLMOPT_MODEL_THREADS",
    kind: "a whole number from 1 to 1024",
    default: Default::Everywhere("1"),
    read_by: "`llmopt serve`",
    description: "Threads that compute one answer; as many answers are computed at once as `LLMOPT_THREADS` then allows. \
                  More make a large model faster on a machine that does nothing else, and slow everything down on one \
                  that does.",
    example: "",
    secret: false,
};

/// Says where the server listens.
pub const LISTEN: Variable = Variable {
    name: "LLMOPT_LISTEN",
    kind: "an address with a port; port `0` takes a free one",
    default: Default::Everywhere("127.0.0.1:8080"),
    read_by: "`llmopt serve`",
    description: "Where the server listens. `--listen` overrides it.",
    example: "",
    secret: false,
};

/// Bounds how long a dead trainer keeps its job.
pub const JOB_LEASE_SECONDS: Variable = Variable {
    name: "LLMOPT_JOB_LEASE_SECONDS",
    kind: "a whole number from 1, in seconds",
    default: Default::Everywhere("15"),
    read_by: "`llmopt serve` and the trainers it starts",
    description: "How long a trainer's claim on a job holds without another word from it; then another takes the job.",
    example: "",
    secret: false,
};

/// Bounds how long a model may take to answer.
pub const MODEL_TIMEOUT_SECONDS: Variable = Variable {
    name: "LLMOPT_MODEL_TIMEOUT_SECONDS",
    kind: "a whole number from 1, in seconds",
    default: Default::By {
        development: "300",
        testing: "60",
        production: "60",
    },
    read_by: "`llmopt serve`",
    description: "How long a model may take to answer one request.",
    example: "",
    secret: false,
};

/// Says where everything is kept.
pub const STORE: Variable = Variable {
    name: "LLMOPT_STORE",
    kind: "`embedded` or `aws`",
    default: Default::Everywhere("embedded"),
    read_by: "`llmopt models` and `llmopt-trainer`; the Lambda functions are always on AWS",
    description: "Where everything is kept: in the data directory, or in the S3 bucket, the DynamoDB tables and the SQS \
                  queues that the variables below name. Region, credentials and endpoint are read as by every AWS SDK \
                  (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`).",
    example: "",
    secret: false,
};

/// Names the bucket.
pub const BUCKET: Variable = Variable {
    name: "LLMOPT_BUCKET",
    kind: "the name of an S3 bucket",
    default: Default::Unset("nothing can be kept on AWS"),
    read_by: "whatever keeps files on AWS",
    description: "The bucket that keeps datasets, base models, checkpoints and fine-tuned models.",
    example: "llmopt-dev-artifacts",
    secret: false,
};

/// Names the table of records.
pub const RECORDS_TABLE: Variable = Variable {
    name: "LLMOPT_RECORDS_TABLE",
    kind: "the name of a DynamoDB table",
    default: Default::Unset("nothing can be kept on AWS"),
    read_by: "whatever keeps records on AWS",
    description: "The table that keeps datasets, jobs and what may still be spent.",
    example: "llmopt-dev-records",
    secret: false,
};

/// Names the table of keys.
pub const KEYS_TABLE: Variable = Variable {
    name: "LLMOPT_KEYS_TABLE",
    kind: "the name of a DynamoDB table",
    default: Default::Unset("nobody can be let in on AWS"),
    read_by: "the functions that answer requests, and `llmopt keys`",
    description: "The table that keeps the platform's keys.",
    example: "llmopt-dev-keys",
    secret: false,
};

/// Names the table of what callers used.
pub const RATES_TABLE: Variable = Variable {
    name: "LLMOPT_RATES_TABLE",
    kind: "the name of a DynamoDB table",
    default: Default::Unset("nobody can be let in on AWS"),
    read_by: "the functions that answer requests, and `llmopt keys`",
    description: "The table that keeps how often callers asked, and when keys were used.",
    example: "llmopt-dev-rates",
    secret: false,
};

/// Names the table of answers.
pub const ANSWERS_TABLE: Variable = Variable {
    name: "LLMOPT_ANSWERS_TABLE",
    kind: "the name of a DynamoDB table",
    default: Default::Unset("no function can start that makes or spends something"),
    read_by: "the functions that make or spend something",
    description: "The table that keeps for a day what was answered to requests with an `idempotency-key`.",
    example: "llmopt-dev-answers",
    secret: false,
};

/// Names the table of events.
pub const EVENTS_TABLE: Variable = Variable {
    name: "LLMOPT_EVENTS_TABLE",
    kind: "the name of a DynamoDB table",
    default: Default::Unset("nothing can be kept on AWS"),
    read_by: "whatever tells of jobs on AWS",
    description: "The table that keeps what happened to jobs.",
    example: "llmopt-dev-events",
    secret: false,
};

/// Names the queue of jobs.
pub const TRAINING_QUEUE_URL: Variable = Variable {
    name: "LLMOPT_TRAINING_QUEUE_URL",
    kind: "the URL of an SQS queue",
    default: Default::Unset("no job can be submitted on AWS"),
    read_by: "whatever submits jobs or waits for them on AWS",
    description: "The queue that tells trainers of jobs.",
    example: "https://sqs.eu-central-1.amazonaws.com/123456789012/llmopt-dev-training",
    secret: false,
};

/// Names the queue of dead letters.
pub const DEAD_LETTER_QUEUE_URL: Variable = Variable {
    name: "LLMOPT_DEAD_LETTER_QUEUE_URL",
    kind: "the URL of an SQS queue",
    default: Default::Unset("no job can be submitted on AWS"),
    read_by: "whatever submits jobs or waits for them on AWS",
    description: "The queue that keeps messages of which trainers died.",
    example: "https://sqs.eu-central-1.amazonaws.com/123456789012/llmopt-dev-training-dead",
    secret: false,
};

/// Names the queue of questions.
pub const QUESTION_QUEUE_URL: Variable = Variable {
    name: "LLMOPT_QUESTION_QUEUE_URL",
    kind: "the URL of an SQS queue",
    default: Default::Unset("no question can be queued on AWS"),
    read_by: "the functions that answer questions",
    description: "The queue of questions that are answered later, as `prefer: respond-async` asks for.",
    example: "https://sqs.eu-central-1.amazonaws.com/123456789012/llmopt-dev-questions",
    secret: false,
};

/// Names the queue of what was no question.
pub const DEAD_QUESTION_QUEUE_URL: Variable = Variable {
    name: "LLMOPT_DEAD_QUESTION_QUEUE_URL",
    kind: "the URL of an SQS queue",
    default: Default::Unset("no question can be queued on AWS"),
    read_by: "the functions that answer questions",
    description: "The queue that keeps messages of the queue of questions that nobody could answer.",
    example: "https://sqs.eu-central-1.amazonaws.com/123456789012/llmopt-dev-questions-dead",
    secret: false,
};

/// Names the function that holds models.
pub const INFERENCE_FUNCTION: Variable = Variable {
    name: "LLMOPT_INFERENCE_FUNCTION",
    kind: "the name of a Lambda function",
    default: Default::Unset("no model can answer on AWS"),
    read_by: "the function `generate`",
    description: "The function that holds models in memory and answers with them.",
    example: "llmopt-dev-inference",
    secret: false,
};

/// Says how functions answer that can stream.
pub const RESPONSES: Variable = Variable {
    name: "LLMOPT_RESPONSES",
    kind: "`stream` or `buffer`",
    default: Default::Everywhere("stream"),
    read_by: "the functions `datasets`, `generate`, `inference` and `training`",
    description: "How functions answer whose answers come bit by bit: as Lambda streams them, or whole, behind what cannot \
                  take a stream, such as an emulator.",
    example: "",
    secret: false,
};

/// Says how finely functions measure.
pub const METRICS: Variable = Variable {
    name: "LLMOPT_METRICS",
    kind: "`off`, `routes` or `models`",
    default: Default::Everywhere("routes"),
    read_by: "the functions that answer requests",
    description: "How finely functions tell CloudWatch's metrics apart, each of which is charged for: not at all, by the \
                  classes of routes and statuses, or answers by model too (docs/LOGGING.md). `llmopt serve` has all \
                  metrics at `/metrics`.",
    example: "",
    secret: false,
};

/// Names the collector of traces, as the field's other tools spell it.
pub const OTLP_ENDPOINT: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    kind: "an `http://` or `https://` URL",
    default: Default::Unset("there are no traces"),
    read_by: "`llmopt serve`",
    description: "The OpenTelemetry collector that traces are sent to, by OTLP over HTTP, to `/v1/traces` below it \
                  (docs/LOGGING.md).",
    example: "http://127.0.0.1:4318",
    secret: false,
};

/// Holds what the collector wants to be shown.
pub const OTLP_HEADERS: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_HEADERS",
    kind: "`name=value` pairs with commas between them",
    default: Default::Unset("nothing is shown to the collector"),
    read_by: "`llmopt serve`",
    description: "Headers that are sent to the collector, such as one with its key. Never logged.",
    example: "api-key=...",
    secret: true,
};

/// Says what the program is called in traces.
pub const SERVICE_NAME: Variable = Variable {
    name: "OTEL_SERVICE_NAME",
    kind: "a name",
    default: Default::Everywhere("llmopt"),
    read_by: "`llmopt serve`",
    description: "What the server is called in traces and metrics.",
    example: "",
    secret: false,
};

/// Says how much memory a function has.
pub const LAMBDA_MEMORY: Variable = Variable {
    name: "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    kind: "a whole number from 1, in MiB",
    default: Default::Unset("the system says what limits memory, if anything does"),
    read_by: "the function `health`",
    description: "The memory of the function, as Lambda sets it: `GET /status` shows it.",
    example: "128",
    secret: false,
};

/// Names the Batch job that a trainer is.
pub const BATCH_JOB_ID: Variable = Variable {
    name: "AWS_BATCH_JOB_ID",
    kind: "the id of a Batch job",
    default: Default::Unset("the trainer makes up a name"),
    read_by: "`llmopt-trainer run --job`",
    description: "The Batch job that runs the trainer, as AWS Batch sets it: a part of the worker's name.",
    example: "876da822-4198-45f2-a252-6cea32512ea8",
    secret: false,
};

/// Counts the attempts of that Batch job.
pub const BATCH_JOB_ATTEMPT: Variable = Variable {
    name: "AWS_BATCH_JOB_ATTEMPT",
    kind: "a whole number from 1",
    default: Default::Unset("it counts as the first"),
    read_by: "`llmopt-trainer run --job`",
    description: "Which attempt of the Batch job it is, as AWS Batch sets it.",
    example: "1",
    secret: false,
};

/// Tells tests where data lies that is not part of the repository.
pub const TEST_DATA: Variable = Variable {
    name: "LLMOPT_TEST_DATA",
    kind: "a folder",
    default: Default::Unset("tests that need outside data say so and are skipped"),
    read_by: "tests only",
    description: "Data for tests that is not part of the repository.",
    example: "/path/to/data",
    secret: false,
};

/// Tells tests where the AWS emulator is.
pub const TEST_MINISTACK: Variable = Variable {
    name: "LLMOPT_TEST_MINISTACK",
    kind: "a file",
    default: Default::Unset(
        "`scripts/test` installs one; tests that need it say so and are skipped otherwise",
    ),
    read_by: "tests only",
    description: "The program of the AWS emulator that tests start.",
    example: "/path/to/ministack",
    secret: false,
};

/// Tells tests where the second opinion on DynamoDB is.
pub const TEST_DYNALITE: Variable = Variable {
    name: "LLMOPT_TEST_DYNALITE",
    kind: "a file",
    default: Default::Unset(
        "`scripts/test` installs it where there is npm; tests that need it say so and are skipped otherwise",
    ),
    read_by: "tests only",
    description: "The program of the emulator of DynamoDB that conditional writes are also tried on.",
    example: "/path/to/dynalite",
    secret: false,
};

/// Tells tests where Python with clients of the API is.
pub const TEST_API_PYTHON: Variable = Variable {
    name: "LLMOPT_TEST_API_PYTHON",
    kind: "a file",
    default: Default::Unset(
        "`scripts/test` installs one; tests that need it say so and are skipped otherwise",
    ),
    read_by: "tests only",
    description: "The Python that runs the guides' examples: one that has `requests`.",
    example: "/path/to/python",
    secret: false,
};

/// Tells scripts where to keep what they fetch.
pub const CACHE: Variable = Variable {
    name: "LLMOPT_CACHE",
    kind: "a folder",
    default: Default::Unset("`~/.cache/llmopt`"),
    read_by: "scripts only",
    description: "Where scripts keep what they fetch, such as libtorch.",
    example: "/path/to/cache",
    secret: false,
};

/// Tells the guides' examples where the API is.
pub const URL: Variable = Variable {
    name: "LLMOPT_URL",
    kind: "an `http://` or `https://` URL that ends with `/api/v1`",
    default: Default::Unset("nothing; llmopt itself has no use for it"),
    read_by: "the examples of docs/API.md only",
    description: "Where the API is that the guides' examples ask.",
    example: "http://127.0.0.1:8080/api/v1",
    secret: false,
};

/// Holds the key that the guides' examples show.
pub const KEY: Variable = Variable {
    name: "LLMOPT_KEY",
    kind: "a platform key",
    default: Default::Unset("nothing; llmopt itself has no use for it"),
    read_by: "the examples of docs/API.md only",
    description: "The platform's key that the guides' examples show.",
    example: "llmopt_...",
    secret: true,
};

/// All variables, in the order of the reference.
pub const ALL: &[&Variable] = &[
    &ENVIRONMENT,
    &LOG,
    &LOG_FORMAT,
    &DATA_DIR,
    &THREADS,
    &DEVICE,
    &TRAINER,
    &TRAINER_MACHINE,
    &TRAINER_USD_PER_HOUR,
    &HUB_ENDPOINT,
    &HF_ENDPOINT,
    &HF_TOKEN,
    &HUB_TOKEN_SECRET,
    &REQUESTS_PER_MINUTE,
    &KEY_REQUESTS_PER_MINUTE,
    &LIMITS_IN_OUTAGE,
    &ROUTE_LIMITS,
    &CORS_ORIGINS,
    &MODEL_CACHE,
    &MODEL_CACHE_MB,
    &MODEL_WEIGHTS,
    &MODEL_THREADS,
    &MODEL_TIMEOUT_SECONDS,
    &LISTEN,
    &OPENAI_API_KEY,
    &OPENAI_API_KEY_FILE,
    &OPENAI_KEY_SECRET,
    &OPENAI_BASE_URL,
    &OPENAI_REGION,
    &OPENAI_REQUESTS_PER_MINUTE,
    &OPENAI_TOKENS_PER_MINUTE,
    &ANTHROPIC_API_KEY,
    &ANTHROPIC_API_KEY_FILE,
    &ANTHROPIC_KEY_SECRET,
    &ANTHROPIC_BASE_URL,
    &ANTHROPIC_REGION,
    &ANTHROPIC_REQUESTS_PER_MINUTE,
    &ANTHROPIC_TOKENS_PER_MINUTE,
    &MODEL_LIMITS,
    &PROVIDERS,
    &MODEL_ALIASES,
    &TURN_WAIT_SECONDS,
    &SPENDING_SYNC,
    &ALERT_WEBHOOK,
    &ALERT_TOPIC,
    &JOB_LEASE_SECONDS,
    &STORE,
    &BUCKET,
    &RECORDS_TABLE,
    &KEYS_TABLE,
    &RATES_TABLE,
    &ANSWERS_TABLE,
    &EVENTS_TABLE,
    &TRAINING_QUEUE_URL,
    &DEAD_LETTER_QUEUE_URL,
    &QUESTION_QUEUE_URL,
    &DEAD_QUESTION_QUEUE_URL,
    &INFERENCE_FUNCTION,
    &RESPONSES,
    &METRICS,
    &OTLP_ENDPOINT,
    &OTLP_HEADERS,
    &SERVICE_NAME,
    &LAMBDA_MEMORY,
    &BATCH_JOB_ID,
    &BATCH_JOB_ATTEMPT,
    &TEST_DATA,
    &TEST_MINISTACK,
    &TEST_DYNALITE,
    &TEST_API_PYTHON,
    &CACHE,
    &URL,
    &KEY,
];
