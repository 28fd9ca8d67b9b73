use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, ModelId};

/// Where a published folder lives in a store, or a file that is no part of one, relative to the store's root.
///
/// The only place that renders a key: no other code joins key segments. A key is one or more
/// segments of `[A-Za-z0-9._-]` with `/` between them, none of them `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The folder of a fine-tuned model's version.
    pub fn model(id: &ModelId, version: u32) -> Self {
        Self(format!("models/{}/{version}", segment(&id.to_string())))
    }

    /// The folder that holds all versions of a fine-tuned model.
    pub fn model_versions(id: &ModelId) -> Self {
        Self(format!("models/{}", segment(&id.to_string())))
    }

    /// The folder that holds all fine-tuned models.
    pub fn models() -> Self {
        Self("models".to_owned())
    }

    /// The folder of a base model fetched from a Hub.
    pub fn base(repository: &str, revision: &str) -> Self {
        Self(format!(
            "bases/{}/{}",
            segment(repository),
            segment(revision)
        ))
    }

    /// The folder that holds all base models.
    pub fn bases() -> Self {
        Self("bases".to_owned())
    }

    /// The folder that holds all revisions of a base model.
    pub fn base_revisions(repository: &str) -> Self {
        Self(format!("bases/{}", segment(repository)))
    }

    /// The folder of an uploaded dataset.
    pub fn dataset(id: &str) -> Self {
        Self(format!("datasets/{}", segment(id)))
    }

    /// The folder of everything that belongs to one training job.
    pub fn job(job: &Digest) -> Self {
        Self(format!("jobs/{}", job.short()))
    }

    /// The folder that holds a job's checkpoints.
    pub fn checkpoints(job: &Digest) -> Self {
        Self(format!("jobs/{}/checkpoints", job.short()))
    }

    /// The folder of the checkpoint that a job wrote after `step` optimizer steps.
    pub fn checkpoint(job: &Digest, step: u64) -> Self {
        Self(format!("jobs/{}/checkpoints/step-{step:08}", job.short()))
    }

    /// The file of prices that takes the place of those that a program was built with.
    pub fn prices() -> Self {
        Self("prices/prices.json".to_owned())
    }

    /// Returns the key of the entry called `name` directly below this key.
    ///
    /// `None` if `name` could not have been rendered by this type.
    pub fn child(&self, name: &str) -> Option<Self> {
        is_segment(name).then(|| Self(format!("{}/{name}", self.0)))
    }

    /// Returns the key without its last segment, if it has several.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Returns the last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the key with `/` between its segments.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = String;

    /// Takes a key as it was rendered.
    fn try_from(text: String) -> Result<Self, String> {
        if text.split('/').all(is_segment) {
            Ok(Self(text))
        } else {
            Err(format!(
                "`{text}` is no key: expected segments of `[A-Za-z0-9._-]` with `/` between them"
            ))
        }
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

fn is_segment(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !text.is_empty() && text != "." && text != ".." && text.chars().all(plain)
}

/// Renders any text as one segment: `/` and `:` become `--`, other foreign characters `-`.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '/' | ':' => out.push_str("--"),
            c if c.is_ascii_alphanumeric() || "._-".contains(c) => out.push(c),
            _ => out.push('-'),
        }
    }
    if out.chars().all(|c| c == '.') {
        "-".to_owned()
    } else {
        out
    }
}
