use std::{fmt, path::PathBuf};

use llmopt_domain::{ModelId, ModelName};

use crate::ServiceError;

/// How a user names a model, before anything was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelReference {
    /// A folder on this machine.
    Folder(PathBuf),
    /// `base:NAME`: a base model that was imported.
    Base(String),
    /// A published model: `ft:BASE:NAME` or `ft:BASE:NAME:VERSION`.
    FineTuned {
        /// The model.
        id: ModelId,
        /// The version; absent means the newest.
        version: Option<u32>,
    },
    /// One word, perhaps with a version: a published model's name, a base made here, or a repository of
    /// a Hub without an owner.
    Name {
        /// The word.
        name: ModelName,
        /// The version; absent means the newest.
        version: Option<u32>,
    },
    /// `OWNER/NAME` or `OWNER/NAME@REVISION` on a Hub.
    Repository(HubRepository),
}

/// A model repository on a Hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRepository {
    /// `OWNER/NAME`, or `NAME` for the oldest ones.
    pub repository: String,
    /// A branch, a tag or a commit; absent means the default branch.
    pub revision: Option<String>,
}

impl fmt::Display for HubRepository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.repository)?;
        match &self.revision {
            Some(revision) => write!(formatter, "@{revision}"),
            None => Ok(()),
        }
    }
}

impl ModelReference {
    /// Reads how a user names a model. A folder that exists comes before everything but an `ft:` or a
    /// `base:` id.
    ///
    /// # Errors
    /// [`ServiceError::Reference`] if `text` names a model in none of the known ways, and
    /// [`ServiceError::NoFolder`] if it looks like the path of a folder that does not exist.
    pub fn parse(text: &str) -> Result<Self, ServiceError> {
        let path = PathBuf::from(text);
        let is_id = text.starts_with("ft:") || text.starts_with("base:");
        if path.is_dir() && !is_id {
            return Ok(Self::Folder(path));
        }
        if path.is_absolute() || text.starts_with('.') || text.ends_with('/') || path.exists() {
            return Err(ServiceError::NoFolder { path });
        }
        Self::parse_name(text)
    }

    /// Reads how a user names a model who may not be on this machine: never as a folder.
    ///
    /// # Errors
    /// [`ServiceError::Reference`] if `text` names a model in none of the known ways.
    pub fn parse_name(text: &str) -> Result<Self, ServiceError> {
        if text.starts_with("ft:") {
            return Self::fine_tuned(text);
        }
        if let Some(name) = text.strip_prefix("base:")
            && repository(name).is_some_and(|it| it.revision.is_none())
        {
            return Ok(Self::Base(name.to_owned()));
        }
        if let Some((name, version)) = named(text) {
            return Ok(Self::Name { name, version });
        }
        repository(text)
            .map(Self::Repository)
            .ok_or_else(|| ServiceError::Reference(text.to_owned()))
    }

    fn fine_tuned(text: &str) -> Result<Self, ServiceError> {
        if let Ok(id) = text.parse() {
            return Ok(Self::FineTuned { id, version: None });
        }
        let with_version = text.rsplit_once(':').and_then(|(id, version)| {
            let version = Some(version.parse().ok()?);
            Some(Self::FineTuned {
                id: id.parse().ok()?,
                version,
            })
        });
        with_version.ok_or_else(|| ServiceError::Reference(text.to_owned()))
    }
}

fn named(text: &str) -> Option<(ModelName, Option<u32>)> {
    if text.starts_with("base:") {
        return None;
    }
    if let Ok(name) = text.parse() {
        return Some((name, None));
    }
    let (name, version) = text.split_once(':')?;
    Some((name.parse().ok()?, Some(version.parse().ok()?)))
}

fn repository(text: &str) -> Option<HubRepository> {
    let (repository, revision) = match text.split_once('@') {
        Some((repository, revision)) => (repository, Some(revision.to_owned())),
        None => (text, None),
    };
    let plain = |part: &str| part.parse::<ModelName>().is_ok();
    let known = match repository.split_once('/') {
        Some((owner, name)) => plain(owner) && plain(name),
        None => plain(repository),
    };
    let known = known && revision.as_deref().is_none_or(is_revision);
    known.then(|| HubRepository {
        repository: repository.to_owned(),
        revision,
    })
}

