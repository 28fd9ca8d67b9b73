//! Every target over the corpus that is committed for it.

#![expect(
    clippy::unwrap_used,
    reason = "tests fail by panicking, and so do their helpers"
)]

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use llmopt_fuzz_targets::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz")).to_owned()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn every_target_holds_for_its_corpus() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let corpus = fuzz().join("corpus").join(target.name);
        for name in names(&corpus) {
            let path = corpus.join(name);
            let bytes = fs::read(&path).unwrap();
            if catch_unwind(|| (target.check)(&bytes)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_target_has_a_corpus_and_a_fuzzer() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(names(&fuzz().join("corpus")), targets);
    for target in &targets {
        let corpus = names(&fuzz().join("corpus").join(target));
        assert!(
            corpus.len() >= 2,
            "the corpus of `{target}` has less than two inputs"
        );
    }
    let fuzzers = names(&fuzz().join("fuzz_targets"));
    let expected: BTreeSet<String> = targets.iter().map(|it| format!("{it}.rs")).collect();
    assert_eq!(fuzzers, expected);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in targets {
        let path = format!("path = \"fuzz_targets/{target}.rs\"");
        assert!(
            manifest.contains(&path),
            "fuzz/Cargo.toml has no `{target}`"
        );
        let fuzzer = fs::read_to_string(fuzz().join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(
            fuzzer.contains(&format!("llmopt_fuzz_targets::{target}(")),
            "{fuzzer}"
        );
    }
}
