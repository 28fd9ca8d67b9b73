//! The variables of commercial models.

use super::{Default, Variable};

const ASKERS: &str = "`llmopt serve` and the functions `generate` and `commercial`";
const REQUESTS: &str = "a whole number; `0` turns the limit off";
const TOKENS: &str = "a whole number from 1";
const REGION: &str = "`global` or `regional`";
const BASE_URL: &str = "an `http://` or `https://` URL without a user, a query or a fragment";

/// Holds the key of OpenAI's API, as the field's other tools spell it.
pub const OPENAI_API_KEY: Variable = Variable {
    name: "OPENAI_API_KEY",
    kind: "a key of OpenAI's API",
    default: Default::Unset(
        "`OPENAI_API_KEY_FILE` or `LLMOPT_OPENAI_KEY_SECRET`; without any, no model of OpenAI's can be asked",
    ),
    read_by: ASKERS,
    description: "The key that OpenAI's models are asked with. Never logged. It stays the same until the process ends: one \
                  that is to be changed without that is kept in a file or a secret.",
    example: "sk-...",
    secret: true,
};

/// Names the file with that key.
pub const OPENAI_API_KEY_FILE: Variable = Variable {
    name: "OPENAI_API_KEY_FILE",
    kind: "a file",
    default: Default::Unset("`OPENAI_API_KEY`, if that is set"),
    read_by: ASKERS,
    description: "The file with the key that OpenAI's models are asked with, and nothing else. It is read again whenever it \
                  has changed, so that a new key needs no restart.",
    example: "/run/secrets/openai",
    secret: false,
};

/// Says where OpenAI's API is, as the field's other tools spell it.
pub const OPENAI_BASE_URL: Variable = Variable {
    name: "OPENAI_BASE_URL",
    kind: BASE_URL,
    default: Default::Unset("`https://api.openai.com/v1`"),
    read_by: ASKERS,
    description: "Where OpenAI's API is asked, such as a proxy in front of it: whatever answers there is paid for at \
                  OpenAI's prices. Servers of others are named in `LLMOPT_PROVIDERS`.",
    example: "https://eu.api.openai.com/v1",
    secret: true,
};

/// Says whether OpenAI answers anywhere.
pub const OPENAI_REGION: Variable = Variable {
    name: "LLMOPT_OPENAI_REGION",
    kind: REGION,
    default: Default::Unset(
        "`regional` where `OPENAI_BASE_URL` is an address of a region of OpenAI's, such as `https://eu.api.openai.com/v1`, \
         else `global`",
    ),
    read_by: ASKERS,
    description: "Whether OpenAI answers anywhere, or only in a region that was chosen, which costs more: costs are counted \
                  by that. To be set where a proxy stands before a region's address.",
    example: "regional",
    secret: false,
};

/// Holds the key of Anthropic's API, as the field's other tools spell it.
pub const ANTHROPIC_API_KEY: Variable = Variable {
    name: "ANTHROPIC_API_KEY",
    kind: "a key of Anthropic's API",
    default: Default::Unset(
        "`ANTHROPIC_API_KEY_FILE` or `LLMOPT_ANTHROPIC_KEY_SECRET`; without any, no model of Anthropic's can be asked",
    ),
    read_by: ASKERS,
    description: "The key that Anthropic's models are asked with. Never logged. It stays the same until the process ends.",
    example: "sk-ant-...",
    secret: true,
};

/// Names the file with that key.
pub const ANTHROPIC_API_KEY_FILE: Variable = Variable {
    name: "ANTHROPIC_API_KEY_FILE",
    kind: "a file",
    default: Default::Unset("`ANTHROPIC_API_KEY`, if that is set"),
    read_by: ASKERS,
    description: "The file with the key that Anthropic's models are asked with, and nothing else; read again whenever it \
                  has changed.",
    example: "/run/secrets/anthropic",
    secret: false,
};

/// Says where Anthropic's API is, as the field's other tools spell it.
pub const ANTHROPIC_BASE_URL: Variable = Variable {
    name: "ANTHROPIC_BASE_URL",
    kind: BASE_URL,
    default: Default::Unset("`https://api.anthropic.com`"),
    read_by: ASKERS,
    description: "Where Anthropic's API is asked: whatever answers there is paid for at Anthropic's prices.",
    example: "https://proxy.example.com",
    secret: true,
};

