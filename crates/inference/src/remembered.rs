use std::{
    collections::HashMap,
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;

/// A file that was changed less than this before it was read may be changed again without its times
/// showing it: kernels count them in steps of some milliseconds, network file systems of seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// What was computed from folders, as long as the files in them stay what they were.
pub(crate) struct Remembered<T> {
    folders: Mutex<HashMap<PathBuf, (Vec<Stamp>, T)>>,
}

/// What changes when a file does: its name, its place on the disk, its size and its times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    name: PathBuf,
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T: Clone> Remembered<T> {
    pub(crate) fn new() -> Self {
        Self {
            folders: Mutex::default(),
        }
    }

    /// Returns what `compute` gave for the folder when its files were last different.
    ///
    /// # Errors
    /// What `compute` fails with, or `failed` makes of a folder that cannot be read.
    pub(crate) fn get<E>(
        &self,
        folder: &Path,
        failed: impl FnOnce(io::Error) -> E,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let (stamps, settled) = match stamps(folder) {
            Ok(found) => found,
            Err(error) => return Err(failed(error)),
        };
        if let Some((known, value)) = self.folders.lock().get(folder)
            && *known == stamps
        {
            return Ok(value.clone());
        }
        let value = compute()?;
        if settled {
            self.folders
                .lock()
                .insert(folder.to_owned(), (stamps, value.clone()));
        }
        Ok(value)
    }
}

/// Reads the stamps of the files in a folder, and whether all of them are of some time ago.
fn stamps(folder: &Path) -> io::Result<(Vec<Stamp>, bool)> {
    let mut settled = true;
    let mut stamps = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        // Not the entry's own: what a link points at is what is read.
        let metadata = entry.path().metadata()?;
        settled &= is_settled(&metadata);
        stamps.push(Stamp {
            name: entry.file_name().into(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
    }
    stamps.sort();
    Ok((stamps, settled))
}

/// Whether the file was changed long enough ago that the next change will show.
fn is_settled(metadata: &Metadata) -> bool {
    let changed = u64::try_from(metadata.ctime().max(metadata.mtime())).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed);
    changed.elapsed().is_ok_and(|age| age > SETTLED)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible, fs, thread};

    use super::*;

    #[test]
    fn a_folder_is_computed_again_only_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        fs::write(&file, "one").unwrap();
        let remembered = Remembered::new();
        let computed = Cell::new(0);
        let get = || {
            let compute = || {
                computed.set(computed.get() + 1);
                Ok::<_, Infallible>(fs::read_to_string(&file).unwrap())
            };
            remembered
                .get(folder.path(), |error| panic!("{error}"), compute)
                .unwrap()
        };
        assert_eq!((get(), computed.get()), ("one".to_owned(), 1));
        assert_eq!(
            (get(), computed.get()),
            ("one".to_owned(), 2),
            "too fresh to be remembered"
        );
        thread::sleep(SETTLED + Duration::from_millis(1_100));
        assert_eq!((get(), computed.get()), ("one".to_owned(), 3));
        assert_eq!((get(), computed.get()), ("one".to_owned(), 3), "remembered");
        fs::write(&file, "two").unwrap();
        assert_eq!((get(), computed.get()), ("two".to_owned(), 4));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let remembered = Remembered::<()>::new();
        let found = remembered.get(
            Path::new("/nowhere/at/all"),
            |error| error.kind(),
            || Ok(()),
        );
        assert_eq!(found, Err(io::ErrorKind::NotFound));
    }
}
