use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Existing, FilesError, Inputs, Manifest, Preparing,
    write::{Stamp, Watcher, stage},
};

/// A prepared dataset of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Its folder.
    pub folder: PathBuf,
    /// What lies there.
    pub manifest: Manifest,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where what was asked for comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was not there and was made.
    Made,
    /// It was there.
    Found,
    /// It was there but damaged, and was made anew.
    Remade {
        /// What was wrong with it.
        damage: String,
    },
}

/// Returns the rows of a dataset, as tokens, from the folder `cache`, where they are made if they are not there.
///
/// A folder is named by the digest of everything its rows depend on: the dataset's bytes, tokenizer and template,
/// options and release. It is there when it is whole, never before; what lies in it is held against the digests
/// in its manifest. Several processes may ask for the same at once: the first that is done provides it.
///
/// # Errors
/// As [`tokenize_dataset`](super::tokenize_dataset).
pub fn prepare_training_data(
    preparing: &Preparing<'_>,
    cache: &Path,
    progress: &mut Watcher<'_>,
) -> Result<Cached, FilesError> {
    preparing.options.check()?;
    let before = Stamp::of(preparing.dataset)?;
    let inputs = Inputs::of(preparing)?;
    let folder = cache.join(folder_name(&inputs));
    let damage = match found(&folder, &inputs)? {
        Found::Whole(manifest) => return Ok(Cached::new(folder, *manifest, Origin::Found)),
        Found::Nothing => None,
        Found::Damaged(damage) => Some(damage),
    };
    let (staged, manifest) = stage(preparing, inputs.clone(), (&folder, before), progress)?;
    let (existing, origin) = match damage {
        None => (Existing::Keep, Origin::Made),
        Some(damage) => {
            make_replaceable(&folder)?;
            (Existing::Replace, Origin::Remade { damage })
        }
    };
    match staged.publish(&folder, existing) {
        Ok(()) => Ok(Cached::new(folder, manifest, origin)),
        // Another process was faster.
        Err(FilesError::Exists { path }) => match found(&folder, &inputs)? {
            Found::Whole(manifest) => Ok(Cached::new(folder, *manifest, Origin::Found)),
            _ => Err(FilesError::Exists { path }),
        },
        Err(error) => Err(error),
    }
}

impl Cached {
    fn new(folder: PathBuf, manifest: Manifest, origin: Origin) -> Self {
        Self {
            folder,
            manifest,
            origin,
        }
    }
}

/// What is in a folder of the cache.
enum Found {
    Nothing,
    Whole(Box<Manifest>),
    Damaged(String),
}

fn folder_name(inputs: &Inputs) -> String {
    let key = inputs.key().to_string();
    key.strip_prefix("sha256:").unwrap_or(&key).to_owned()
}

