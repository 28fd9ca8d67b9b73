use std::{fmt::Debug, num::NonZeroU32};

use llmopt_artifact::{EvaluationResults, Manifest, TrainingMetadata};
use llmopt_domain::{
    ApiKey, Digest, EvaluationSpec, Finding, JobEvent, JobProgress, JobSpec, KeyUse, ModelId, Rate,
    Slots, StateEvent, TrainingConfig, TrainingEvent, TrainingJob, UploadedDataset,
};
use llmopt_service::GenerationLine;
use llmopt_tokenization::TemplateLock;
use serde::{Serialize, de::DeserializeOwned};

use crate::text::check_said;

/// A record in JSON, whichever it is; and its first bytes as the numbers of a rate limit.
pub(crate) fn all(bytes: &[u8]) {
    kept::<TrainingConfig>(bytes, check_config);
    kept::<JobSpec>(bytes, check_spec);
    kept::<TrainingJob>(bytes, |job| check_spec(&job.spec));
    kept::<EvaluationSpec>(bytes, |_| {});
    kept::<TrainingEvent>(bytes, |_| {});
    kept::<StateEvent>(bytes, |_| {});
    kept::<JobEvent>(bytes, |_| {});
    kept::<JobProgress>(bytes, |_| {});
    kept::<UploadedDataset>(bytes, |it| check_digest(&it.digest));
    kept::<ApiKey>(bytes, |it| check_digest(&it.secret));
    kept::<KeyUse>(bytes, |_| {});
    kept::<Manifest>(bytes, |it| {
        it.files.values().for_each(|it| check_digest(&it.digest))
    });
    kept::<TrainingMetadata>(bytes, |it| check_digest(&it.job));
    kept::<EvaluationResults>(bytes, |it| check_digest(&it.dataset));
    kept::<TemplateLock>(bytes, |_| {});
    kept::<Finding>(bytes, |_| {});
    kept::<GenerationLine>(bytes, |_| {});
    kept::<ModelId>(bytes, |_| {});
    rate(bytes);
}

/// A record that is read, written and read again is the same.
fn kept<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8], check: impl Fn(&T)) {
    match serde_json::from_slice::<T>(bytes) {
        Ok(record) => {
            check(&record);
            let written = serde_json::to_vec(&record).unwrap();
            assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), record);
        }
        Err(error) => check_said(&error.to_string()),
    }
}

fn check_config(config: &TrainingConfig) {
    for problem in config.validate().err().unwrap_or_default() {
        check_said(&problem.to_string());
    }
}

/// The same inputs give the same job, though they were written down in between.
fn check_spec(spec: &JobSpec) {
    check_config(&spec.config);
    for digest in [&spec.base.digest, &spec.dataset.digest] {
        check_digest(digest);
    }
    let written = serde_json::to_vec(spec).unwrap();
    let again: JobSpec = serde_json::from_slice(&written).unwrap();
    assert_eq!(again.identity().unwrap(), spec.identity().unwrap());
}

/// What calls itself a digest is one: its beginning names folders.
fn check_digest(digest: &Digest) {
    let text = digest.to_string();
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert!(
        hex.len() == 64 && hex.bytes().all(is_hex),
        "`{text}` is no digest"
    );
}

/// Whatever a store holds, slots are within the burst, and nobody waits longer than the limit can ask for.
fn rate(bytes: &[u8]) {
    let (numbers, _) = bytes.as_chunks::<8>();
    let mut numbers = numbers.iter().map(|&it| u64::from_le_bytes(it));
    let mut number = || numbers.next().unwrap_or(1);
    let (period, sizes, free_us, now_us) = (number(), number(), number(), number());
    let size = |bits: u64| NonZeroU32::new((bits & 0xffff_ffff) as u32).unwrap_or(NonZeroU32::MIN);
    let (burst, count) = (size(sizes), size(sizes >> 32));
    let rate = Rate {
        period_us: period.try_into().unwrap_or(std::num::NonZeroU64::MIN),
        burst,
    };
    assert!(Rate::per_minute(burst).span_us(burst.get()) >= 60_000_000);
    match rate.take(free_us, now_us, count) {
        Ok(mut slots) => {
            assert!(slots.begin_us >= now_us && slots.begin_us <= slots.end_us);
            assert!(slots.end_us <= now_us.saturating_add(rate.span_us(burst.get())));
            let Slots { begin_us, end_us } = slots;
            if let Some(slot) = slots.next(now_us, rate) {
                assert!((begin_us..=end_us).contains(&slot));
                assert!(slots.begin_us > slot && slots.end_us == end_us);
            }
        }
        Err(no_slot) => assert!(no_slot.wait_us > 0),
    }
    let _ = rate.free(free_us, now_us);
}
