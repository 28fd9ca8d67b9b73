//! Questions that are answered later: they wait in a queue, and their answers are looked up.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use llmopt_commercial::Asker;
use llmopt_http::{API, Caller, Code, Problem, ProblemView, asker, billed_request, now_ms};
use llmopt_service::{Answers, Begun, Keys, Known, Recalled, RequestName, ServiceError};
use llmopt_storage::{MessageQueue, StorageError, spend::RequestId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{GenerateState, request::GenerateRequest, response::GenerateResponse, routed::Routed};

mod worker;

pub use worker::{AnswerWorker, Worked};

/// Bytes of the largest question that is queued, as JSON: a message of SQS has 256 KiB everywhere.
const LARGEST: usize = 240 << 10;
/// Seconds after which it is worth while to look whether a question is answered.
const LOOK_AGAIN: u64 = 1;
/// What an answer is kept under, besides its id, which no other question has.
const ROUTE: &str = "GET /generate/results/{id}";
const FINGERPRINT: &str = "queued";

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// What a caller prefers who wants an answer later, as RFC 7240 has it.
const LATER: &str = "respond-async";

/// Where questions wait that are answered later, and their answers.
#[derive(Clone)]
pub struct QueuedAnswers {
    /// Keeps the answers, each sealed with its id.
    pub answers: Answers,
    /// Has the questions.
    pub queue: Arc<dyn MessageQueue>,
    /// The keys, which may end before a question has its turn; absent where none is looked at.
    pub keys: Option<Keys>,
}

/// A question that waits.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueuedQuestion {
    /// What it is called, and what it costs is billed under.
    pub(crate) id: RequestId,
    pub(crate) asker: Asker,
    /// When it was asked, in milliseconds since 1970.
    pub(crate) asked_ms: u64,
    pub(crate) request: GenerateRequest,
}

impl QueuedQuestion {
    /// Renders it as a message. SQS takes every character of a JSON text but these two.
    fn message(&self) -> Result<String, Problem> {
        let json = serde_json::to_string(self)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let escaped = json.replace('\u{fffe}', r"\ufffe");
        Ok(escaped.replace('\u{ffff}', r"\uffff"))
    }
}

/// How far a question is that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueuedStatus {
    /// Nobody works on it yet, or its turn has not come.
    Queued,
    /// It is being answered.
    Running,
    /// `response` has the answer.
    Succeeded,
    /// `error` says why there is no answer.
    Failed,
}

/// A question that is answered later, and its answer once it is there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuedAnswer {
    /// What it is looked up by. What it costs is in the ledger under this name.
    #[schema(value_type = String)]
    pub(crate) id: RequestId,
    pub(crate) status: QueuedStatus,
    /// When it was answered, or had failed; the answer is kept for a day from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub(crate) ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response: Option<Box<GenerateResponse>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemView>)]
    pub(crate) error: Option<Value>,
}

impl QueuedAnswer {
    fn on_its_way(id: RequestId, status: QueuedStatus) -> Self {
        Self {
            id,
            status,
            ended_at: None,
            response: None,
            error: None,
        }
    }
}

impl IntoResponse for QueuedAnswer {
    fn into_response(self) -> Response {
        ([(header::RETRY_AFTER, LOOK_AGAIN)], Json(self)).into_response()
    }
}

/// Returns whether the caller prefers to get the answer later.
pub(crate) fn prefers_later(headers: &HeaderMap) -> bool {
    let given = headers.get_all(PREFER).iter();
    let preferences = given.filter_map(|it| it.to_str().ok());
    preferences
        .flat_map(|it| it.split([',', ';']))
        .any(|it| it.trim().eq_ignore_ascii_case(LATER))
}

impl QueuedAnswers {
    /// Queues a question of `asker`.
    ///
    /// # Errors
    /// If it is too large, or the queue cannot be reached: nothing will be asked then, unless the store of answers cannot
    /// be reached either.
    pub(crate) async fn put(
        &self,
        request: GenerateRequest,
        asker: Asker,
    ) -> Result<Response, Problem> {
        let question = QueuedQuestion {
            id: billed_request()?,
            asker,
            asked_ms: now_ms(),
            request,
        };
        let message = question.message()?;
        if message.len() > LARGEST {
            return Err(too_large(message.len()));
        }
        self.announce(&question, &message).await.map_err(problem)?;
        let location = format!("{API}/generate/results/{}", question.id);
        let answer = QueuedAnswer::on_its_way(question.id, QueuedStatus::Queued);
        let applied = [(header::LOCATION, location), (APPLIED, LATER.to_owned())];
        Ok((StatusCode::ACCEPTED, applied, answer).into_response())
    }

    /// In this order a question that is in the queue is always known.
    async fn announce(&self, question: &QueuedQuestion, message: &str) -> Result<(), StorageError> {
        let name = name_of(&question.asker.key, question.id.as_str());
        self.answers.announce(&name, FINGERPRINT).await?;
        let sent = self.queue.send(message).await;
        if sent.is_err() {
            self.withdraw(&name).await;
        }
        sent
    }

