use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

use llmopt_domain::Digest;
use serde::{Deserialize, Serialize};

/// The object that makes a folder a published one; it is written when everything else is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format")]
pub(crate) enum Marker {
    /// The first format.
    #[serde(rename = "1")]
    V1 {
        /// What the objects with the files have between the key and their path.
        upload: String,
        /// The files by path, with `/` between its parts.
        files: BTreeMap<String, FileEntry>,
    },
}

/// A file of a published folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileEntry {
    pub(crate) size_bytes: u64,
    pub(crate) digest: Digest,
}

/// Why a folder cannot be described.
#[derive(Debug)]
pub(crate) enum Undescribed {
    /// It holds what no store keeps.
    Unfit(String),
    Io(io::Error),
}

impl From<io::Error> for Undescribed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Describes the files in `folder`.
pub(crate) fn describe(folder: &Path) -> Result<BTreeMap<String, FileEntry>, Undescribed> {
    let mut files = BTreeMap::new();
    collect(folder, "", &mut files)?;
    Ok(files)
}

fn collect(
    folder: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, FileEntry>,
) -> Result<(), Undescribed> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name.to_str().ok_or_else(|| {
            Undescribed::Unfit(format!("the name {file_name:?} is no UTF-8; rename it"))
        })?;
        let name = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            let entry = FileEntry {
                size_bytes: entry.metadata()?.len(),
                digest: Digest::of_reader(File::open(entry.path())?)?,
            };
            files.insert(name, entry);
        } else {
            return Err(Undescribed::Unfit(format!(
                "`{name}` is neither a file nor a folder; replace it with a copy of what it points to"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_of_the_first_format_is_read_and_written_as_ever() {
        let golden = include_str!("golden/published-1.json").trim_ascii();
        let marker: Marker = serde_json::from_str(golden).unwrap();
        let Marker::V1 { upload, files } = &marker;
        assert_eq!(upload, "0123456789abcdef");
        assert_eq!(files["adapter/weights"].size_bytes, 3);
        assert_eq!(files["adapter/weights"].digest, Digest::of_bytes(b"abc"));
        assert_eq!(serde_json::to_string(&marker).unwrap(), golden);
    }
}
