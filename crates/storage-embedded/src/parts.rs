use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use llmopt_domain::Format;
use llmopt_storage::{
    PART_BYTES, Part, PartPlace, PartPlan, PartRecord, PartStore, PartUpload, StorageError,
};

use crate::{disk::Disk, error::io_error};

/// The folder below the root; no key begins with a dot.
const UPLOADS: &str = ".uploads";
/// The file that an upload is there by.
const RECORD: &str = "upload.json";
const KIND: &str = "upload";
/// What an upload that has no record may have been begun at most ago to be someone's who lives.
const BEGINNING: Duration = Duration::from_secs(3_600);

/// A [`PartStore`] below one folder, for any number of processes of one machine.
///
/// An upload is a folder with a record and a file for each part that has come; what is over is removed when
/// another is begun and when the store is opened.
#[derive(Clone)]
pub struct FilePartStore {
    uploads: Arc<Uploads>,
}

impl FilePartStore {
    /// Opens the store in the data directory `root`, and removes what is over.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`] or [`StorageError::Internal`], naming
    /// `root`.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        Self::open_on(Disk::default(), root, PART_BYTES)
    }

    fn open_on(disk: Disk, root: &Path, part_bytes: u64) -> Result<Self, StorageError> {
        let uploads = Uploads {
            folder: root.join(UPLOADS),
            part_bytes,
            disk,
        };
        let opened = fs::create_dir_all(&uploads.folder).and_then(|()| uploads.sweep());
        opened.map_err(io_error("open", &uploads.folder.display().to_string()))?;
        Ok(Self {
            uploads: Arc::new(uploads),
        })
    }

    /// Runs blocking work on an upload where it does not hold up other tasks.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        id: &str,
        work: impl FnOnce(&Uploads, &str) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (uploads, owned) = (Arc::clone(&self.uploads), id.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&uploads, &owned)).await;
        let subject = format!("{KIND}/{id}");
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Trouble::Unknown)) => Err(StorageError::NoRecord {
                kind: KIND,
                id: id.to_owned(),
            }),
            Ok(Err(Trouble::Corrupt(reason))) => Err(StorageError::Corrupt { subject, reason }),
            Ok(Err(Trouble::Io(error))) => Err(io_error(operation, &subject)(error)),
            Err(error) => Err(io_error(operation, &subject)(io::Error::other(error))),
        }
    }
}

#[async_trait]
impl PartStore for FilePartStore {
    async fn begin(&self, plan: PartPlan, valid: Duration) -> Result<PartUpload, StorageError> {
        let id = random_id()?;
        self.blocking("begin", &id, move |uploads, id| {
            uploads.begin(id, plan, valid)
        })
        .await
    }

    async fn look(&self, id: &str) -> Result<PartUpload, StorageError> {
        self.blocking("read", id, Uploads::look).await
    }

    async fn locate(
        &self,
        id: &str,
        parts: &[Part],
        _: Duration,
    ) -> Result<Vec<PartPlace>, StorageError> {
        self.look(id).await?;
        Ok(parts.iter().map(|_| PartPlace::Here).collect())
    }

    async fn put(&self, id: &str, part: Part, path: &Path) -> Result<(), StorageError> {
        let path = path.to_owned();
        self.blocking("write", id, move |uploads, id| uploads.put(id, part, &path))
            .await
    }

    async fn assemble(&self, id: &str, into: &Path) -> Result<(), StorageError> {
        let into = into.to_owned();
        self.blocking("assemble", id, move |uploads, id| {
            uploads.assemble(id, &into)
        })
        .await
    }

    async fn settle(&self, id: &str, outcome: &str) -> Result<(), StorageError> {
        let outcome = outcome.to_owned();
        self.blocking("settle", id, move |uploads, id| uploads.settle(id, outcome))
            .await
    }

    async fn discard(&self, id: &str) -> Result<(), StorageError> {
        self.blocking("delete", id, |uploads, id| match uploads.place(id) {
            Ok(folder) => Ok(uploads.remove(&folder)?),
            Err(_) => Ok(()),
        })
        .await
    }
}

/// Why something could not be done with an upload.
enum Trouble {
    /// It is not there, or over, or has not what is asked for.
    Unknown,
    Corrupt(String),
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Another process let go of it meanwhile.
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::Unknown,
            _ => Self::Io(error),
        }
    }
}

/// The uploads below a folder, without the async.
struct Uploads {
    folder: PathBuf,
    part_bytes: u64,
    disk: Disk,
}

impl Uploads {
    fn begin(&self, id: &str, plan: PartPlan, valid: Duration) -> Result<PartUpload, Trouble> {
        self.sweep()?;
        let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        let record = PartRecord {
            format: Format,
            plan,
            part_bytes: self.part_bytes,
            expires_ms: now_ms().saturating_add(valid_ms),
            outcome: None,
        };
        let folder = self.place(id)?;
        self.disk.create_dir(&folder)?;
        self.write(&folder, &record)?;
        self.disk.sync(&self.folder)?;
        Ok(PartUpload {
            id: id.to_owned(),
            record,
            received: BTreeSet::new(),
        })
    }

