use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    time::Duration,
};

use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use futures::{StreamExt, stream};
use llmopt_domain::Digest;
use llmopt_storage::StorageError;
use tokio::sync::mpsc;

use crate::{
    bucket::{AT_ONCE, Bucket},
    error::fault,
};

/// Objects larger than this are fetched in parts of this size, of which a few are in memory at once.
pub(crate) const PART_BYTES: u64 = 8 << 20;
/// Tries of a part whose bytes break off: the SDK's own tries end where an answer begins.
const TRIES: u32 = 4;

/// Why an object could not be fetched into a file.
#[derive(Debug)]
pub(crate) enum Fetch {
    Missing,
    Io(io::Error),
    Storage(StorageError),
}

/// What came of an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) size_bytes: u64,
    pub(crate) digest: Digest,
}

impl Bucket {
    /// Reads a small object; `None` where there is none.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.get_tagged(key).await?.map(|(bytes, _)| bytes))
    }

    /// As [`get`](Self::get), with the tag that S3 knows the bytes by.
    pub(crate) async fn get_tagged(
        &self,
        key: &str,
    ) -> Result<Option<(Vec<u8>, String)>, StorageError> {
        self.part(key, None).await
    }

    /// Writes an object that had `size_bytes` into the new file `path`, in constant memory.
    pub(crate) async fn fetch_sized(
        &self,
        key: &str,
        size_bytes: u64,
        path: &Path,
    ) -> Result<Fetched, Fetch> {
        let mut ranges = vec![None];
        if size_bytes > PART_BYTES {
            let starts = (0..size_bytes.div_ceil(PART_BYTES)).map(|number| number * PART_BYTES);
            let end = |start: u64| (start + PART_BYTES).min(size_bytes) - 1;
            ranges = starts
                .map(|start| Some(format!("bytes={start}-{}", end(start))))
                .collect();
        }
        let parts = stream::iter(ranges).map(async |range| match self.part(key, range).await {
            Ok(part) => part.map(|(bytes, _)| bytes).ok_or(Fetch::Missing),
            Err(error) => Err(Fetch::Storage(error)),
        });
        write(path, parts.buffered(AT_ONCE)).await
    }

    /// Writes an object of any size into the new file `path`, in constant memory.
    pub(crate) async fn fetch(&self, key: &str, path: &Path) -> Result<Fetched, Fetch> {
        let output = match self.get_range(key, None).await {
            Ok(output) => output.ok_or(Fetch::Missing)?,
            Err(error) => return Err(Fetch::Storage(error)),
        };
        let parts = stream::unfold(Some(output.body), async |body| {
            let mut body = body?;
            match body.try_next().await {
                Ok(part) => part.map(|part| (Ok(part.to_vec()), Some(body))),
                Err(error) => Some((Err(Fetch::Storage(broken(key, error))), None)),
            }
        });
        write(path, Box::pin(parts)).await
    }

    /// Reads the bytes in a range, or all, and the object's tag; `None` where there is no object.
    async fn part(
        &self,
        key: &str,
        range: Option<String>,
    ) -> Result<Option<(Vec<u8>, String)>, StorageError> {
        let mut attempt = 0;
        loop {
            let Some(output) = self.get_range(key, range.clone()).await? else {
                return Ok(None);
            };
            let tag = output.e_tag.unwrap_or_default();
            match output.body.collect().await {
                Ok(bytes) => return Ok(Some((bytes.to_vec(), tag))),
                Err(error) if attempt + 1 >= TRIES => return Err(broken(key, error)),
                Err(_) => {
                    attempt += 1;
                    let longest = 100_u64 << attempt;
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
                }
            }
        }
    }

    async fn get_range(
        &self,
        key: &str,
        range: Option<String>,
    ) -> Result<Option<GetObjectOutput>, StorageError> {
        let got = self
            .client()
            .get_object()
            .bucket(&self.name)
            .key(key)
            .set_range(range)
            .send()
            .await;
        let error = match got {
            Ok(output) => return Ok(Some(output)),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(GetObjectError::NoSuchKey(_)) => Ok(None),
            // It is shorter than it was: what is missing has no bytes.
            Some(service) if service.meta().code() == Some("InvalidRange") => {
                Ok(Some(GetObjectOutput::builder().build()))
            }
            _ => Err(fault!(error).during("read", key)),
        }
    }
}

fn broken(key: &str, error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::Unavailable {
        operation: "read",
        subject: key.to_owned(),
        source: Box::new(error),
    }
}

/// Writes parts into the new file `path` as they come, where it does not hold up other tasks.
async fn write(
    path: &Path,
    mut parts: impl stream::Stream<Item = Result<Vec<u8>, Fetch>> + Unpin,
) -> Result<Fetched, Fetch> {
    let file = File::create(path).map_err(Fetch::Io)?;
    let (sender, arriving) = mpsc::channel(1);
    let written = tokio::task::spawn_blocking(move || {
        let mut tee = Tee {
            arriving,
            part: io::Cursor::default(),
            file,
            size_bytes: 0,
        };
        let digest = Digest::of_reader(&mut tee)?;
        // What gets its name is trusted from then on, a loss of power later too.
        tee.file.sync_all()?;
        Ok(Fetched {
            size_bytes: tee.size_bytes,
            digest,
        })
    });
    let mut failed = None;
    while let Some(part) = parts.next().await {
        match part {
            Ok(part) => {
                if sender.send(part).await.is_err() {
                    // Whoever writes has met an error, and says so below.
                    break;
                }
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let written = written.await.map_err(io::Error::other).flatten();
    match failed {
        Some(error) => Err(error),
        None => written.map_err(Fetch::Io),
    }
}

/// Reads what arrives, and writes it to a file on the way.
struct Tee {
    arriving: mpsc::Receiver<Vec<u8>>,
    part: io::Cursor<Vec<u8>>,
    file: File,
    size_bytes: u64,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.part.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let Some(part) = self.arriving.blocking_recv() else {
                return Ok(0);
            };
            self.file.write_all(&part)?;
            self.size_bytes += part.len() as u64;
            self.part = io::Cursor::new(part);
        }
    }
}
