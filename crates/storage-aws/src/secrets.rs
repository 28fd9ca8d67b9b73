use aws_sdk_secretsmanager::{Client, operation::get_secret_value::GetSecretValueError};
use llmopt_storage::StorageError;

use crate::{Aws, error::fault};

const KIND: &str = "secret";

/// Reads the text that AWS Secrets Manager keeps under `name`, a name or an ARN, as it is now.
///
/// # Errors
/// [`StorageError::NoRecord`] if there is none; [`StorageError::Corrupt`] if it is no text;
/// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the secret and never what it says.
pub async fn read_secret(aws: &Aws, name: &str) -> Result<String, StorageError> {
    let read = Client::new(aws.config()).get_secret_value().secret_id(name);
    match read.send().await {
        Ok(output) => output.secret_string.ok_or_else(|| StorageError::Corrupt {
            subject: format!("{KIND} `{name}`"),
            reason: "it is bytes and no text: keep it as a text".to_owned(),
        }),
        Err(error) => match error.as_service_error() {
            Some(GetSecretValueError::ResourceNotFoundException(_)) => {
                Err(StorageError::NoRecord {
                    kind: KIND,
                    id: name.to_owned(),
                })
            }
            _ => Err(fault!(error).during("read the secret", name)),
        },
    }
}
