use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::ArtifactError;

/// Reads and parses a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ArtifactError> {
    let bytes = fs::read(path).map_err(ArtifactError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| ArtifactError::Json {
        path: path.to_owned(),
        source,
    })
}

/// Writes `value` as indented JSON with a final line end, and waits until it is on disk.
pub(crate) fn write_json(
    folder: &Path,
    file: &'static str,
    value: &impl Serialize,
) -> Result<(), ArtifactError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|source| ArtifactError::Render { file, source })?;
    text.push(b'\n');
    write_durably(&folder.join(file), &text)
}

/// Writes a file and waits until it is on disk.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let mut file = File::create(path).map_err(ArtifactError::io("create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(ArtifactError::io("write", path))
}