/// Says whether Anthropic answers anywhere.
pub const ANTHROPIC_REGION: Variable = Variable {
    name: "LLMOPT_ANTHROPIC_REGION",
    kind: REGION,
    default: Default::Everywhere("global"),
    read_by: ASKERS,
    description: "Whether Anthropic answers anywhere, or only in a region, as a workspace may be set to, which costs more: \
                  that is what is reserved then. What an answer cost goes by what the answer says.",
    example: "",
    secret: false,
};

/// Names the secret with OpenAI's key.
pub const OPENAI_KEY_SECRET: Variable = Variable {
    name: "LLMOPT_OPENAI_KEY_SECRET",
    kind: "the name or ARN of a secret in AWS Secrets Manager",
    default: Default::Unset("`OPENAI_API_KEY`, if that is set"),
    read_by: "the functions `generate` and `commercial`",
    description: "The secret that holds OpenAI's key, so that no environment has to; what a rotation puts there is used \
                  without a deployment.",
    example: "llmopt/openai",
    secret: false,
};

/// Names the secret with Anthropic's key.
pub const ANTHROPIC_KEY_SECRET: Variable = Variable {
    name: "LLMOPT_ANTHROPIC_KEY_SECRET",
    kind: "the name or ARN of a secret in AWS Secrets Manager",
    default: Default::Unset("`ANTHROPIC_API_KEY`, if that is set"),
    read_by: "the functions `generate` and `commercial`",
    description: "The secret that holds Anthropic's key; what a rotation puts there is used without a deployment.",
    example: "llmopt/anthropic",
    secret: false,
};

/// Limits the requests to OpenAI.
pub const OPENAI_REQUESTS_PER_MINUTE: Variable = Variable {
    name: "LLMOPT_OPENAI_REQUESTS_PER_MINUTE",
    kind: REQUESTS,
    default: Default::Everywhere("60"),
    read_by: ASKERS,
    description: "Requests to OpenAI in a minute, and at once, by all processes that share a store. One that comes too early \
                  waits for its turn, or is told when that is.",
    example: "",
    secret: false,
};

/// Limits the tokens of OpenAI's models.
pub const OPENAI_TOKENS_PER_MINUTE: Variable = Variable {
    name: "LLMOPT_OPENAI_TOKENS_PER_MINUTE",
    kind: TOKENS,
    default: Default::Unset("tokens are not limited"),
    read_by: ASKERS,
    description: "Tokens that requests to OpenAI may use in a minute, as estimated before they are sent.",
    example: "150000",
    secret: false,
};

/// Limits the requests to Anthropic.
pub const ANTHROPIC_REQUESTS_PER_MINUTE: Variable = Variable {
    name: "LLMOPT_ANTHROPIC_REQUESTS_PER_MINUTE",
    kind: REQUESTS,
    default: Default::Everywhere("50"),
    read_by: ASKERS,
    description: "Requests to Anthropic in a minute, and at once, by all processes that share a store.",
    example: "",
    secret: false,
};

/// Limits the tokens of Anthropic's models.
pub const ANTHROPIC_TOKENS_PER_MINUTE: Variable = Variable {
    name: "LLMOPT_ANTHROPIC_TOKENS_PER_MINUTE",
    kind: TOKENS,
    default: Default::Unset("tokens are not limited"),
    read_by: ASKERS,
    description: "Tokens that requests to Anthropic may use in a minute, as estimated before they are sent.",
    example: "50000",
    secret: false,
};

/// Limits single models of OpenAI's and Anthropic's.
pub const MODEL_LIMITS: Variable = Variable {
    name: "LLMOPT_MODEL_LIMITS",
    kind: "a JSON object: ids of models of OpenAI's and Anthropic's, each with limits",
    default: Default::Unset("models have only the limits of their providers"),
    read_by: ASKERS,
    description: "How often single models of OpenAI's and Anthropic's may be asked, besides the limits of their providers: \
                  `requests_per_minute`, `tokens_per_minute` or both. What a provider says of a limit that is used up is \
                  then of that model alone. Models of other servers have theirs in `LLMOPT_PROVIDERS`.",
    example: r#"{"gpt-6-luna":{"requests_per_minute":500,"tokens_per_minute":200000}}"#,
    secret: false,
};

