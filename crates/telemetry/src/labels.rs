//! The labels of metrics, which are also attributes of spans: those of OpenTelemetry's conventions where there
//! is one. Each takes few values: none is a path, an id or a user's text.

/// The method: one that the standard names, or `_OTHER`.
pub const METHOD: &str = "http.request.method";
/// The route's template, such as `/api/v1/models/{model_id}`; empty where no route takes the path.
pub const ROUTE: &str = "http.route";
/// The status of the answer; empty where none was sent.
pub const STATUS: &str = "http.response.status_code";
/// The `code` of the problem, `_OTHER` for a fault that has none, or `cancelled`; empty where all is well.
pub const ERROR: &str = "error.type";
/// `chat`.
pub const OPERATION: &str = "gen_ai.operation.name";
/// Whose model it is: `llmopt` for those that are here, else `openai`, `anthropic` or the name of another provider.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The whole id of a model that is there, or of a commercial one that answered; `other` beyond the first hundred,
/// empty where none was found.
pub const MODEL: &str = "gen_ai.request.model";
/// `input` or `output`.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// What the limit that refused is of: `address`, `key` or `route`; `uncounted` where nobody could count.
pub const REFUSAL_SCOPE: &str = "llmopt.refusal.scope";
/// `hit` or `miss`.
pub const CACHE_RESULT: &str = "llmopt.cache.result";
/// `queued`, `running`, `stopped`, `succeeded` or `failed`.
pub const JOB_STATE: &str = "llmopt.job.state";
/// `waiting`, `taken` or `dead`.
pub const MESSAGE_STATE: &str = "llmopt.message.state";
/// What was checked, as `GET /ready` names it.
pub const CHECK: &str = "llmopt.check";
/// `free` or `used`.
pub const DISK_STATE: &str = "system.filesystem.state";
/// The number of the device, from 0 on.
pub const GPU: &str = "hw.id";
/// What the program is called (`OTEL_SERVICE_NAME`).
pub const SERVICE: &str = "service.name";
/// Its version.
pub const VERSION: &str = "service.version";
/// `LLMOPT_ENVIRONMENT`.
pub const ENVIRONMENT: &str = "deployment.environment.name";
/// The first part of the route below `/api/v1`, such as `models`; `none` where no route takes the path.
pub const ROUTE_CLASS: &str = "llmopt.route.class";
/// `2xx` to `5xx`; `cancelled` where no answer was sent.
pub const STATUS_CLASS: &str = "llmopt.status.class";