/// Whether git can have a branch, a tag or a commit of this name, by git-check-ref-format(1).
fn is_revision(name: &str) -> bool {
    let is_plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let is_refused = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
    name.split('/').all(is_plain)
        && !name.contains(is_refused)
        && !["..", "@{"].iter().any(|refused| name.contains(refused))
        && !name.starts_with('-')
        && !name.ends_with('.')
        && name != "@"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(repository: &str, revision: Option<&str>) -> ModelReference {
        let (repository, revision) = (repository.to_owned(), revision.map(str::to_owned));
        ModelReference::Repository(HubRepository {
            repository,
            revision,
        })
    }

    #[test]
    fn an_existing_folder_is_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_str().unwrap();
        assert_eq!(
            ModelReference::parse(text).unwrap(),
            ModelReference::Folder(folder.path().to_owned())
        );
    }

    #[test]
    fn a_path_that_does_not_exist_is_not_taken_for_a_repository() {
        for text in ["./no-such-folder", "/no/such/folder", "nothing/"] {
            let error = ModelReference::parse(text).unwrap_err();
            assert!(
                matches!(error, ServiceError::NoFolder { .. }),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn an_id_may_carry_a_version() {
        let id: ModelId = "ft:base:orders".parse().unwrap();
        let parse = |text| ModelReference::parse(text).unwrap();
        assert_eq!(
            parse("ft:base:orders"),
            ModelReference::FineTuned {
                id: id.clone(),
                version: None
            }
        );
        assert_eq!(
            parse("ft:base:orders:7"),
            ModelReference::FineTuned {
                id,
                version: Some(7)
            }
        );
    }

    #[test]
    fn a_base_has_a_name_or_that_of_a_repository() {
        let base = |name: &str| ModelReference::Base(name.to_owned());
        assert_eq!(ModelReference::parse("base:tiny").unwrap(), base("tiny"));
        assert_eq!(
            ModelReference::parse_name("base:openai-community/gpt2").unwrap(),
            base("openai-community/gpt2")
        );
        for text in ["base:", "base:a:1", "base:../x", "base:a@main"] {
            assert!(ModelReference::parse_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn those_who_are_not_on_this_machine_name_no_folder_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_str().unwrap();
        for text in [text, "/etc", ".", "./a", "a/"] {
            assert!(ModelReference::parse_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_and_repositories_are_told_apart() {
        let parse = |text| ModelReference::parse(text).unwrap();
        let name: ModelName = "orders".parse().unwrap();
        assert_eq!(
            parse("orders"),
            ModelReference::Name {
                name: name.clone(),
                version: None
            }
        );
        assert_eq!(
            parse("orders:2"),
            ModelReference::Name {
                name,
                version: Some(2)
            }
        );
        assert_eq!(
            parse("openai-community/gpt2"),
            repository("openai-community/gpt2", None)
        );
        for revision in [
            "v1",
            "refs/pr/1",
            "a-b_c.d#1",
            "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        ] {
            let text = format!("gpt2@{revision}");
            let parsed = ModelReference::parse(&text).unwrap();
            assert_eq!(parsed, repository("gpt2", Some(revision)));
        }
    }

    #[test]
    fn what_names_no_model_is_refused() {
        for text in [
            "",
            "ft:",
            "ft:a",
            "ft:a:b:c",
            "a/b/c",
            "a b",
            "gpt2@",
            "orders:x",
            "gpt2@\u{1a}",
            "gpt2@a b",
            "gpt2@../x",
            "gpt2@a//b",
            "gpt2@-v",
            "gpt2@a?b",
            "gpt2@v.lock",
            "gpt2@@",
        ] {
            let error = ModelReference::parse(text).unwrap_err();
            assert!(
                matches!(error, ServiceError::Reference(_)),
                "{text}: {error}"
            );
        }
    }
}
