use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use llmopt_domain::{Digest, JobSpec, ObjectKey};
use llmopt_storage::FolderStore;

use crate::{Models, ServiceError};

/// The folder of all jobs: the first segment of `ObjectKey::job`.
const JOBS: &str = "jobs";
const RECORD: &str = "job.json";

/// The training jobs of a data directory.
///
/// A job's record is its specification, in the job's folder; the folder is named for the job's
/// identity, so the same inputs find the same job again.
pub struct Jobs<'a> {
    store: &'a dyn FolderStore,
    data_dir: &'a Path,
}

/// A job that was begun.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job's identity.
    pub id: Digest,
    /// What it was asked to do.
    pub spec: JobSpec,
    /// When it was last started.
    pub started: SystemTime,
    /// The step of its last checkpoint, if it has one.
    pub checkpoint: Option<u64>,
}

/// Keeps other processes from working on the same job, until it is dropped or its process ends.
#[derive(Debug)]
pub struct JobLock {
    _file: File,
}

impl<'a> Jobs<'a> {
    /// Looks after the jobs in `data_dir`, whose folders `store` holds.
    pub fn new(store: &'a dyn FolderStore, data_dir: &'a Path) -> Self {
        Self { store, data_dir }
    }

    /// Writes the job's record, all or nothing, and returns its path.
    ///
    /// # Errors
    /// [`ServiceError::File`].
    pub fn save(&self, job: &Digest, spec: &JobSpec) -> Result<PathBuf, ServiceError> {
        let folder = self.folder(job);
        let path = folder.join(RECORD);
        let staged = folder.join(format!(".{RECORD}.partial"));
        let write = || {
            fs::create_dir_all(&folder)?;
            let mut file = File::create(&staged)?;
            file.write_all(&serde_json::to_vec_pretty(spec)?)?;
            file.sync_all()?;
            fs::rename(&staged, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(ServiceError::file("write", &path))?;
        Ok(path)
    }

    /// Takes the job for this process.
    ///
    /// # Errors
    /// [`ServiceError::JobRunning`] if another process has it.
    pub fn lock(&self, job: &Digest) -> Result<JobLock, ServiceError> {
        let path = self.folder(job).join("lock");
        let open = || {
            fs::create_dir_all(self.folder(job))?;
            File::create(&path)
        };
        let file = open().map_err(ServiceError::file("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(JobLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ServiceError::JobRunning {
                job: job.short().to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(ServiceError::file("lock", path)(source)),
        }
    }

    /// Returns the steps of the job's checkpoints, in order.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn checkpoints(&self, job: &Digest) -> Result<Vec<u64>, ServiceError> {
        let checkpoints = self.store.list(&ObjectKey::checkpoints(job)).await?;
        let mut steps: Vec<u64> = checkpoints.iter().filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Returns the step of the job's last checkpoint.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn checkpoint(&self, job: &Digest) -> Result<Option<u64>, ServiceError> {
        Ok(self.checkpoints(job).await?.last().copied())
    }

    /// Deletes the job's checkpoints after `to` steps.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn rewind(&self, job: &Digest, to: u64) -> Result<(), ServiceError> {
        for step in self.checkpoints(job).await? {
            if step > to {
                self.store.delete(&ObjectKey::checkpoint(job, step)).await?;
            }
        }
        Ok(())
    }

    /// Deletes all of the job's checkpoints.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn discard_checkpoints(&self, job: &Digest) -> Result<(), ServiceError> {
        for key in self.store.list(&ObjectKey::checkpoints(job)).await? {
            self.store.delete(&key).await?;
        }
        Ok(())
    }

    /// Returns the jobs that were begun and have published nothing, the last started first.
    ///
    /// # Errors
    /// [`ServiceError::File`] or [`ServiceError::Storage`].
    pub async fn unfinished(&self) -> Result<Vec<Job>, ServiceError> {
        let models = Models::new(self.store);
        let mut jobs = Vec::new();
        for (path, started) in self.records()? {
            let spec = read_record(&path)?;
            let id = identity(&spec)?;
            if models.published_by(&spec.model, &id).await?.is_none() {
                let checkpoint = self.checkpoint(&id).await?;
                jobs.push(Job {
                    id,
                    spec,
                    started,
                    checkpoint,
                });
            }
        }
        jobs.sort_by_key(|job| std::cmp::Reverse(job.started));
        Ok(jobs)
    }

    /// Returns the unfinished job whose id begins with `id`, or the last started one.
    ///
    /// # Errors
    /// [`ServiceError::UnknownJob`] or [`ServiceError::NothingToResume`].
    pub async fn find_unfinished(&self, id: Option<&str>) -> Result<Job, ServiceError> {
        let mut jobs = self.unfinished().await?.into_iter();
        match id {
            None => jobs.next().ok_or(ServiceError::NothingToResume),
            Some(id) => jobs
                .find(|job| job.id.short() == id)
                .ok_or_else(|| ServiceError::UnknownJob(id.to_owned())),
        }
    }

    /// Returns what the job was asked to do, if it was begun here.
    ///
    /// # Errors
    /// [`ServiceError::File`].
    pub fn record(&self, job: &Digest) -> Result<Option<JobSpec>, ServiceError> {
        let path = self.folder(job).join(RECORD);
        path.exists().then(|| read_record(&path)).transpose()
    }

    fn folder(&self, job: &Digest) -> PathBuf {
        self.data_dir.join(ObjectKey::job(job).as_str())
    }

    fn records(&self) -> Result<Vec<(PathBuf, SystemTime)>, ServiceError> {
        let folder = self.data_dir.join(JOBS);
        let read = || {
            let mut records = Vec::new();
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path().join(RECORD);
                match fs::metadata(&path) {
                    Ok(metadata) => records.push((path, metadata.modified()?)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(records)
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(ServiceError::file("read", &folder)),
        }
    }
}

/// Returns the identity of the job that `spec` describes.
pub(crate) fn identity(spec: &JobSpec) -> Result<Digest, ServiceError> {
    spec.identity().map_err(|source| ServiceError::File {
        operation: "render",
        path: RECORD.into(),
        source: source.into(),
    })
}

fn read_record(path: &Path) -> Result<JobSpec, ServiceError> {
    let parsed = fs::read(path).and_then(|json| Ok(serde_json::from_slice(&json)?));
    parsed.map_err(ServiceError::file("read", path))
}

/// Reads the step from a checkpoint's key.
fn step(key: &ObjectKey) -> Option<u64> {
    key.name().strip_prefix("step-")?.parse().ok()
}