/// Names further servers that speak one of the two APIs.
pub const PROVIDERS: Variable = Variable {
    name: "LLMOPT_PROVIDERS",
    kind: "a JSON list of servers",
    default: Default::Unset("there are no others than OpenAI and Anthropic"),
    read_by: ASKERS,
    description: "Further servers that speak OpenAI's API or Anthropic's, such as vLLM or another vendor's; their models are \
                  asked for as `NAME/MODEL`. Each has a `name` (of `a-z`, `0-9` and `-`), an `api` (`openai` or \
                  `anthropic`) and a `base_url`; its key, if it wants one, in a file (`key_file`, read again when it \
                  changes), in another environment variable (`key_env`) or in a secret (`key_secret`). It may have \
                  `headers` to send, `max_tokens_field` (`max_tokens`, or `max_completion_tokens`), \
                  `query` to add to every address (such as Azure's `api-version`), `stream_usage` (`false` for a server that refuses \
                  to be asked for the tokens of a stream, which is then billed at its bound), \
                  `requests_per_minute` and `tokens_per_minute`, the same for single `models`, and a `ceiling`: the \
                  `input_usd_per_million` and `output_usd_per_million` tokens, in quotes, that its models are charged at; \
                  `\"0\"` is free. A model without a price is refused. Never logged, for the headers' and the query's sake.",
    example: r#"[{"name":"vllm","api":"openai","base_url":"http://10.0.0.5:8000/v1","ceiling":{"input_usd_per_million":"0","output_usd_per_million":"0"}}]"#,
    secret: true,
};

/// Gives names to commercial models.
pub const MODEL_ALIASES: Variable = Variable {
    name: "LLMOPT_MODEL_ALIASES",
    kind: "a JSON object: names, each with a list of models' ids",
    default: Default::Unset("commercial models have only the names that their providers give them"),
    read_by: ASKERS,
    description: "Names of one's own for commercial models, of letters, digits, `-`, `_` and `.`. The models of a name are \
                  asked in turn: where one fails before its first word, the next is asked.",
    example: r#"{"smart":["claude-opus-5-5","gpt-6.1-sol"]}"#,
    secret: false,
};

/// Bounds how long a request waits for its turn.
pub const TURN_WAIT_SECONDS: Variable = Variable {
    name: "LLMOPT_TURN_WAIT_SECONDS",
    kind: "a whole number from 0 to 60, in seconds",
    default: Default::Everywhere("2"),
    read_by: ASKERS,
    description: "How long a request waits for its turn with a provider; one whose turn is later is told when to come again.",
    example: "",
    secret: false,
};

/// Says whether what a question may cost is on the disk before a provider has all of it.
pub const SPENDING_SYNC: Variable = Variable {
    name: "LLMOPT_SPENDING_SYNC",
    kind: "`full` or `normal`",
    default: Default::Everywhere("full"),
    read_by: "`llmopt serve`",
    description: "SQLite's `synchronous` for budgets and costs. With `full`, a provider has the whole of a \
                  question when the disk has what it may cost: a loss of power may take back what calls of the last moments did cost, which then \
                  count at the most that was reserved for them. With `normal` nothing waits for the disk, and a loss of power may \
                  take back all that was spent in the moments before. The death of the process takes back nothing either way.",
    example: "",
    secret: false,
};

/// Says where alerts of budgets are sent.
pub const ALERT_WEBHOOK: Variable = Variable {
    name: "LLMOPT_ALERT_WEBHOOK",
    kind: "an `http://` or `https://` URL",
    default: Default::Unset("alerts are in the log"),
    read_by: ASKERS,
    description: "Where alerts of budgets are sent, by `POST` and as JSON. Whoever knows such an address may often write \
                  there: never logged.",
    example: "https://hooks.example.com/llmopt",
    secret: true,
};

/// Names the topic that alerts of budgets are sent to.
pub const ALERT_TOPIC: Variable = Variable {
    name: "LLMOPT_ALERT_TOPIC",
    kind: "the ARN of an SNS topic",
    default: Default::Unset("alerts are in the log"),
    read_by: "the functions `generate` and `commercial`",
    description: "The topic that alerts of budgets are sent to.",
    example: "arn:aws:sns:eu-central-1:123456789012:llmopt-dev-alerts",
    secret: false,
};
