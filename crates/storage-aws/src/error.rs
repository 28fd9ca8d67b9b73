use std::{error::Error, fmt};

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use llmopt_domain::error_chain;
use llmopt_storage::StorageError;

/// Codes with which services ask to come back later.
const BUSY: [&str; 15] = [
    "BandwidthLimitExceeded",
    "InternalError",
    "InternalServerError",
    "LimitExceededException",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
];
const DENIED: [&str; 5] = [
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "Forbidden",
    "KMS.AccessDeniedException",
];
const MISSING: [&str; 5] = [
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "TableNotFoundException",
];
const CREDENTIALS: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

const SKEWED: [&str; 3] = [
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
];

/// What the SDK says where it knows no region.
const NO_REGION: [&str; 3] = [
    "A region must be set",
    "Missing Region",
    "missing signing region",
];

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing was sent, and nothing will be without other settings.
    Unsent,
    /// No answer came, or none that can be read: what was asked for may have been done.
    Unanswered,
    /// The service answered, with this status.
    Answered(u16),
}

/// What a service said, without the service's types.
#[derive(Debug)]
pub(crate) struct Fault {
    reach: Reach,
    /// The service's code, if the service answered with one.
    code: Option<String>,
    /// What this machine lacks, where the call did not leave it.
    lack: Option<&'static str>,
    text: String,
}

impl Fault {
    pub(crate) fn new<E, R>(error: &SdkError<E, R>, code: Option<&str>, status: Option<u16>) -> Self
    where
        E: Error + 'static,
        R: fmt::Debug + 'static,
    {
        let text = error_chain(error);
        let lack = lack(error, &text);
        let reach = match (error, status) {
            (SdkError::ServiceError(_), Some(status)) => Reach::Answered(status),
            (SdkError::ConstructionFailure(_), _) => Reach::Unsent,
            _ if lack.is_some() => Reach::Unsent,
            _ => Reach::Unanswered,
        };
        Self {
            reach,
            code: code.map(str::to_owned),
            lack,
            text,
        }
    }

    /// Says what failed, on what, and whether another try can mend it.
    pub(crate) fn during(self, operation: &'static str, subject: &str) -> StorageError {
        let subject = subject.to_owned();
        let unavailable = self.is_unavailable();
        let source = Box::new(self);
        if unavailable {
            StorageError::Unavailable {
                operation,
                subject,
                source,
            }
        } else {
            StorageError::Internal {
                operation,
                subject,
                source,
            }
        }
    }

    fn is_unavailable(&self) -> bool {
        let is_busy = |code: &String| BUSY.contains(&code.as_str());
        match self.reach {
            Reach::Unsent => false,
            Reach::Unanswered => true,
            Reach::Answered(status) => {
                status >= 500 || status == 429 || self.code.as_ref().is_some_and(is_busy)
            }
        }
    }

    fn advice(&self) -> Option<&'static str> {
        if self.lack.is_some() {
            return self.lack;
        }
        let code = self.code.as_deref()?;
        let is = |codes: &[&str]| codes.contains(&code);
        if is(&DENIED) {
            Some("these credentials may not do that: give their role the permission")
        } else if is(&MISSING) {
            Some("it does not exist in this account and region: create it, or correct its name")
        } else if is(&CREDENTIALS) {
            Some("the credentials are not valid, or have expired: renew them")
        } else if is(&SKEWED) {
            Some("this machine's clock is wrong: set it")
        } else {
            None
        }
    }
}

/// Says which setting is missing, where that is why nothing was sent.
fn lack(error: &(dyn Error + 'static), text: &str) -> Option<&'static str> {
    // These have no type of their own.
    if NO_REGION.iter().any(|words| text.contains(words)) {
        return Some("no region is set: set AWS_REGION");
    }
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                return Some(
                    "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
                );
            }
            Some(CredentialsError::InvalidConfiguration(_)) => {
                return Some("the profile that names the credentials cannot be used: correct it");
            }
            _ => {}
        }
        cause = error.source();
    }
    None
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(advice) = self.advice() {
            write!(formatter, "{advice}; ")?;
        }
        if let Some(code) = &self.code {
            write!(formatter, "{code}: ")?;
        }
        formatter.write_str(&self.text)
    }
}

impl Error for Fault {}

/// Takes apart an SDK's error, of whichever service.
macro_rules! fault {
    ($error:expr) => {{
        let error = $error;
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let code = error
            .as_service_error()
            .and_then(|service| service.meta().code());
        $crate::error::Fault::new(&error, code, status)
    }};
}
pub(crate) use fault;

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    type TestError = SdkError<std::io::Error, ()>;

    fn why() -> std::io::Error {
        std::io::Error::other("why")
    }

    fn answered(code: Option<&str>, status: u16) -> StorageError {
        let error = TestError::service_error(why(), ());
        Fault::new(&error, code, Some(status)).during("read", "table")
    }

    fn unanswered(error: TestError) -> StorageError {
        Fault::new(&error, None, None).during("read", "table")
    }

    #[test]
    fn what_may_work_later_is_told_from_the_rest() {
        let closed = ConnectorError::io(why().into());
        for error in [
            answered(Some("SlowDown"), 503),
            answered(Some("ThrottlingException"), 400),
            answered(None, 500),
            unanswered(TestError::timeout_error(why())),
            unanswered(TestError::dispatch_failure(closed)),
            // An answer that broke off.
            Fault::new(&TestError::response_error(why(), ()), None, Some(200))
                .during("read", "table"),
        ] {
            assert!(
                matches!(error, StorageError::Unavailable { .. }),
                "{error:?}"
            );
        }
        for error in [
            answered(Some("AccessDenied"), 403),
            answered(Some("ResourceNotFoundException"), 400),
            unanswered(TestError::construction_failure(why())),
        ] {
            assert!(matches!(error, StorageError::Internal { .. }), "{error:?}");
            assert!(error.source().unwrap().to_string().contains(": why"));
        }
    }
}
