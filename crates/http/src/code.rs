use axum::http::StatusCode;

/// Every code that a problem can have: stable names for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The body, the query or a header is malformed.
    InvalidRequest,
    /// Fields of the request have values that are not taken.
    ValidationFailed,
    /// There is no such route.
    NoRoute,
    /// The route does not take the method.
    MethodNotAllowed,
    /// The body is of a kind that the route does not read.
    UnsupportedMediaType,
    /// The body is larger than the route takes.
    BodyTooLarge,
    /// The request comes from a page of another site.
    ForeignOrigin,
    /// There is no such model.
    ModelNotFound,
    /// There is no such dataset.
    DatasetNotFound,
    /// Nothing was sent to such an upload.
    UploadNotFound,
    /// Files are sent in requests here.
    NoUploads,
    /// There is no such training job.
    JobNotFound,
    /// The job has no such checkpoint.
    CheckpointNotFound,
    /// The job is not in a state for that.
    JobState,
    /// The inputs of the job are not what they were.
    JobChanged,
    /// Something is needed by an active job, or worked on by another process.
    InUse,
    /// What was to be made is there already.
    AlreadyExists,
    /// The dataset has errors.
    DatasetInvalid,
    /// The model cannot be used for what was asked.
    ModelUnsuitable,
    /// A Hub has no such model, or does not give it.
    HubRefused,
    /// A Hub did not answer as it should.
    HubFailed,
    /// The model gave no answer in time.
    ModelTimeout,
    /// The store does not answer now.
    StoreUnavailable,
    /// No space is left.
    NoSpace,
    /// The model does not fit into memory.
    ModelTooLarge,
    /// The service is not ready.
    NotReady,
    /// A fault of ours.
    Internal,
}

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

    fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST, "malformed request"),
            Self::ValidationFailed => (
                "validation_failed",
                S::UNPROCESSABLE_ENTITY,
                "values that are not taken",
            ),
            Self::NoRoute => ("no_route", S::NOT_FOUND, "no such route"),
            Self::MethodNotAllowed => (
                "method_not_allowed",
                S::METHOD_NOT_ALLOWED,
                "another method is needed",
            ),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "another kind of body is needed",
            ),
            Self::BodyTooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE, "body too large"),
            Self::ForeignOrigin => ("foreign_origin", S::FORBIDDEN, "not from this machine"),
            Self::ModelNotFound => ("model_not_found", S::NOT_FOUND, "no such model"),
            Self::DatasetNotFound => ("dataset_not_found", S::NOT_FOUND, "no such dataset"),
            Self::UploadNotFound => ("upload_not_found", S::NOT_FOUND, "no such upload"),
            Self::NoUploads => ("no_uploads", S::NOT_FOUND, "no uploads apart from requests"),
            Self::JobNotFound => ("job_not_found", S::NOT_FOUND, "no such training job"),
            Self::CheckpointNotFound => {
                ("checkpoint_not_found", S::NOT_FOUND, "no such checkpoint")
            }
            Self::JobState => ("job_state", S::CONFLICT, "not in this state"),
            Self::JobChanged => ("job_changed", S::CONFLICT, "the inputs have changed"),
            Self::InUse => ("in_use", S::CONFLICT, "in use"),
            Self::AlreadyExists => ("already_exists", S::CONFLICT, "exists already"),
            Self::DatasetInvalid => (
                "dataset_invalid",
                S::UNPROCESSABLE_ENTITY,
                "the dataset has errors",
            ),
            Self::ModelUnsuitable => (
                "model_unsuitable",
                S::UNPROCESSABLE_ENTITY,
                "the model cannot be used for this",
            ),
            Self::HubRefused => (
                "hub_refused",
                S::UNPROCESSABLE_ENTITY,
                "the Hub gives no such model",
            ),
            Self::HubFailed => ("hub_failed", S::BAD_GATEWAY, "the Hub failed"),
            Self::ModelTimeout => ("model_timeout", S::GATEWAY_TIMEOUT, "no answer in time"),
            Self::StoreUnavailable => (
                "store_unavailable",
                S::SERVICE_UNAVAILABLE,
                "the store does not answer",
            ),
            Self::NoSpace => ("no_space", S::INSUFFICIENT_STORAGE, "no space is left"),
            Self::ModelTooLarge => (
                "model_too_large",
                S::INSUFFICIENT_STORAGE,
                "the model does not fit into memory",
            ),
            Self::NotReady => ("not_ready", S::SERVICE_UNAVAILABLE, "not ready"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "a fault of ours"),
        }
    }
}
