use std::fs;

use super::*;
use crate::{
    LongRows, NO_LOSS, Padding,
    prepared::{output::PARQUET_FILE, testing::Workplace},
};

fn count(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// The rows of the dataset as they are tokenized.
fn expected(place: &Workplace) -> Vec<PreparedRow> {
    let mut rows = Vec::new();
    let shape = Shape {
        options: place.options,
        pad_id: place.encoder.pad_token_id(),
    };
    crate::encode_rows(
        &place.dataset,
        &place.read,
        &place.encoder,
        place.threads,
        |row| {
            if let Shaped::Whole(row) | Shaped::Cut(row) = shape.of(&row) {
                rows.push(row);
            }
            Ok::<_, PreparationError>(())
        },
    )
    .unwrap();
    rows
}

#[test]
fn every_row_is_in_the_files_as_it_was_tokenized() {
    let mut place = Workplace::new(2_345);
    for (format, output) in [
        (PreparedFormat::Arrow, "arrow"),
        (PreparedFormat::Parquet, "parquet"),
        (PreparedFormat::Parquet, "rows.parquet"),
    ] {
        place.options.format = format;
        let manifest = place.tokenize(output).unwrap();
        let rows = place.rows(output);
        assert_eq!(rows, expected(&place), "{output}");
        assert_eq!(manifest.summary.rows, 2_345);
        let tokens: usize = rows.iter().map(|row| row.input_ids.len()).sum();
        assert_eq!(manifest.summary.tokens, tokens as u64);
        let labels = rows.iter().flat_map(|row| &row.labels);
        let labels = labels.filter(|it| **it != NO_LOSS).count() as u64;
        assert_eq!(manifest.summary.trainable_tokens, labels);
    }
    let names = place.names();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    assert!(place.path("parquet").join(PARQUET_FILE).is_file());
    assert!(place.path("rows.parquet").is_file());
}

#[test]
fn the_same_inputs_give_the_same_bytes_on_any_number_of_threads() {
    let mut place = Workplace::new(1_500);
    for format in [PreparedFormat::Arrow, PreparedFormat::Parquet] {
        place.options.format = format;
        let files = [1, 3, 3].map(|threads| {
            place.threads = count(threads);
            let manifest = place.tokenize("out").unwrap();
            fs::remove_dir_all(place.path("out")).unwrap();
            manifest
        });
        assert_eq!(files[0], files[1]);
        assert_eq!(files[1], files[2]);
    }
}

#[test]
fn rows_that_are_too_long_are_named_left_out_or_cut() {
    let mut place = Workplace::new(12);
    let longest = place.tokenize("all").unwrap().summary.longest as usize;
    place.options.max_length = Some(count(longest - 1));
    let refused = place.tokenize("refused").unwrap_err().to_string();
    let named = format!("rows 10, 11, 12: expected at most {} tokens", longest - 1);
    assert!(refused.contains(&named), "{refused}");
    assert!(!place.path("refused").exists());

    place.options.overlong = LongRows::Drop;
    let summary = place.tokenize("dropped").unwrap().summary;
    assert_eq!((summary.rows, summary.dropped_rows), (9, 3));
    assert_eq!(place.rows("dropped").last().unwrap().number, 9);

    place.options.overlong = LongRows::Truncate;
    let summary = place.tokenize("cut").unwrap().summary;
    assert_eq!((summary.rows, summary.truncated_rows), (12, 3));
    assert_eq!(summary.longest as usize, longest - 1);
    assert_eq!(place.rows("cut").len(), 12);
}

#[test]
fn a_dataset_of_which_nothing_is_left_is_refused() {
    let mut place = Workplace::new(12);
    place.options.max_length = Some(count(2));
    for (overlong, said) in [
        (LongRows::Drop, "expected at most 2 tokens"),
        (
            LongRows::Truncate,
            "all rows: expected something to learn from",
        ),
    ] {
        place.options.overlong = overlong;
        let refused = place.tokenize("out").unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    place.options = PrepareOptions::default();
    fs::write(&place.dataset, "\n").unwrap();
    assert!(matches!(
        place.tokenize("out"),
        Err(FilesError::NothingToLearn { .. })
    ));
    assert!(!place.path("out").exists());
}

#[test]
fn rows_without_loss_are_named() {
    let place = Workplace::new(0);
    let row = |weight| {
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"a\"}}, {{\"role\": \"assistant\", \"content\": \"b\", \"weight\": {weight}}}]}}\n"
        )
    };
    fs::write(&place.dataset, row(1) + &row(0)).unwrap();
    let refused = place.tokenize("out").unwrap_err().to_string();
    assert!(
        refused.contains("row 2: expected something to learn from"),
        "{refused}"
    );
}

#[test]
fn preferences_are_refused_and_plain_text_is_not() {
    let place = Workplace::new(0);
    fs::write(&place.dataset, "{\"text\": \"so much\"}\n").unwrap();
    place.tokenize("text").unwrap();
    let [row] = &place.rows("text")[..] else {
        panic!("one row")
    };
    assert_eq!(row.labels, row.input_ids);
    let preference = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n";
    fs::write(&place.dataset, preference).unwrap();
    let refused = place.tokenize("out").unwrap_err().to_string();
    assert!(refused.contains("preference pairs"), "{refused}");
}

#[test]
fn rows_are_filled_up_to_a_multiple() {
    let mut place = Workplace::new(40);
    place.options.padding = Padding::Multiple(count(8));
    let summary = place.tokenize("out").unwrap().summary;
    let rows = place.rows("out");
    assert!(rows.iter().all(|row| row.input_ids.len() % 8 == 0));
    let all: usize = rows.iter().map(|row| row.input_ids.len()).sum();
    assert_eq!(summary.tokens + summary.padding_tokens, all as u64);
    assert!(summary.padding_tokens > 0);
}

#[test]
fn what_is_there_is_replaced_only_where_that_is_asked_for() {
    let place = Workplace::new(12);
    place.tokenize("out").unwrap();
    assert!(matches!(
        place.tokenize("out"),
        Err(FilesError::Exists { .. })
    ));
    let replace = |name: &str| {
        let mut go_on = |_| ControlFlow::Continue(());
        tokenize_dataset(
            &place.preparing(),
            &place.path(name),
            Existing::Replace,
            &mut go_on,
        )
    };
    place.write_rows(13);
    assert_eq!(replace("out").unwrap().summary.rows, 13);
    assert_eq!(place.rows("out").len(), 13);
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/letter.txt"), "dear").unwrap();
    assert!(matches!(
        replace("mine"),
        Err(FilesError::NotPrepared { .. })
    ));
    assert!(place.path("mine/letter.txt").is_file());
    assert!(matches!(
        replace("rows.jsonl"),
        Err(FilesError::NotPrepared { .. })
    ));
    let names = place.names();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

#[test]
fn progress_is_told_and_can_stop_it() {
    let place = Workplace::new(1_000);
    let size = fs::metadata(&place.dataset).unwrap().len();
    let mut told = Vec::new();
    let mut watch = |progress: Progress| {
        told.push(progress);
        match progress.rows {
            768 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let before = place.names();
    let stopped = tokenize_dataset(
        &place.preparing(),
        &place.path("out"),
        Existing::Keep,
        &mut watch,
    );
    assert!(matches!(stopped, Err(FilesError::Stopped)));
    assert_eq!(
        told.iter().map(|it| it.rows).collect::<Vec<_>>(),
        [256, 512, 768]
    );
    assert!(
        told.iter()
            .all(|it| it.total_bytes == size && it.bytes <= size && it.bytes > 0)
    );
    assert_eq!(place.names(), before);
}

#[test]
fn a_dataset_that_changes_on_the_way_is_no_dataset() {
    let place = Workplace::new(1_000);
    let mut change = |_| {
        place.write_rows(1_001);
        ControlFlow::Continue(())
    };
    let changed = tokenize_dataset(
        &place.preparing(),
        &place.path("out"),
        Existing::Keep,
        &mut change,
    );
    assert!(
        matches!(
            changed,
            Err(FilesError::DatasetChanged { .. } | FilesError::Preparation(_))
        ),
        "{changed:?}"
    );
    assert!(!place.path("out").exists());
}

#[test]
fn files_are_for_others_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut place = Workplace::new(12);
    place.options.format = PreparedFormat::Parquet;
    place.tokenize("out").unwrap();
    place.tokenize("rows.parquet").unwrap();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode();
    // As what any program makes here, whatever is taken off.
    fs::create_dir(place.path("folder")).unwrap();
    fs::write(place.path("file"), "").unwrap();
    assert_eq!(mode("out"), mode("folder"));
    assert_eq!(mode("rows.parquet"), mode("file"));
}
