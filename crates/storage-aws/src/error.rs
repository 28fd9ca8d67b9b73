use std::{error::Error, fmt};

use llmopt_domain::error_chain;
use llmopt_storage::StorageError;

/// Codes with which services ask to come back later.
const BUSY: [&str; 13] = [
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
];
const DENIED: [&str; 4] = [
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "Forbidden",
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

/// What a service said, without the service's types.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The service's code, if the service answered.
    code: Option<String>,
    /// The answer's status, if there was one.
    status: Option<u16>,
    text: String,
}

impl Fault {
    pub(crate) fn new(
        code: Option<&str>,
        status: Option<u16>,
        error: &(dyn Error + 'static),
    ) -> Self {
        Self {
            code: code.map(str::to_owned),
            status,
            text: error_chain(error),
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
        match (&self.code, self.status) {
            (Some(code), _) if BUSY.contains(&code.as_str()) => true,
            (_, Some(status)) => status >= 500 || status == 429,
            // No answer came: the service may be away, and what was asked for may have been done.
            (_, None) => true,
        }
    }

    fn advice(&self) -> Option<&'static str> {
        let code = self.code.as_deref()?;
        let is = |codes: &[&str]| codes.contains(&code);
        if is(&DENIED) {
            Some("these credentials may not do that: give their role the permission")
        } else if is(&MISSING) {
            Some("it does not exist in this account and region: create it, or correct its name")
        } else if is(&CREDENTIALS) {
            Some("the credentials are not valid, or have expired: renew them")
        } else if code == "RequestTimeTooSkewed" {
            Some("this machine's clock is wrong: set it")
        } else {
            None
        }
    }
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
        $crate::error::Fault::new(code, status, &error)
    }};
}
pub(crate) use fault;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: Option<&str>, status: Option<u16>) -> StorageError {
        Fault::new(code, status, &std::io::Error::other("why")).during("read", "table")
    }

    #[test]
    fn what_may_work_later_is_told_from_the_rest() {
        for (code, status) in [
            (Some("SlowDown"), Some(503)),
            (Some("ThrottlingException"), Some(400)),
            (None, Some(500)),
            (None, None),
        ] {
            let error = fault(code, status);
            assert!(
                matches!(error, StorageError::Unavailable { .. }),
                "{code:?} {status:?}"
            );
        }
        for (code, status) in [
            (Some("AccessDenied"), Some(403)),
            (Some("ResourceNotFoundException"), Some(400)),
        ] {
            let error = fault(code, status);
            assert!(
                matches!(error, StorageError::Internal { .. }),
                "{code:?} {status:?}"
            );
            assert!(error.source().unwrap().to_string().contains(": why"));
        }
    }
}
