use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime},
};

use llmopt_domain::Digest;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The digests of folders, as long as the files in them stay what they were: reading all bytes of a
/// model takes longer than loading it. They are kept in a folder, for other processes too.
pub(crate) struct RememberedDigests {
    folder: PathBuf,
    /// A file that was changed less than this before it was read may be changed again without its
    /// times showing it: they are counted in steps of milliseconds, on some file systems of seconds.
    settling: Duration,
    /// Held while a record is written: within a process they are written under the same name.
    writing: Mutex<()>,
}

/// A digest with what it was computed from.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    folder: PathBuf,
    stamps: Vec<Stamp>,
    digest: Digest,
}

/// What changes when a file does: its name, its place on the disk, its size and its times.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Stamp {
    name: PathBuf,
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl RememberedDigests {
    /// Remembers in files in `folder`, which exists.
    pub(crate) fn new(folder: &Path, settling: Duration) -> Self {
        Self {
            folder: folder.to_owned(),
            settling,
            writing: Mutex::new(()),
        }
    }

    /// Returns the digest of `folder`, which `compute` gives where its files are not what they were.
    ///
    /// # Errors
    /// What `compute` fails with, and `failed` of the error with which the folder cannot be listed.
    pub(crate) fn get<E>(
        &self,
        folder: &Path,
        failed: impl FnOnce(io::Error) -> E,
        compute: impl FnOnce() -> Result<Digest, E>,
    ) -> Result<Digest, E> {
        let (stamps, age) = stamps(folder).map_err(failed)?;
        let record = self.path(folder);
        if let Some(known) = read(&record)
            && known.folder == folder
            && known.stamps == stamps
        {
            return Ok(known.digest);
        }
        let digest = compute()?;
        if age.is_some_and(|age| age > self.settling) {
            let known = Record {
                folder: folder.to_owned(),
                stamps,
                digest: digest.clone(),
            };
            self.write(&record, &known);
        }
        Ok(digest)
    }

    fn path(&self, folder: &Path) -> PathBuf {
        let name = Digest::of_bytes(folder.as_os_str().as_encoded_bytes());
        self.folder.join(format!("digest-{}.json", name.short()))
    }

    /// Failing to remember only means to compute it again: the folder may be there for reading only.
    fn write(&self, path: &Path, record: &Record) {
        let _writing = self.writing.lock();
        let whole = path.with_extension(format!("{}.partial", process::id()));
        let written = serde_json::to_vec(record)
            .map_err(io::Error::from)
            .and_then(|json| fs::write(&whole, json))
            .and_then(|()| fs::rename(&whole, path));
        if let Err(error) = written {
            tracing::debug!(path = %path.display(), %error, "a digest is not remembered");
        }
    }
}

/// A record that is missing or damaged is none.
fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Reads the stamps of the files in a folder, and the age of the youngest, if none is of the future.
fn stamps(folder: &Path) -> io::Result<(Vec<Stamp>, Option<Duration>)> {
    let mut youngest = Some(Duration::MAX);
    let mut stamps = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        // What a link points at is what is read, if it points at anything.
        let metadata = entry.path().metadata().or_else(|_| entry.metadata())?;
        youngest = youngest.min(age(&metadata));
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
    Ok((stamps, youngest))
}

/// Returns how long ago the file was changed last, if that was not in the future.
fn age(metadata: &Metadata) -> Option<Duration> {
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    let (seconds, nanoseconds) = modified.max(changed);
    let since_1970 = Duration::new(
        u64::try_from(seconds).ok()?,
        u32::try_from(nanoseconds).ok()?,
    );
    (SystemTime::UNIX_EPOCH + since_1970).elapsed().ok()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible, thread};

    use super::*;

    const SETTLING: Duration = Duration::from_millis(100);

    fn settle() {
        thread::sleep(2 * SETTLING);
    }

    #[test]
    fn a_folder_is_computed_again_only_when_it_changed() {
        let [folder, records] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = folder.path().join("weights");
        fs::write(&file, "one").unwrap();
        let computed = Cell::new(0);
        let get = || {
            let compute = || {
                computed.set(computed.get() + 1);
                Ok::<_, Infallible>(Digest::of_bytes(&fs::read(&file).unwrap()))
            };
            // As another process would.
            let remembered = RememberedDigests::new(records.path(), SETTLING);
            let digest = remembered.get(folder.path(), |error| panic!("{error}"), compute);
            (digest.unwrap(), computed.get())
        };
        let [one, two] = ["one", "two"].map(|text| Digest::of_bytes(text.as_bytes()));
        assert_eq!(get(), (one.clone(), 1));
        assert_eq!(get(), (one.clone(), 2), "too fresh to be remembered");
        settle();
        assert_eq!(get(), (one.clone(), 3));
        assert_eq!(get(), (one, 3), "remembered");
        fs::write(&file, "two").unwrap();
        settle();
        assert_eq!(get(), (two.clone(), 4));
        assert_eq!(get(), (two.clone(), 4), "remembered");
        let record = fs::read_dir(records.path()).unwrap().next().unwrap();
        fs::write(record.unwrap().path(), "{").unwrap();
        assert_eq!(get(), (two, 5), "the record is damaged");
        assert_eq!(fs::read_dir(records.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let records = tempfile::tempdir().unwrap();
        let remembered = RememberedDigests::new(records.path(), SETTLING);
        let compute = || panic!("there is nothing to compute");
        let found = remembered.get(Path::new("/nowhere"), |error| error.kind(), compute);
        assert_eq!(found, Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn what_cannot_be_remembered_is_computed_each_time() {
        let folder = tempfile::tempdir().unwrap();
        settle();
        let remembered = RememberedDigests::new(Path::new("/nowhere"), SETTLING);
        let digest = Digest::of_bytes(b"one");
        let compute = || Ok::<_, io::Error>(digest.clone());
        let found = remembered.get(folder.path(), |error| error, compute);
        assert_eq!(found.unwrap(), digest);
    }
}
