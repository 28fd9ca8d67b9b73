use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use llmopt_dataset::{Change, DatasetError, Repair, RepairSummary, repair};
use llmopt_domain::{ColumnMap, ObjectKey, UploadedDataset};
use llmopt_storage::{Cursor, Listing, Page, StorageError, Stored};

use crate::{
    DatasetSource, Datasets, ServiceError,
    blocking::blocking,
    datasets::{NewDataset, Uploaded, file_name},
};

/// Every change that made a dataset of another, one on each line.
const CHANGES: &str = "changes.jsonl";
/// Changes that are told at once at most.
const FIRST: usize = 100;

/// What came of mending a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Mended {
    /// The new version.
    pub uploaded: Uploaded,
    /// What was done.
    pub summary: RepairSummary,
    /// The first changes; [`Datasets::changes`] has all.
    pub changes: Vec<Change>,
}

impl Datasets {
    /// Makes a version of the dataset with this id in which what `repairs` mend is put right. The dataset stays as it
    /// is.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`]; else as [`repair`] and [`Datasets::finish`].
    pub async fn mend(&self, id: &str, repairs: Vec<Repair>) -> Result<Mended, ServiceError> {
        let parent = self.get(id).await?;
        let path = self.path(id).await?;
        let staged = self.stage().await?;
        let name = mended_name(&parent.name);
        let (folder, file) = (staged.path().to_owned(), file_name(&name));
        let source = DatasetSource {
            path,
            columns: parent.columns.clone(),
        };
        let mended = blocking("mend", move || {
            mend(&source, &folder.join(file), &folder.join(CHANGES), &repairs)
        });
        let mended = mended.await.map_err(|error| error.in_file(&parent.name));
        let Written {
            size_bytes,
            summary,
            changes,
        } = mended?;
        let mended = NewDataset {
            name,
            size_bytes,
            // It is written in the columns that are recognised.
            columns: ColumnMap::default(),
            parent: Some(&parent),
        };
        let uploaded = self.keep(&staged, mended).await?;
        Ok(Mended {
            uploaded,
            summary,
            changes,
        })
    }

