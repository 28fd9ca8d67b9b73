//! What each error of a service is to a caller.

use std::io::{self, ErrorKind};

use llmopt_dataset::DatasetError;
use llmopt_domain::error_chain;
use llmopt_service::{FailureKind, GenerationError, PartError, ServiceError};
use llmopt_storage::StorageError;

use crate::{Code, Problem};

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let code = code(&error);
        let cause = error_chain(&error);
        if code.status().is_server_error() {
            // Whoever asked learns that it failed; why is for those who run the service.
            tracing::error!(error = %cause, code = code.as_str(), "a request failed");
        }
        let detail = match code {
            Code::Internal => "something failed that is not the caller's fault: the log says what, by the request's id".to_owned(),
            _ => explanation(&error),
        };
        let problem = match code {
            Code::Internal => Self::new(code, detail).with_cause(cause),
            _ => Self::new(code, detail),
        };
        match error {
            ServiceError::Findings { report } => {
                problem.with_report(serde_json::to_value(report).unwrap_or_default())
            }
            _ => problem,
        }
    }
}

fn code(error: &ServiceError) -> Code {
    match error {
        ServiceError::UnknownModel { .. }
        | ServiceError::UnknownVersion { .. }
        | ServiceError::Reference(_) => Code::ModelNotFound,
        ServiceError::NoFolder { .. }
        | ServiceError::Identity(_)
        | ServiceError::Ambiguous { .. }
        | ServiceError::Config(_)
        | ServiceError::NoRow { .. } => Code::ValidationFailed,
        ServiceError::Findings { .. }
        | ServiceError::Row { .. }
        | ServiceError::Overlong { .. }
        | ServiceError::NothingToLearn { .. }
        | ServiceError::Vocabulary { .. }
        | ServiceError::Upload { .. } => Code::DatasetInvalid,
        ServiceError::UnknownJob(_)
        | ServiceError::NothingToResume
        | ServiceError::UnknownTrainingJob(_) => Code::JobNotFound,
        ServiceError::UnknownKey(_) => Code::KeyNotFound,
        ServiceError::KeyEnded(_) => Code::KeyState,
        ServiceError::JobState { .. } => Code::JobState,
        ServiceError::JobChanged { .. } => Code::JobChanged,
        ServiceError::NoCheckpoint { .. } => Code::CheckpointNotFound,
        ServiceError::UnknownDataset(_) => Code::DatasetNotFound,
        ServiceError::UnknownUpload(_) => Code::UploadNotFound,
        ServiceError::NoUploads => Code::NoUploads,
        ServiceError::Parts(error) => parts(error),
        ServiceError::JobRunning { .. }
        | ServiceError::ClaimLost { .. }
        | ServiceError::DatasetInUse { .. }
        | ServiceError::ModelInUse { .. } => Code::InUse,
        ServiceError::Unsuitable { .. }
        | ServiceError::Artifact(_)
        | ServiceError::Tokenization(_) => Code::ModelUnsuitable,
        ServiceError::HubRefused(_) => Code::HubRefused,
        ServiceError::HubFailed(_) => Code::HubFailed,
        ServiceError::Generation(error) => generation(error),
        ServiceError::Dataset(error) => dataset(error),
        ServiceError::Storage(error) => storage(error),
        ServiceError::File { source, .. } => file(source),
    }
}

fn file(error: &io::Error) -> Code {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::NoSpace,
        _ => Code::Internal,
    }
}

fn generation(error: &GenerationError) -> Code {
    match error {
        GenerationError::Tokenization(_) | GenerationError::Overlong { .. } => {
            Code::ValidationFailed
        }
        GenerationError::TooLarge { .. } => Code::ModelTooLarge,
        GenerationError::Files { source, .. } => storage(source),
        GenerationError::Elsewhere(failure) => match failure.kind {
            FailureKind::Input => Code::ValidationFailed,
            FailureKind::TooLarge => Code::ModelTooLarge,
            FailureKind::Unavailable => Code::StoreUnavailable,
            FailureKind::Internal => Code::Internal,
        },
        GenerationError::Load { .. } | GenerationError::Compute { .. } => Code::Internal,
    }
}

fn parts(error: &PartError) -> Code {
    match error {
        PartError::NoPart { .. } => Code::ValidationFailed,
        PartError::Incomplete { .. } => Code::UploadIncomplete,
        PartError::Changed { .. } => Code::UploadChanged,
        PartError::Done { .. } => Code::AlreadyExists,
        PartError::Size { .. } => Code::InvalidRequest,
    }
}

fn dataset(error: &DatasetError) -> Code {
    match error {
        DatasetError::Read { .. } | DatasetError::Write(_) => Code::Internal,
        DatasetError::Unsupported { .. }
        | DatasetError::OtherLesson { .. }
        | DatasetError::Content(_) => Code::DatasetInvalid,
    }
}

fn storage(error: &StorageError) -> Code {
    match error {
        StorageError::NotFound { .. } => Code::ModelNotFound,
        StorageError::AlreadyExists { .. } | StorageError::RecordExists { .. } => {
            Code::AlreadyExists
        }
        StorageError::Conflict { .. } => Code::InUse,
        StorageError::Unavailable { .. } => Code::StoreUnavailable,
        StorageError::NoSpace { .. } => Code::NoSpace,
        StorageError::NoRecord { .. }
        | StorageError::Corrupt { .. }
        | StorageError::Internal { .. } => Code::Internal,
    }
}

/// Says what happened, why, and what to do next.
fn explanation(error: &ServiceError) -> String {
    let text = error_chain(error);
    match error.next_step() {
        Some(next) => format!("{text}; {next}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_space_is_left_for_is_no_fault_of_ours() {
        let failed = |kind: ErrorKind| {
            Problem::from(ServiceError::File {
                operation: "write",
                path: "rows.jsonl".into(),
                source: kind.into(),
            })
        };
        assert_eq!(failed(ErrorKind::StorageFull).code(), Code::NoSpace);
        assert_eq!(failed(ErrorKind::QuotaExceeded).code(), Code::NoSpace);
        assert_eq!(failed(ErrorKind::NotFound).code(), Code::Internal);
    }
}
