use std::{
    num::NonZeroUsize,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use llmopt_dataset::{DatasetError, ReadOptions, read_samples};
use llmopt_domain::{Lesson, Sample};
use llmopt_tokenization::{EncodedExample, Encoder};

use crate::PreparationError;

/// Rows that one thread takes at once: enough that handing them over costs nothing beside tokenizing them.
const BATCH: usize = 256;
/// Batches that wait for a thread, or for their turn after it.
const WAITING: usize = 2;

/// A row of a dataset as a model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRow {
    /// The row, counted from 1.
    pub number: u64,
    /// What it says.
    pub sample: Sample,
    /// Its tokens.
    pub encoded: EncodedExample,
}

impl EncodedRow {
    /// Tells whether it is plain text, which may be trained on in several sequences.
    pub fn is_text(&self) -> bool {
        self.sample.lesson == Lesson::Text
    }
}

type Read = Vec<Result<(u64, Sample), DatasetError>>;
type Encoded = Vec<Result<EncodedRow, PreparationError>>;

/// Reads the dataset at `path`, as `options` say, tokenizes it on so many threads, and hands its rows over in their
/// order.
///
/// Holds at most some thousand rows at a time. The first error ends it, one of `each` too.
///
/// # Errors
/// Those of `each`; [`PreparationError::Dataset`] for a row that is broken, [`PreparationError::Row`] for one that
/// cannot be rendered or tokenized.
pub fn encode_rows<E: From<PreparationError>>(
    path: &Path,
    options: &ReadOptions,
    encoder: &Encoder,
    threads: NonZeroUsize,
    mut each: impl FnMut(EncodedRow) -> Result<(), E>,
) -> Result<(), E> {
    encode_each_row(path, options, encoder, threads, |row| each(row?))
}

/// As [`encode_rows`], but hands errors over in place of their rows: after one of [`PreparationError::Row`] more rows
/// follow.
pub(crate) fn encode_each_row<E: From<PreparationError>>(
    path: &Path,
    options: &ReadOptions,
    encoder: &Encoder,
    threads: NonZeroUsize,
    each: impl FnMut(Result<EncodedRow, PreparationError>) -> Result<(), E>,
) -> Result<(), E> {
    let samples = read_samples(path, options).map_err(PreparationError::from)?;
    encode_samples(path, samples, encoder, threads, each)
}

/// As [`encode_each_row`], of `samples` that were read from `path`.
pub(crate) fn encode_samples<E: From<PreparationError>>(
    path: &Path,
    samples: impl Iterator<Item = Result<(u64, Sample), DatasetError>> + Send,
    encoder: &Encoder,
    threads: NonZeroUsize,
    mut each: impl FnMut(Result<EncodedRow, PreparationError>) -> Result<(), E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        let (mut tasks, mut results) = (Vec::new(), Vec::new());
        for _ in 0..threads.get() {
            let (task, taken) = sync_channel::<Read>(WAITING);
            let (done, result) = sync_channel::<Encoded>(WAITING);
            scope.spawn(move || work(path, encoder, &taken, &done));
            tasks.push(task);
            results.push(result);
        }
        scope.spawn(move || deal(samples, &tasks));
        // Batches come back in the order in which they were dealt, one thread after the other.
        for result in results.iter().cycle() {
            let Ok(batch) = result.recv() else { break };
            for row in batch {
                each(row)?;
            }
        }
        Ok(())
    })
}

/// Hands out batches to one thread after the other, until there are no more or nobody wants them.
fn deal(
    samples: impl Iterator<Item = Result<(u64, Sample), DatasetError>>,
    tasks: &[SyncSender<Read>],
) {
    let mut samples = samples.peekable();
    for task in tasks.iter().cycle() {
        let batch: Read = samples.by_ref().take(BATCH).collect();
        if batch.is_empty() || task.send(batch).is_err() {
            return;
        }
    }
}

fn work(path: &Path, encoder: &Encoder, taken: &Receiver<Read>, done: &SyncSender<Encoded>) {
    while let Ok(batch) = taken.recv() {
        let batch = batch.into_iter();
        let encoded = batch.map(|sample| encode(path, encoder, sample)).collect();
        if done.send(encoded).is_err() {
            return;
        }
    }
}