    /// Sees to it that nobody asks a question that may be in the queue, and whose caller is told that it is not.
    async fn withdraw(&self, name: &RequestName) {
        let withdrawn = async {
            if let Begun::Granted(lease) = self.answers.begin(name, Some(FINGERPRINT)).await? {
                lease.keep(FINGERPRINT, b"{}".to_vec()).await?;
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = withdrawn.await {
            tracing::error!(%error, "a question that was refused may be asked");
        }
    }
}

/// Looks up the answer to a question that was queued (`prefer: respond-async`), with the key that asked it: `queued` or
/// `running`, and once it is there, `succeeded` with the answer or `failed` with a problem. It is kept for a day.
#[utoipa::path(
    get,
    path = "/generate/results/{answer_id}",
    tag = "generate",
    params(("answer_id" = String, Path, description = "The `id` that the question got when it was queued.")),
    responses(
        (
            status = 200,
            description = "How far it is, and the answer once it is there.",
            body = QueuedAnswer,
            headers(("retry-after" = u64, description = "Seconds after which to look again, until it has ended."))
        ),
        (status = 404, description = "`answer_not_found`"),
        (status = 503, description = "`store_unavailable`"),
    )
)]
pub(crate) async fn get_result(
    State(state): State<GenerateState>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let name = name_of(&asker(caller.as_ref()).key, &id);
    let known = match &state.queued {
        Some(queued) => queued.answers.look(&name).await.map_err(problem)?,
        None => None,
    };
    let on_its_way = |status| {
        let id = RequestId::try_from(id.clone()).map_err(|_| unknown(&id))?;
        Ok(QueuedAnswer::on_its_way(id, status).into_response())
    };
    match known {
        None => Err(unknown(&id)),
        Some(Known::Waiting) => on_its_way(QueuedStatus::Queued),
        Some(Known::Working) => on_its_way(QueuedStatus::Running),
        Some(Known::Finished(past)) => match past.recall(FINGERPRINT) {
            Recalled::Answer(bytes) => Ok(as_json(bytes)),
            Recalled::TooLarge => Err(Problem::new(
                Code::AnswerLost,
                "the answer is there no more: it was too large to be kept; ask for a stream instead",
            )),
            Recalled::Reused | Recalled::Sealed => Err(unknown(&id)),
        },
    }
}

/// Checks what can be checked before anybody works on a question.
pub(crate) async fn check(state: &GenerateState, question: &Routed) -> Result<(), Problem> {
    match question {
        Routed::Ours(question) => Ok(state.generation.check(&question.model).await?),
        Routed::Commercial(asked) => {
            asked.commercial.quote(&asked.question)?;
            Ok(())
        }
    }
}

/// Returns under what name the answer called `id` of the key called `key` is kept, which nobody can tell without both.
pub(crate) fn name_of(key: &str, id: &str) -> RequestName {
    RequestName::new(key, None, ROUTE, id)
}

fn as_json(bytes: Vec<u8>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], bytes).into_response()
}

pub(crate) fn problem(error: StorageError) -> Problem {
    ServiceError::from(error).into()
}

fn unknown(id: &str) -> Problem {
    Problem::new(
        Code::AnswerNotFound,
        format!(
            "no question `{id}` of this key is queued, and no answer to it is kept: look with the key that asked, within a day"
        ),
    )
}

fn too_large(bytes: usize) -> Problem {
    Problem::new(
        Code::BodyTooLarge,
        format!(
            "a question of {bytes} bytes cannot be queued: expected at most {LARGEST}; ask without `prefer: {LATER}`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_comes_out_of_its_message_as_it_went_in() {
        let call =
            json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let bodies = [
            json!({"model_id": "a", "prompt": "\u{0}\u{7f}\\\u{fffe}\u{ffff}\u{10ffff}ä"}),
            json!({
                "model_id": "a", "stop": "x", "seed": 7, "temperature": 0.1, "top_p": 0.3, "max_tokens": 5,
                "tool_choice": "auto", "response_format": {"type": "json_object"},
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "u"},
                    {"role": "assistant", "content": "", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c1", "content": "t"},
                ],
            }),
        ];
        for body in bodies {
            let request: GenerateRequest = serde_json::from_value(body).unwrap();
            let question = QueuedQuestion {
                id: RequestId::try_from("req_1".to_owned()).unwrap(),
                asker: Asker {
                    key: "k".to_owned(),
                    tokens_per_minute: NonZeroU32::new(5),
                },
                asked_ms: 1,
                request: request.clone(),
            };
            let message = question.message().unwrap();
            let is_taken =
                |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
            assert!(message.chars().all(is_taken), "{message}");
            let read: QueuedQuestion = serde_json::from_str(&message).unwrap();
            assert_eq!(read.asker, question.asker);
            let (expected, read) = (request.validate("").unwrap(), read.request.validate(""));
            assert_eq!(format!("{:?}", read.unwrap()), format!("{expected:?}"));
        }
    }

    #[test]
    fn a_preference_for_later_is_seen_among_others_and_in_any_case() {
        let prefers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, value.parse().unwrap());
            }
            prefers_later(&headers)
        };
        assert!(prefers(&["respond-async"]));
        assert!(prefers(&["wait=10, Respond-Async"]));
        assert!(prefers(&["return=minimal", "respond-async; x=1"]));
        for none in [&[][..], &["wait=10"], &["respond-asynchronous"]] {
            assert!(!prefers(none), "{none:?}");
        }
    }
}
