use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

use llmopt_domain::Digest;
use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// The file that makes a folder a published one. It travels with the folder in one rename, so a
/// folder never has it without being whole.
pub(crate) const RECORD: &str = ".published.json";

/// What a folder held when it was published.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format")]
pub(crate) enum Record {
    /// The first format.
    #[serde(rename = "1")]
    V1 {
        /// Sizes in bytes by path, with `/` between its parts.
        files: BTreeMap<String, u64>,
    },
}

impl Record {
    /// Describes the folder as it is.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        describe(folder, "", &mut files)?;
        files.remove(RECORD);
        Ok(Self::V1 { files })
    }

    /// Returns what is wrong with the published `folder`.
    pub(crate) fn check(folder: &Path) -> Result<(), Failure> {
        let content = fs::read(folder.join(RECORD))?;
        let Self::V1 { files } = serde_json::from_slice(&content).map_err(|error| {
            damaged(format!("`{RECORD}` is no record of this version: {error}"))
        })?;
        for (name, expected) in files {
            match fs::metadata(folder.join(&name)) {
                Ok(metadata) if metadata.len() == expected => {}
                Ok(metadata) => {
                    let found = metadata.len();
                    return Err(damaged(format!(
                        "`{name}` has {found} bytes: expected {expected}"
                    )));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged(format!("`{name}` is missing")));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }
}

/// Computes the digests of the files in the published `folder`.
pub(crate) fn digests(folder: &Path) -> Result<BTreeMap<String, Digest>, Failure> {
    let Record::V1 { files } = Record::of_folder(folder)?;
    let digest = |name: String| {
        let digest = Digest::of_reader(File::open(folder.join(&name))?)?;
        Ok((name, digest))
    };
    files.into_keys().map(digest).collect()
}

fn damaged(what: String) -> Failure {
    Failure::Corrupt(format!(
        "{what}; delete it and publish it again, or restore the file"
    ))
}

fn describe(folder: &Path, prefix: &str, files: &mut BTreeMap<String, u64>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name.to_str().ok_or_else(|| {
            Failure::Corrupt(format!("the name {file_name:?} is no UTF-8; rename it"))
        })?;
        let name = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            describe(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(name, entry.metadata()?.len());
        } else {
            return Err(Failure::Corrupt(format!(
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
    fn a_record_of_the_first_format_is_read_and_written_as_ever() {
        let golden = include_bytes!("golden/published-1.json").trim_ascii();
        let record: Record = serde_json::from_slice(golden).unwrap();
        let files = [
            ("adapter/weights".to_owned(), 4096),
            ("config.json".to_owned(), 2),
        ];
        assert_eq!(
            record,
            Record::V1 {
                files: files.into()
            }
        );
        assert_eq!(record.to_json().unwrap(), golden);
    }
}
