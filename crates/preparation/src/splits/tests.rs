use std::{collections::BTreeSet, fs, path::PathBuf};

use tempfile::TempDir;

use super::*;

struct Workplace {
    folder: TempDir,
    dataset: PathBuf,
}

impl Workplace {
    fn new(name: &str, rows: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dataset = folder.path().join(name);
        fs::write(&dataset, rows).unwrap();
        Self { folder, dataset }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn split(&self, shares: &str, seed: u64, output: &str) -> Result<SplitReport, FilesError> {
        let splitting = Splitting {
            dataset: &self.dataset,
            read: &ReadOptions::default(),
            shares: shares.parse().unwrap(),
            seed,
        };
        let mut go_on = |_| ControlFlow::Continue(());
        split_dataset(&splitting, &self.path(output), &mut go_on)
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(file)).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn rows(count: usize) -> String {
    let row = |i| format!("{{\"prompt\":\"count {i}\",\"response\":\"it is {i}\"}}\n");
    (0..count).map(row).collect()
}

#[test]
fn every_row_is_in_one_file_by_its_share() {
    let place = Workplace::new("rows.jsonl", &rows(200));
    let report = place
        .split("train=0.8,validation=0.1,test=0.1", 7, "out")
        .unwrap();
    let counts: Vec<_> = report
        .splits
        .iter()
        .map(|(name, it)| (*name, it.rows))
        .collect();
    assert_eq!(counts, [("test", 20), ("train", 160), ("validation", 20)]);
    let mut all = BTreeSet::new();
    for (name, split) in &report.splits {
        let lines = place.lines(&format!("out/{name}.jsonl"));
        assert_eq!(lines.len() as u64, split.rows);
        let bytes = fs::read(place.path("out").join(&split.file)).unwrap();
        assert_eq!(split.digest, Digest::of_bytes(&bytes));
        all.extend(lines);
    }
    let expected: BTreeSet<String> = rows(200).lines().map(str::to_owned).collect();
    assert_eq!(all, expected);
    let written = fs::read(place.path("out/split.json")).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written, serde_json::to_value(&report).unwrap());
    let again = place
        .split("train=8,validation=1,test=1", 7, "again")
        .unwrap();
    assert_eq!(again.splits, report.splits);
    let other = place
        .split("train=8,validation=1,test=1", 8, "other")
        .unwrap();
    assert_ne!(other.splits, report.splits);
}

#[test]
fn rows_keep_their_columns_whatever_the_format() {
    let csv: String = (0..20)
        .map(|i| format!("count {i},it is {i},{}\n", i % 3))
        .collect();
    let place = Workplace::new("rows.csv", &format!("prompt,response,level\n{csv}"));
    place.split("train=1,test=1", 0, "out").unwrap();
    let lines = place.lines("out/train.jsonl");
    assert_eq!(lines.len(), 10);
    let row: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let names: Vec<_> = row.as_object().unwrap().keys().collect();
    assert_eq!(names, ["prompt", "response", "level"]);
    assert!(!place.path("out/validation.jsonl").exists());
}

#[test]
fn rows_that_are_nearly_the_same_on_both_sides_are_told() {
    let long = "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 7 8 9";
    let row = |i: usize| {
        let prompt = if i.is_multiple_of(10) {
            format!("{long} {i}")
        } else {
            format!("count {i}")
        };
        format!("{{\"prompt\":\"{prompt}\",\"response\":\"it is {i}\"}}\n")
    };
    let place = Workplace::new("rows.jsonl", &(1..=200).map(row).collect::<String>());
    let report = place.split("train=1,validation=1", 0, "out").unwrap();
    let leaks = &report.leaks;
    assert_eq!(
        (leaks.train_rows, leaks.held_out_rows, leaks.same),
        (100, 100, 0)
    );
    assert!(leaks.near >= 5, "{leaks:?}");
    for leak in &leaks.leaks {
        assert_eq!(
            (leak.split, leak.row % 10, leak.train_row % 10),
            ("validation", 0, 0)
        );
        assert!(leak.similarity > 0.7 && leak.row != leak.train_row);
    }
}

#[test]
fn leaks_between_two_files_are_found_by_their_rows() {
    let place = Workplace::new("train.jsonl", &rows(30));
    let held_out = place.path("held-out.jsonl");
    let other = "{\"prompt\":\"something else\",\"response\":\"altogether\"}\n";
    let same = "{\"response\":\"it is 6\",\"prompt\":\"count 6\"}\n";
    fs::write(&held_out, format!("{other}{same}")).unwrap();
    let report = find_leaks(&place.dataset, &held_out, &ReadOptions::default()).unwrap();
    assert_eq!((report.same, report.near, report.total()), (1, 0, 1));
    let expected = FoundLeak {
        split: "validation",
        row: 2,
        train_row: 7,
        similarity: 1.0,
    };
    assert_eq!(report.leaks, [expected]);
}

#[test]
fn nothing_is_written_where_something_is_wrong() {
    let place = Workplace::new("rows.jsonl", &rows(5));
    let empty = place
        .split("train=1,test=0.01", 0, "out")
        .unwrap_err()
        .to_string();
    assert!(empty.contains("no row of 5 for `test`"), "{empty}");
    place.split("train=1,test=1", 0, "out").unwrap();
    assert!(matches!(
        place.split("train=1,test=1", 0, "out"),
        Err(FilesError::Exists { .. })
    ));
    fs::write(&place.dataset, rows(5) + "{\"prompt\": \"a\"}\n").unwrap();
    let broken = place
        .split("train=1,test=1", 0, "broken")
        .unwrap_err()
        .to_string();
    assert!(broken.contains("row 6"), "{broken}");
    assert!(!place.path("broken").exists());
}

#[test]
fn progress_goes_to_the_end_and_can_stop_it() {
    let place = Workplace::new("rows.jsonl", &rows(3_000));
    let splitting = Splitting {
        dataset: &place.dataset,
        read: &ReadOptions::default(),
        shares: "train=1,test=1".parse().unwrap(),
        seed: 0,
    };
    let mut told = Vec::new();
    let mut watch = |progress: Progress| {
        told.push(progress.bytes);
        ControlFlow::Continue(())
    };
    split_dataset(&splitting, &place.path("out"), &mut watch).unwrap();
    assert_eq!(told.len(), 4);
    let size = fs::metadata(&place.dataset).unwrap().len();
    assert!(
        told.is_sorted() && told[1] <= size && told[2] > size && told[3] <= 2 * size,
        "{told:?}"
    );
    for stopped_at in [0, 3] {
        let mut count = 0;
        let stopped = split_dataset(&splitting, &place.path("stopped"), &mut |_| {
            count += 1;
            match count > stopped_at {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        assert!(matches!(stopped, Err(FilesError::Stopped)));
        assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 2);
    }
}
