use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use llmopt_domain::{Digest, JobSpec, ModelId};
use serde::{Deserialize, Serialize};

use crate::{ArtifactError, record, record::FORMAT};

const MANIFEST: &str = "manifest.json";

/// What a folder consists of and where it comes from: `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format: 1.
    pub format: u32,
    /// Every file but the manifest, by its path in the folder with `/` between the parts.
    pub files: BTreeMap<String, ManifestFile>,
    /// What the folder was made from.
    pub lineage: Lineage,
}

/// A file as its folder's [`Manifest`] knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What a fine-tuned model was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The model.
    pub model: ModelId,
    /// Its version, counted from 1.
    pub version: u32,
    /// The identity of the job that made it.
    pub job: Digest,
    /// The base model, as the user named it.
    pub base: String,
    /// The digest of the base model's files.
    pub base_digest: Digest,
    /// The digest of the dataset that was trained on.
    pub dataset_digest: Digest,
    /// The digest of the dataset that was evaluated on, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_digest: Option<Digest>,
    /// The version of the code that trained.
    pub code_version: String,
}

impl Lineage {
    /// Returns the lineage of what `spec` makes; `job` is the identity of `spec`.
    pub fn of_job(job: &Digest, spec: &JobSpec, version: u32) -> Self {
        Self {
            model: spec.model.clone(),
            version,
            job: job.clone(),
            base: spec.base.name.clone(),
            base_digest: spec.base.digest.clone(),
            dataset_digest: spec.dataset.digest.clone(),
            evaluation_digest: spec.evaluation.as_ref().map(|file| file.digest.clone()),
            code_version: spec.code_version.clone(),
        }
    }
}

impl Manifest {
    /// Reads every file of `folder`, and of the folders in it, and notes its digest.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn of_folder(folder: &Path, lineage: Lineage) -> Result<Self, ArtifactError> {
        let files = list(folder)?
            .into_iter()
            .map(|(name, path)| Ok((name, ManifestFile::of(&path)?)))
            .collect::<Result<_, ArtifactError>>()?;
        Ok(Self {
            format: FORMAT,
            files,
            lineage,
        })
    }

    /// Writes `manifest.json` into `folder` and waits until it is on disk. It belongs there last.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), ArtifactError> {
        record::write(folder, MANIFEST, self)
    }

    /// Reads `manifest.json` in `folder`.
    ///
    /// # Errors
    /// [`ArtifactError::MissingFile`], [`ArtifactError::Json`], or [`ArtifactError::Unsupported`] if
    /// it is of another format.
    pub fn read(folder: &Path) -> Result<Self, ArtifactError> {
        record::read(folder, MANIFEST)
    }

    /// Checks that `folder` has the files of this manifest, with the same bytes, and no others.
    ///
    /// # Errors
    /// [`ArtifactError::Tampered`] with the first file that differs, or [`ArtifactError::Io`].
    pub fn verify(&self, folder: &Path) -> Result<(), ArtifactError> {
        let found = list(folder)?;
        if let Some(name) = self.files.keys().find(|name| !found.contains_key(*name)) {
            let problem = "it is in the manifest, but not there".to_owned();
            return Err(tampered(&folder.join(name), problem));
        }
        for (name, path) in &found {
            match self.files.get(name) {
                None => return Err(tampered(path, "the manifest does not know it".to_owned())),
                Some(expected) => expected.check(path)?,
            }
        }
        Ok(())
    }
}

impl ManifestFile {
    fn of(path: &Path) -> Result<Self, ArtifactError> {
        Ok(Self {
            digest: digest(path)?,
            size_bytes: size_bytes(path)?,
        })
    }

    fn check(&self, path: &Path) -> Result<(), ArtifactError> {
        let size = size_bytes(path)?;
        if size != self.size_bytes {
            let problem = format!("expected {} bytes, found {size}", self.size_bytes);
            return Err(tampered(path, problem));
        }
        let digest = digest(path)?;
        if digest != self.digest {
            let problem = format!("expected digest `{}`, found `{digest}`", self.digest);
            return Err(tampered(path, problem));
        }
        Ok(())
    }
}

