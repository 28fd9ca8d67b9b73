//! JSON files of ours that carry the version of their format.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{ArtifactError, files};

/// The version that every record is written in.
pub(crate) const FORMAT: u32 = 1;

/// Writes a record, and makes sure that it can be read back: JSON has no NaN and no infinity.
pub(crate) fn write<T: Serialize + DeserializeOwned>(
    folder: &Path,
    file: &'static str,
    record: &T,
) -> Result<(), ArtifactError> {
    let failed = |source| ArtifactError::Render { file, source };
    let value = serde_json::to_value(record).map_err(failed)?;
    serde_json::from_value::<T>(value).map_err(failed)?;
    files::write_json(folder, file, record)
}

/// Reads a record, if it is of the format that is known.
pub(crate) fn read<T: DeserializeOwned>(
    folder: &Path,
    file: &'static str,
) -> Result<T, ArtifactError> {
    let path = folder.join(file);
    if !path.is_file() {
        return Err(ArtifactError::MissingFile {
            folder: folder.to_owned(),
            file: file.to_owned(),
            fix: "folders that llmopt published have it",
        });
    }
    let value: Value = files::read_json(&path)?;
    let format = value.get("format").unwrap_or(&Value::Null);
    if format != FORMAT {
        return Err(ArtifactError::Unsupported {
            field: "format".to_owned(),
            expected: format!("`{FORMAT}`"),
            found: format.to_string(),
            path,
        });
    }
    serde_json::from_value(value).map_err(|source| ArtifactError::Json { path, source })
}