fn found(folder: &Path, inputs: &Inputs) -> Result<Found, FilesError> {
    if folder.symlink_metadata().is_err() {
        return Ok(Found::Nothing);
    }
    let checked = Manifest::read(folder).and_then(|manifest| {
        manifest.check(folder)?;
        Ok(manifest)
    });
    Ok(match checked {
        Ok(manifest) if manifest.inputs == *inputs => Found::Whole(Box::new(manifest)),
        Ok(_) => Found::Damaged("its manifest is that of other inputs".to_owned()),
        Err(FilesError::Damaged { what, .. }) => Found::Damaged(what),
        Err(FilesError::Read { path, source }) if is_absent(&source) => {
            Found::Damaged(format!("`{}` is missing", path.display()))
        }
        Err(error) => return Err(error),
    })
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

/// Removes a damaged folder of the cache that could not be told from one of somebody else's.
fn make_replaceable(folder: &Path) -> Result<(), FilesError> {
    if folder.join(super::manifest::MANIFEST).is_file() {
        return Ok(());
    }
    let removed = match folder.is_dir() {
        true => fs::remove_dir_all(folder),
        false => fs::remove_file(folder),
    };
    removed.map_err(|error| FilesError::write(folder, error))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::prepared::{
        LongRows, PreparedFormat,
        output::{ARROW_FILE, PARQUET_FILE},
        testing::Workplace,
    };

    struct Caching {
        place: Workplace,
        cache: PathBuf,
        told: u32,
    }

    impl Caching {
        fn new() -> Self {
            let place = Workplace::new(600);
            let cache = place.path("cache");
            Self {
                place,
                cache,
                told: 0,
            }
        }

        fn ask(&mut self) -> Result<Cached, FilesError> {
            let told = &mut self.told;
            prepare_training_data(&self.place.preparing(), &self.cache, &mut |_| {
                *told += 1;
                ControlFlow::Continue(())
            })
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.cache).into_iter().flatten();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect()
        }
    }

    #[test]
    fn what_is_asked_for_again_is_there_at_once() {
        let mut caching = Caching::new();
        let made = caching.ask().unwrap();
        assert_eq!(made.origin, Origin::Made);
        assert_eq!(made.manifest.summary.rows, 600);
        assert_eq!(
            caching.names(),
            [made.folder.file_name().unwrap().to_str().unwrap()]
        );
        caching.told = 0;
        let found = caching.ask().unwrap();
        assert_eq!(found.origin, Origin::Found);
        assert_eq!((found.folder, found.manifest), (made.folder, made.manifest));
        assert_eq!(caching.told, 0, "rows were tokenized again");
    }

    #[test]
    fn whatever_rows_depend_on_names_another_folder() {
        let mut caching = Caching::new();
        let mut folders = vec![caching.ask().unwrap().folder];
        let mut differs = |caching: &mut Caching, what: &str| {
            let folder = caching.ask().unwrap().folder;
            assert!(!folders.contains(&folder), "{what}");
            folders.push(folder);
        };
        caching.place.options.overlong = LongRows::Drop;
        differs(&mut caching, "options");
        caching.place.options.format = PreparedFormat::Parquet;
        differs(&mut caching, "format");
        caching
            .place
            .use_template("{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}");
        differs(&mut caching, "template");
        caching.place.write_rows(601);
        differs(&mut caching, "dataset");
        caching.place.train_tokenizer(260);
        differs(&mut caching, "tokenizer");
    }

    #[test]
    fn what_is_damaged_is_made_anew_and_that_is_said() {
        let mut caching = Caching::new();
        let whole = caching.ask().unwrap();
        let rows = whole.folder.join(ARROW_FILE);
        let manifest = whole.folder.join("manifest.json");
        let mut bytes = fs::read(&rows).unwrap();
        bytes[1_000] ^= 1;
        let damages: [(&str, &dyn Fn()); 4] = [
            ("is not what was written", &|| {
                fs::write(&rows, &bytes).unwrap();
            }),
            ("is missing", &|| fs::remove_file(&rows).unwrap()),
            ("manifest.json` is missing", &|| {
                fs::remove_file(&manifest).unwrap();
            }),
            ("not what is written there", &|| {
                fs::write(&manifest, "{").unwrap();
            }),
        ];
        for (expected, damage) in damages {
            damage();
            let remade = caching.ask().unwrap();
            match remade.origin {
                Origin::Remade { damage } => assert!(damage.contains(expected), "{damage}"),
                other => panic!("{expected}: {other:?}"),
            }
            assert_eq!(remade.manifest, whole.manifest);
            assert_eq!(caching.ask().unwrap().origin, Origin::Found);
            assert_eq!(caching.names().len(), 1, "{:?}", caching.names());
        }
    }

    #[test]
    fn what_was_stopped_or_failed_is_not_there() {
        let caching = Caching::new();
        let preparing = caching.place.preparing();
        let stopped =
            prepare_training_data(&preparing, &caching.cache, &mut |_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(FilesError::Stopped)));
        assert_eq!(caching.names(), [""; 0]);
    }

    #[test]
    fn parquet_is_kept_in_a_folder_too() {
        let mut caching = Caching::new();
        caching.place.options.format = PreparedFormat::Parquet;
        let made = caching.ask().unwrap();
        let names: Vec<_> = made
            .manifest
            .files
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(names, [PARQUET_FILE]);
    }
}
