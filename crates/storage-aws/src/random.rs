use std::io;

use llmopt_storage::StorageError;

/// Draws bytes that nobody foresees and no other process draws, however alike they were started.
pub(crate) fn random<const SIZE: usize>() -> Result<[u8; SIZE], StorageError> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes).map_err(|error| StorageError::Internal {
        operation: "draw",
        subject: "random bytes".to_owned(),
        source: Box::new(io::Error::other(error)),
    })?;
    Ok(bytes)
}

/// Returns hexadecimal digits, two for each byte drawn.
#[cfg(feature = "s3")]
pub(crate) fn random_name<const SIZE: usize>() -> Result<String, StorageError> {
    let bytes: [u8; SIZE] = random()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
