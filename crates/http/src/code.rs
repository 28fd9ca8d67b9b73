use axum::http::StatusCode;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// Writes the codes down once: what each is called in a program and in an answer, its status, what it means
/// and what the caller does about it.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident: $name:literal $status:ident $title:literal $advice:literal)*) => {
        /// Every code that a problem can have: stable names for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            fn row(self) -> (&'static str, StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$variant => ($name, StatusCode::$status, $title, $advice),)*
                }
            }
        }
    };
}

codes! {
    /// The body, the query or a header is malformed.
    InvalidRequest: "invalid_request" BAD_REQUEST
        "malformed request"
        "Mend what `detail` and `errors` name: the body, the query or a header is not what the route reads."
    /// Fields of the request have values that are not taken.
    ValidationFailed: "validation_failed" UNPROCESSABLE_ENTITY
        "values that are not taken"
        "Mend every field in `errors`; all of them are there."
    /// There is no such route.
    NoRoute: "no_route" NOT_FOUND
        "no such route"
        "Compare the path with docs/API.md: every route begins with `/api/v1`."
    /// The route does not take the method.
    MethodNotAllowed: "method_not_allowed" METHOD_NOT_ALLOWED
        "another method is needed"
        "Use a method that the header `allow` names."
    /// The body is of a kind that the route does not read.
    UnsupportedMediaType: "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE
        "another kind of body is needed"
        "Send JSON with `content-type: application/json`, or what the route takes."
    /// The body is larger than the route takes.
    BodyTooLarge: "body_too_large" PAYLOAD_TOO_LARGE
        "body too large"
        "Send less; a large dataset goes by `POST /datasets/uploads`, in parts."
    /// The request comes from a page of another site.
    ForeignOrigin: "foreign_origin" FORBIDDEN
        "not from this machine"
        "Ask from this machine, under its own name: pages of other sites are kept out."
    /// The request shows no key that is taken.
    Unauthorized: "unauthorized" UNAUTHORIZED
        "a key is needed"
        "Show a key in `authorization: Bearer KEY`; `llmopt keys create` makes one."
    /// The key is not for that.
    Forbidden: "forbidden" FORBIDDEN
        "the key is not for this"
        "Use a key with the scope that `detail` names."
    /// The caller asks too often.
    TooManyRequests: "too_many_requests" TOO_MANY_REQUESTS
        "too many requests"
        "Wait for as many seconds as the header `retry-after` says, then ask again."
    /// A request with this name is worked on.
    IdempotencyInFlight: "idempotency_in_flight" CONFLICT
        "the same request is worked on"
        "Send it again after as many seconds as `retry-after` says: it gets the first one's answer."
    /// The name of a request was used for another.
    IdempotencyKeyReused: "idempotency_key_reused" UNPROCESSABLE_ENTITY
        "the `idempotency-key` is another request's"
        "Draw another `idempotency-key` for every new request; send one again with the same request only."
    /// A request was answered, and the answer cannot be shown again.
    IdempotencyAnswerUnavailable: "idempotency_answer_unavailable" CONFLICT
        "done, and the answer is not there any more"
        "Look for what the request made; send another `idempotency-key` to do it once more."
    /// There is no such platform key.
    KeyNotFound: "key_not_found" NOT_FOUND
        "no such key"
        "Look the id up with `GET /keys`."
    /// The key has ended.
    KeyState: "key_state" CONFLICT
        "the key has ended"
        "Make another key."
    /// There is no such model.
    ModelNotFound: "model_not_found" NOT_FOUND
        "no such model"
        "Look the name up with `GET /models`."
    /// There is no such dataset.
    DatasetNotFound: "dataset_not_found" NOT_FOUND
        "no such dataset"
        "Look the id up with `GET /datasets`."
    /// Nothing was sent to such an upload.
    UploadNotFound: "upload_not_found" NOT_FOUND
        "no such upload"
        "Send the file, or its parts, before the upload expires, then complete it; or begin another."
    /// Parts of an upload are missing.
    UploadIncomplete: "upload_incomplete" CONFLICT
        "parts of the file are missing"
        "Send the parts that `detail` names, then complete the upload."
    /// What was sent to an upload is not what was announced.
    UploadChanged: "upload_changed" UNPROCESSABLE_ENTITY
        "the file is not the one that was announced"
        "Upload the file anew, as it is now; nothing of it was kept."
    /// Files are sent in requests here.
    NoUploads: "no_uploads" NOT_FOUND
        "no uploads apart from requests"
        "Send the file to `POST /datasets`, which takes any size here, or in parts."
    /// There is no such training job.
    JobNotFound: "job_not_found" NOT_FOUND
        "no such training job"
        "Look the id up with `GET /training/jobs`."
    /// The job has no such checkpoint.
    CheckpointNotFound: "checkpoint_not_found" NOT_FOUND
        "no such checkpoint"
        "Look the steps up with `GET /training/jobs/{id}/checkpoints`."
    /// The job is not in a state for that.
    JobState: "job_state" CONFLICT
        "not in this state"
        "Wait until the job has ended, or stop it first, as `detail` says."
    /// The inputs of the job are not what they were.
    JobChanged: "job_changed" CONFLICT
        "the inputs have changed"
        "Put back what changed, or submit a new job."
    /// Something is needed by an active job, or worked on by another process.
    InUse: "in_use" CONFLICT
        "in use"
        "Stop what uses it first, or try again when that has ended."
    /// What was to be made is there already.
    AlreadyExists: "already_exists" CONFLICT
        "exists already"
        "Use what is there, or another name."
    /// The dataset has errors.
    DatasetInvalid: "dataset_invalid" UNPROCESSABLE_ENTITY
        "the dataset has errors"
        "Mend the rows that `report` names, and upload the file again."
    /// The model cannot be used for what was asked.
    ModelUnsuitable: "model_unsuitable" UNPROCESSABLE_ENTITY
        "the model cannot be used for this"
        "Choose another model; `detail` says what this one lacks."
    /// A Hub has no such model, or does not give it.
    HubRefused: "hub_refused" UNPROCESSABLE_ENTITY
        "the Hub gives no such model"
        "Check the name, and that the server's `HF_TOKEN` may read the model."
    /// A Hub did not answer as it should.
    HubFailed: "hub_failed" BAD_GATEWAY
        "the Hub failed"
        "Try again later."
    /// A budget has less than a request may cost.
    BudgetExceeded: "budget_exceeded" PAYMENT_REQUIRED
        "the budget does not allow it"
        "Ask for fewer tokens or a cheaper model, wait until `budget.resets_at`, or have the budget raised."
    /// There is no such budget.
    BudgetNotFound: "budget_not_found" NOT_FOUND
        "no such budget"
        "Look the scope up with `GET /commercial/budgets`."
    /// Our own limit of a provider has no turn soon enough.
    ProviderLimitReached: "provider_limit_reached" TOO_MANY_REQUESTS
        "the limit of requests to the provider is reached"
        "Ask again after as many seconds as `retry-after` says: the next turn is then. Nothing was sent or billed."
    /// The provider refuses because too much was asked of it.
    ProviderRateLimited: "provider_rate_limited" TOO_MANY_REQUESTS
        "the provider is asked too often"
        "Ask later, after as many seconds as `retry-after` says where it is there; at once was tried. Lower the limits in the configuration to what the account has."
    /// The provider has too much to do, or has failed so often that it is left alone.
    ProviderUnavailable: "provider_unavailable" SERVICE_UNAVAILABLE
        "the provider cannot be asked now"
        "Ask later, after as many seconds as `retry-after` says where it is there, or ask another provider's model."
    /// The account at the provider has no credit.
    ProviderQuotaExhausted: "provider_quota_exhausted" SERVICE_UNAVAILABLE
        "the account at the provider has no credit"
        "Have whoever runs the server add credit at the provider, or raise its limit of spending there: waiting does not help."
    /// The provider does not take the server's key.
    ProviderKeyRefused: "provider_key_refused" BAD_GATEWAY
        "no key that the provider takes"
        "Have whoever runs the server give it a key that the provider takes, and that may use the model."
    /// The server has no key for the provider.
    ProviderNotConfigured: "provider_not_configured" CONFLICT
        "the provider is not configured"
        "Have whoever runs the server set the provider's key (docs/CONFIGURATION.md), or ask another provider's model."
    /// The provider does not take the request.
    ProviderRejectedRequest: "provider_rejected_request" UNPROCESSABLE_ENTITY
        "the provider does not take the request"
        "Mend what `detail` names: it has the provider's own words. Some models take no `temperature` or `top_p`."
    /// The provider failed.
    ProviderFailed: "provider_failed" BAD_GATEWAY
        "the provider failed"
        "Ask later, or another provider's model; at once was tried where that could help. What was used is billed, once."
    /// The provider took too long.
    ProviderTimeout: "provider_timeout" GATEWAY_TIMEOUT
        "the provider took too long"
        "Ask for fewer tokens or as a stream, or ask later. What was used is billed, once."
    /// The model does not answer any more.
    ModelRetired: "model_retired" GONE
        "the model was shut down"
        "Ask for the model that `detail` names, or choose one of `GET /commercial/models`."
    /// Nobody knows what the model costs.
    ModelWithoutPrice: "model_without_price" UNPROCESSABLE_ENTITY
        "nobody knows what the model costs"
        "Choose a model that has a price, or have whoever runs the server update the prices or state a ceiling."
    /// No answer is queued or kept under this id.
    AnswerNotFound: "answer_not_found" NOT_FOUND
        "no such answer"
        "Look with the key that asked, under the id that `POST /generate` gave; answers are kept for a day."
    /// Whoever worked on a queued answer died after it had asked.
    AnswerLost: "answer_lost" BAD_GATEWAY
        "the answer was lost"
        "Ask again if it is still wanted: that is billed anew. What the lost one used is billed, once."
    /// The answer took longer than the route may.
    RequestTimeout: "request_timeout" GATEWAY_TIMEOUT
        "the answer took too long"
        "Try again later; where something was to be made, look first whether it is there."
    /// The model gave no answer in time.
    ModelTimeout: "model_timeout" GATEWAY_TIMEOUT
        "no answer in time"
        "Ask for fewer tokens, or raise `LLMOPT_MODEL_TIMEOUT_SECONDS`."
    /// The store does not answer now.
    StoreUnavailable: "store_unavailable" SERVICE_UNAVAILABLE
        "the store does not answer"
        "Try again in some seconds; nothing is half done."
    /// No space is left.
    NoSpace: "no_space" INSUFFICIENT_STORAGE
        "no space is left"
        "Delete what is not needed on the server, or give it more room."
    /// The model does not fit into memory.
    ModelTooLarge: "model_too_large" INSUFFICIENT_STORAGE
        "the model does not fit into memory"
        "Serve it with `LLMOPT_MODEL_WEIGHTS=q8_0`, or with more memory."
    /// The service is not ready.
    NotReady: "not_ready" SERVICE_UNAVAILABLE
        "not ready"
        "Wait, or mend what `detail` names; `GET /ready` says when it is."
    /// A fault of ours.
    Internal: "internal" INTERNAL_SERVER_ERROR
        "a fault of ours"
        "Tell whoever runs the server the `request_id`: its log says what failed."
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let names = Self::ALL.iter().map(|code| code.as_str());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names))
            .description(Some(
                "The kind of problem, for programs; docs/ERRORS.md explains each.",
            ))
            .into()
    }
}