    fn look(&self, id: &str) -> Result<PartUpload, Trouble> {
        let folder = self.place(id)?;
        let record = read(&folder)?;
        let mut received = BTreeSet::new();
        if record.outcome.is_none() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let number = number_of(&entry.path());
                let part = number.and_then(|number| record.part(number));
                if let Some(part) = part
                    && entry.metadata()?.len() == part.size_bytes
                {
                    received.insert(part.number);
                }
            }
        }
        Ok(PartUpload {
            id: id.to_owned(),
            record,
            received,
        })
    }

    /// Renames the file at `path` to be a part: the name tells that it is whole.
    fn put(&self, id: &str, part: Part, path: &Path) -> Result<(), Trouble> {
        let folder = self.open(id)?;
        self.disk.sync(path).map_err(Trouble::Io)?;
        self.disk.rename(path, &file_of(&folder, part.number))?;
        Ok(self.disk.sync(&folder)?)
    }

    fn assemble(&self, id: &str, into: &Path) -> Result<(), Trouble> {
        let folder = self.open(id)?;
        let record = read(&folder)?;
        // What is missing is found before anything is written.
        let mut files = Vec::new();
        for number in 1..=record.count() {
            let path = file_of(&folder, number);
            let size = fs::metadata(&path)?.len();
            if record.part(number).map(|part| part.size_bytes) != Some(size) {
                return Err(Trouble::Unknown);
            }
            files.push(path);
        }
        let mut whole = self.disk.create_file(into).map_err(Trouble::Io)?;
        for path in files {
            let mut part = File::open(path)?;
            io::copy(&mut part, &mut whole).map_err(Trouble::Io)?;
        }
        Ok(())
    }

    fn settle(&self, id: &str, outcome: String) -> Result<(), Trouble> {
        let folder = self.place(id)?;
        let record = PartRecord {
            outcome: Some(outcome),
            ..read(&folder)?
        };
        self.write(&folder, &record)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if number_of(&path).is_some() {
                self.disk.remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what is over, and what processes that died while they began or deleted it left.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let folder = entry?.path();
            let is_over = match read(&folder) {
                Ok(_) => false,
                Err(Trouble::Unknown) if folder.join(RECORD).exists() => true,
                Err(Trouble::Unknown) => is_old(&folder)?,
                // Not for us to judge, nor in the way of anything.
                Err(Trouble::Corrupt(_)) => false,
                Err(Trouble::Io(error)) => return Err(error),
            };
            if is_over {
                self.remove(&folder)?;
            }
        }
        Ok(())
    }

    /// Removes an upload: its record first, without which nothing is there.
    fn remove(&self, folder: &Path) -> io::Result<()> {
        match self.disk.remove_file(&folder.join(RECORD)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other?,
        }
        self.disk.remove_dir_all(folder)
    }

    /// Returns the folder of an upload that takes parts.
    fn open(&self, id: &str) -> Result<PathBuf, Trouble> {
        let folder = self.place(id)?;
        match read(&folder)?.outcome {
            None => Ok(folder),
            Some(_) => Err(Trouble::Unknown),
        }
    }

    fn place(&self, id: &str) -> Result<PathBuf, Trouble> {
        // An id is a part of a path, and whoever gives it may be anyone.
        let is_ours = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_ours {
            Ok(self.folder.join(id))
        } else {
            Err(Trouble::Unknown)
        }
    }

    /// Writes a record, entirely or not at all.
    fn write(&self, folder: &Path, record: &PartRecord) -> Result<(), Trouble> {
        let json = serde_json::to_vec(record).map_err(io::Error::from)?;
        let new = folder.join(format!("{RECORD}.new"));
        self.disk.write(&new, &json)?;
        self.disk.sync(&new)?;
        self.disk.rename(&new, &folder.join(RECORD))?;
        Ok(self.disk.sync(folder)?)
    }
}

/// Reads the record of an upload that is not over.
fn read(folder: &Path) -> Result<PartRecord, Trouble> {
    let json = fs::read(folder.join(RECORD))?;
    let record: PartRecord = serde_json::from_slice(&json).map_err(|error| {
        Trouble::Corrupt(format!("its record cannot be read: {error}; delete it"))
    })?;
    if record.is_over(now_ms()) {
        return Err(Trouble::Unknown);
    }
    Ok(record)
}

fn file_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.part"))
}

fn number_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".part")?.parse().ok()
}

fn is_old(folder: &Path) -> io::Result<bool> {
    let changed = match fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other?.modified()?,
    };
    Ok(changed.elapsed().is_ok_and(|since| since > BEGINNING))
}

/// Draws an id that nobody foresees.
fn random_id() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 16];
    let drawn = getrandom::fill(&mut bytes).map_err(io::Error::other);
    drawn.map_err(io_error("draw", "random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests;
