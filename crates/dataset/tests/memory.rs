//! How much memory reading takes, in a process of its own.

use std::{fs, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use llmopt_dataset::open;

const UNPACKED_BYTES: usize = 128 << 20;
const MOST_BYTES: u64 = 8 << 20;

/// Returns the most memory that this process has had, where the system tells.
fn most_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

#[test]
fn a_packed_file_is_read_in_a_sixteenth_of_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl.gz");
    let row = format!("{{\"text\": \"{}\"}}\n", "word ".repeat(12_000));
    let count = UNPACKED_BYTES / row.len();
    let mut packed = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    for _ in 0..count {
        packed.write_all(row.as_bytes()).unwrap();
    }
    packed.finish().unwrap();
    let Some(before) = most_bytes() else {
        println!("skipped: the system does not tell how much memory is used");
        return;
    };
    let rows = open(&path).unwrap().map(|row| row.unwrap().number);
    assert_eq!(rows.max(), Some(count as u64));
    let taken = most_bytes().unwrap() - before;
    println!("{taken} bytes for {UNPACKED_BYTES}");
    assert!(taken < MOST_BYTES, "{taken} bytes for {UNPACKED_BYTES}");
}