    /// Returns every change that made the dataset of its parent, one on each line as JSON; nothing where it has no
    /// parent.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`], [`ServiceError::Storage`] or [`ServiceError::File`].
    pub async fn changes(&self, id: &str) -> Result<Vec<u8>, ServiceError> {
        if self.get(id).await?.parent.is_none() {
            return Ok(Vec::new());
        }
        let key = ObjectKey::dataset(id);
        let folder = self.folders().open_part(&key, |name| name == CHANGES);
        match folder.await {
            Ok(folder) => {
                let path = folder.join(CHANGES);
                let read = tokio::fs::read(&path).await;
                read.map_err(ServiceError::file("read", path))
            }
            Err(StorageError::NotFound { .. }) => Err(ServiceError::UnknownDataset(id.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the versions of the dataset with this id, itself among them, the last made first.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`], or [`ServiceError::Storage`].
    pub async fn versions(
        &self,
        id: &str,
        listing: Listing,
    ) -> Result<Page<UploadedDataset>, ServiceError> {
        let origin = self.get(id).await?.origin().to_owned();
        let group = Some(origin.clone());
        let page = self
            .list(&Listing {
                group,
                ..listing.clone()
            })
            .await?;
        // A record from before there were versions is listed in another group until it is written again.
        match self.records().get(&origin).await {
            Ok(first) => Ok(with(first, page, &listing)),
            Err(StorageError::NoRecord { .. }) => Ok(page),
            Err(error) => Err(error.into()),
        }
    }
}

/// Puts `first` into its place on a page of `listing`, unless it is there or on another one.
fn with(
    first: Stored<UploadedDataset>,
    mut page: Page<UploadedDataset>,
    listing: &Listing,
) -> Page<UploadedDataset> {
    let limit = listing.limit as usize;
    let is_before =
        |one: &Cursor, other: &Cursor| (one.created_ms, &one.id) > (other.created_ms, &other.id);
    let place = cursor(&first);
    let at = page
        .records
        .partition_point(|it| is_before(&cursor(it), &place));
    let is_listed = page.records.get(at).is_some_and(|it| cursor(it) == place);
    let is_earlier = listing
        .after
        .as_ref()
        .is_some_and(|after| !is_before(after, &place));
    let is_later = at == page.records.len() && page.next.is_some();
    if !(is_listed || is_earlier || is_later) {
        page.records.insert(at, first);
    }
    if page.records.len() > limit {
        page.records.truncate(limit);
        page.next = page.records.last().map(cursor);
    }
    page
}

fn cursor(stored: &Stored<UploadedDataset>) -> Cursor {
    Cursor {
        created_ms: stored.record.created_ms,
        id: stored.record.id.clone(),
    }
}

struct Written {
    size_bytes: u64,
    summary: RepairSummary,
    changes: Vec<Change>,
}

/// Writes the mended dataset to `out` and its changes to `log`.
fn mend(
    source: &DatasetSource,
    out: &Path,
    log: &Path,
    repairs: &[Repair],
) -> Result<Written, ServiceError> {
    let create = |path: &Path| File::create(path).map(BufWriter::new);
    let (mut rows, mut lines) = (
        create(out).map_err(ServiceError::file("write", out))?,
        create(log).map_err(ServiceError::file("write", log))?,
    );
    let mut first = Vec::new();
    let options = source.options();
    let summary = repair(&source.path, &options, repairs, &mut rows, &mut |change| {
        if first.len() < FIRST {
            first.push(change.clone());
        }
        serde_json::to_writer(&mut lines, change)?;
        lines.write_all(b"\n")
    })?;
    lines.flush().map_err(ServiceError::file("write", log))?;
    let written = rows.into_inner().map_err(|error| error.into_error());
    let written = written.and_then(|file| file.metadata());
    let size_bytes = written.map_err(DatasetError::Write)?.len();
    Ok(Written {
        size_bytes,
        summary,
        changes: first,
    })
}

/// Returns what a mended dataset is called, which is written as JSONL.
fn mended_name(name: &str) -> String {
    let stem = name.split('.').next().filter(|stem| !stem.is_empty());
    format!("{}.jsonl", stem.unwrap_or("rows"))
}

#[cfg(test)]
mod tests {
    use llmopt_storage::{Record, RecordStore};
    use llmopt_storage_embedded::{Database, SqliteRecordStore};

    use super::*;
    use crate::testing::Stores;

    async fn upload(datasets: &Datasets, name: &str, bytes: &[u8]) -> UploadedDataset {
        let mut upload = datasets.upload(name).await.unwrap();
        upload.write(bytes).await.unwrap();
        datasets.finish(upload).await.unwrap().dataset
    }

    #[tokio::test]
    async fn a_mended_dataset_is_a_version_and_the_first_stays() {
        let platform = Stores::new();
        let datasets = &platform.datasets;
        let rows = "prompt,response\na,b \na,b\nc,d\n";
        let first = upload(datasets, "orders.csv", rows.as_bytes()).await;
        let mended = datasets
            .mend(&first.id, Repair::ALL.to_vec())
            .await
            .unwrap();
        let second = &mended.uploaded.dataset;
        assert_eq!((second.name.as_str(), second.rows), ("orders.jsonl", 2));
        assert_eq!(second.parent.as_deref(), Some(first.id.as_str()));
        assert_eq!((mended.summary.rows_before, mended.changes.len()), (3, 2));
        assert_eq!(datasets.get(&first.id).await.unwrap(), first);
        let log = datasets.changes(&second.id).await.unwrap();
        assert_eq!(String::from_utf8(log).unwrap().lines().count(), 2);
        assert!(datasets.changes(&first.id).await.unwrap().is_empty());
        for id in [&first.id, &second.id] {
            let listing = Listing {
                limit: 10,
                ..Listing::default()
            };
            let versions = datasets.versions(id, listing).await.unwrap().records;
            let mut ids: Vec<_> = versions.iter().map(|it| it.record.id.as_str()).collect();
            ids.sort_unstable();
            let mut expected = [first.id.as_str(), second.id.as_str()];
            expected.sort_unstable();
            assert_eq!(ids, expected);
        }
    }

    /// A record as it was kept before there were versions.
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    struct Old(UploadedDataset);

    impl Record for Old {
        const KIND: &'static str = UploadedDataset::KIND;

        fn id(&self) -> &str {
            &self.0.id
        }

        fn created_ms(&self) -> u64 {
            self.0.created_ms
        }

        fn group(&self) -> &str {
            "valid"
        }
    }

    /// Reads the versions of `id` in parts of `limit`.
    async fn versions(datasets: &Datasets, id: &str, limit: u32) -> Vec<String> {
        let mut ids = Vec::new();
        let mut listing = Listing {
            limit,
            ..Listing::default()
        };
        loop {
            let page = datasets.versions(id, listing.clone()).await.unwrap();
            assert!(page.records.len() <= limit as usize);
            ids.extend(page.records.into_iter().map(|it| it.record.id));
            listing.after = page.next;
            if listing.after.is_none() {
                return ids;
            }
        }
    }

    #[tokio::test]
    async fn a_dataset_of_an_older_data_directory_is_among_its_versions() {
        let platform = Stores::new();
        let datasets = &platform.datasets;
        let rows = "prompt,response\na,b \na,b\nc,d\n";
        let first = upload(datasets, "orders.csv", rows.as_bytes()).await;
        let database = Database::open(&platform.path().join(Database::FILE_NAME)).unwrap();
        let olds = SqliteRecordStore::<Old>::new(database);
        let old = olds.get(&first.id).await.unwrap();
        olds.replace(old.revision, &old.record).await.unwrap();
        let mut ids = vec![first.id.clone()];
        for repairs in [vec![Repair::TrailingSpace], Repair::ALL.to_vec()] {
            let mended = datasets.mend(&first.id, repairs).await.unwrap();
            ids.insert(0, mended.uploaded.dataset.id);
        }
        assert_eq!(ids.len(), 3);
        for id in &ids {
            for limit in [1, 2, 3, 10] {
                let mut found = versions(datasets, id, limit).await;
                assert_eq!(found.len(), 3, "{id} by {limit}");
                // Those made in the same millisecond have no order of their own.
                found.sort_unstable();
                let mut expected = ids.clone();
                expected.sort_unstable();
                assert_eq!(found, expected, "{id} by {limit}");
            }
        }
        // Its versions stay when it goes.
        datasets.delete(&first.id).await.unwrap();
        assert_eq!(versions(datasets, &ids[0], 1).await.len(), 2);
    }

    #[tokio::test]
    async fn what_is_sound_is_the_same_dataset_again() {
        let platform = Stores::new();
        let datasets = &platform.datasets;
        let rows = "{\"prompt\":\"a\",\"response\":\"b\"}\n";
        let first = upload(datasets, "orders.jsonl", rows.as_bytes()).await;
        let mended = datasets
            .mend(&first.id, Repair::ALL.to_vec())
            .await
            .unwrap();
        assert_eq!(
            (mended.uploaded.dataset, mended.uploaded.created),
            (first, false)
        );
    }
}