pub(crate) fn encode(
    path: &Path,
    encoder: &Encoder,
    sample: Result<(u64, Sample), DatasetError>,
) -> Result<EncodedRow, PreparationError> {
    let (number, sample) = sample?;
    match encoder.encode_sample(&sample) {
        Ok(encoded) => Ok(EncodedRow {
            number,
            sample,
            encoded,
        }),
        Err(source) => Err(PreparationError::Row {
            path: path.to_owned(),
            row: number,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use llmopt_dataset::ColumnMap;
    use llmopt_tokenization::train_bpe;
    use tempfile::TempDir;

    use super::*;

    struct Workplace {
        folder: TempDir,
        encoder: Encoder,
        options: ReadOptions,
    }

    impl Workplace {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            train_bpe(
                ["how much is it".to_owned()].into_iter(),
                270,
                folder.path(),
            )
            .unwrap();
            let encoder = Encoder::open(folder.path(), None).unwrap();
            Self {
                folder,
                encoder,
                options: ReadOptions::default(),
            }
        }

        /// Encodes a file of these lines, and says with what it ended.
        fn encode(&self, lines: &str, threads: usize) -> (Vec<EncodedRow>, Option<String>) {
            let path = self.folder.path().join("rows.jsonl");
            fs::write(&path, lines).unwrap();
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut rows = Vec::new();
            let ended = encode_rows(&path, &self.options, &self.encoder, threads, |row| {
                rows.push(row);
                Ok::<_, PreparationError>(())
            });
            (rows, ended.err().map(|error| error.to_string()))
        }
    }

    fn lines(count: usize) -> String {
        let line =
            |i| format!("{{\"prompt\": \"how much is {i}\", \"response\": \"it is {i}\"}}\n");
        (1..=count).map(line).collect()
    }

    #[test]
    fn rows_come_in_their_order_whatever_the_number_of_threads() {
        let place = Workplace::new();
        let count = 5 * BATCH + 7;
        let (one, ended) = place.encode(&lines(count), 1);
        assert_eq!((one.len(), ended), (count, None));
        let numbers: Vec<_> = one.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
        let expected = place.encoder.encode_sample(&one[999].sample).unwrap();
        assert_eq!(one[999].encoded, expected);
        for threads in [2, 3, 16] {
            assert_eq!(place.encode(&lines(count), threads).0, one);
        }
    }

    #[test]
    fn a_broken_row_ends_it_after_those_before_it() {
        let place = Workplace::new();
        let broken = lines(BATCH + 3) + "{\n" + &lines(2 * BATCH);
        let (rows, ended) = place.encode(&broken, 2);
        assert_eq!(rows.len(), BATCH + 3);
        let ended = ended.unwrap();
        assert!(ended.contains(&format!("row {}", BATCH + 4)), "{ended}");
        let special = lines(2) + "{\"prompt\": \"<|endoftext|>\", \"response\": \"x\"}\n";
        let (rows, ended) = place.encode(&special, 2);
        assert_eq!(rows.len(), 2);
        assert!(ended.unwrap().ends_with("row 3: failed to tokenize it"));
    }

    #[test]
    fn whoever_has_seen_enough_ends_it() {
        let place = Workplace::new();
        let path = place.folder.path().join("rows.jsonl");
        fs::write(&path, lines(20 * BATCH)).unwrap();
        #[derive(Debug)]
        struct Enough(u64);
        impl From<PreparationError> for Enough {
            fn from(_: PreparationError) -> Self {
                Self(0)
            }
        }
        let threads = NonZeroUsize::new(2).unwrap();
        let ended = encode_rows(
            &path,
            &place.options,
            &place.encoder,
            threads,
            |row| match row.number {
                3 => Err(Enough(row.number)),
                _ => Ok(()),
            },
        );
        assert_eq!(ended.unwrap_err().0, 3);
    }

    #[test]
    fn mapped_columns_are_encoded_as_if_they_had_the_names() {
        let mut place = Workplace::new();
        let (plain, _) = place.encode(&lines(3), 2);
        place.options = ReadOptions::from("prompt=frage".parse::<ColumnMap>().unwrap());
        let (mapped, ended) = place.encode(&lines(3).replace("\"prompt\"", "\"frage\""), 2);
        assert_eq!((mapped, ended), (plain, None));
    }

    #[test]
    fn a_file_without_rows_gives_none() {
        assert_eq!(Workplace::new().encode("\n", 2), (Vec::new(), None));
    }
}