fn size_bytes(path: &Path) -> Result<u64, ArtifactError> {
    let metadata = fs::metadata(path).map_err(ArtifactError::io("read", path))?;
    Ok(metadata.len())
}

fn digest(path: &Path) -> Result<Digest, ArtifactError> {
    File::open(path)
        .and_then(Digest::of_reader)
        .map_err(ArtifactError::io("read", path))
}

/// Returns every file below `folder` by its name in the manifest, but for the manifest itself and
/// hidden files in `folder`: those are a store's or an editor's notes, not the artifact's.
fn list(folder: &Path) -> Result<BTreeMap<String, PathBuf>, ArtifactError> {
    let mut files = BTreeMap::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        let failed = || ArtifactError::io("read", &folder);
        for entry in fs::read_dir(&folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(failed())?.is_dir() {
                open.push((format!("{name}/"), entry.path()));
            } else if name != MANIFEST && !name.starts_with('.') {
                files.insert(name, entry.path());
            }
        }
    }
    Ok(files)
}

fn tampered(path: &Path, problem: String) -> ArtifactError {
    ArtifactError::Tampered {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::testing;

    fn folder() -> (TempDir, Manifest) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        fs::write(folder.path().join("logs/metrics.jsonl"), "abc").unwrap();
        let spec = testing::job_spec();
        let lineage = Lineage::of_job(&testing::job(), &spec, 3);
        let manifest = Manifest::of_folder(folder.path(), lineage).unwrap();
        manifest.write(folder.path()).unwrap();
        (folder, manifest)
    }

    fn problem(folder: &TempDir, manifest: &Manifest) -> String {
        let error = manifest.verify(folder.path()).unwrap_err();
        assert!(matches!(error, ArtifactError::Tampered { .. }), "{error}");
        error.to_string()
    }

    #[test]
    fn the_record_of_format_1_is_written_and_read() {
        let (folder, manifest) = folder();
        let golden = include_str!("../golden/manifest.v1.json");
        let written = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
        assert_eq!(written, golden);
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest);
    }

    #[test]
    fn an_unchanged_folder_is_verified() {
        let (folder, manifest) = folder();
        manifest.verify(folder.path()).unwrap();
    }

    #[test]
    fn a_changed_file_is_named() {
        let (folder, manifest) = folder();
        fs::write(folder.path().join("logs/metrics.jsonl"), "abd").unwrap();
        let error = problem(&folder, &manifest);
        assert!(error.contains("logs/metrics.jsonl"), "{error}");
        assert!(error.contains("expected digest"), "{error}");
        fs::write(folder.path().join("logs/metrics.jsonl"), "abcd").unwrap();
        let error = problem(&folder, &manifest);
        assert!(error.contains("expected 3 bytes, found 4"), "{error}");
    }

    #[test]
    fn a_file_too_few_or_too_many_is_named() {
        let (folder, manifest) = folder();
        fs::write(folder.path().join("extra.py"), "").unwrap();
        let error = problem(&folder, &manifest);
        assert!(error.contains("extra.py"), "{error}");
        fs::remove_file(folder.path().join("extra.py")).unwrap();
        fs::remove_file(folder.path().join("config.json")).unwrap();
        let error = problem(&folder, &manifest);
        assert!(error.contains("config.json"), "{error}");
    }

    #[test]
    fn a_stores_own_record_is_no_file_of_the_artifact() {
        let (folder, manifest) = folder();
        fs::write(folder.path().join(".published.json"), "{}").unwrap();
        manifest.verify(folder.path()).unwrap();
        fs::write(folder.path().join("logs/.hidden"), "").unwrap();
        let error = problem(&folder, &manifest);
        assert!(error.contains("logs/.hidden"), "{error}");
    }

    #[test]
    fn a_manifest_of_another_format_is_refused() {
        let (folder, mut manifest) = folder();
        manifest.format = 2;
        manifest.write(folder.path()).unwrap();
        let error = Manifest::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`format` is `2`; expected `1`"), "{error}");
        fs::remove_file(folder.path().join(MANIFEST)).unwrap();
        let error = Manifest::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has no `manifest.json`"), "{error}");
    }
}