impl ToSchema for Code {}

impl Code {
    /// Returns the code's name.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Returns the status that goes with it: 4xx or 5xx.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// Returns what it means, in a few words.
    pub fn title(self) -> &'static str {
        self.row().2
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _};

    use expect_test::expect_file;

    use super::*;

    const INTRODUCTION: &str = "\
# Errors

<!-- Generated from crates/http/src/code.rs; `UPDATE_EXPECT=1 cargo test -p llmopt-http` writes it anew. -->

Every error is a problem as RFC 9457 has it, with one of these `code`s. They are stable: programs may rely on them. The
same codes come in streams, in the event `error`.

| code | status | meaning | what to do |
|---|---|---|---|
";

    #[test]
    fn the_reference_is_that_of_the_registry() {
        let mut text = INTRODUCTION.to_owned();
        for code in Code::ALL {
            let (name, status, title, advice) = code.row();
            let status = status.as_u16();
            writeln!(text, "| `{name}` | {status} | {title} | {advice} |").unwrap();
        }
        expect_file!["../../../docs/ERRORS.md"].assert_eq(&text);
    }

    #[test]
    fn every_code_has_a_name_of_its_own_and_the_status_of_an_error() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let status = code.status();
            assert!(status.is_client_error() || status.is_server_error());
        }
    }
}
