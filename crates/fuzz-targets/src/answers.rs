use std::sync::Arc;

use llmopt_inference_function::answer_whole;
use llmopt_inference_lambda::Lines;
use llmopt_service::{FailureKind, GenerationEvent, GenerationLine, GenerationRequest};
use serde_json::Value;

use crate::{
    platform::{OneWord, with_platform},
    text::check_said,
};

/// A request in JSON: it is answered, or it says why not, and it never names a folder of this machine.
pub(crate) fn request(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let names_folder = ["weights", "adapter", "tokenizer"]
        .iter()
        .any(|file| event["model"][file].get("folder").is_some());
    let lines =
        with_platform(|platform| platform.block_on(answer_whole(Arc::new(OneWord), event.clone())));
    match lines.last().unwrap() {
        GenerationLine::Failure(failure) => {
            assert_eq!(failure.kind, FailureKind::Input);
            check_said(&failure.message);
        }
        GenerationLine::Event(event_of_end) => {
            assert!(matches!(event_of_end, GenerationEvent::Finished { .. }));
            assert!(!names_folder, "a folder of the machine was taken");
            let request: GenerationRequest = serde_json::from_value(event).unwrap();
            let written = serde_json::to_value(&request).unwrap();
            let again: GenerationRequest = serde_json::from_value(written).unwrap();
            assert_eq!(request, again);
        }
    }
}

/// An answer gives the same lines wherever it is cut.
pub(crate) fn answer(bytes: &[u8]) {
    let whole = lines(bytes, bytes.len().max(1));
    for line in &whole {
        match line {
            Ok(line) => {
                let written = serde_json::to_vec(line).unwrap();
                assert_eq!(*line, serde_json::from_slice(&written).unwrap());
            }
            Err(problem) => check_said(problem),
        }
    }
    for piece in [1, 3, 64] {
        assert_eq!(whole, lines(bytes, piece), "in pieces of {piece}");
    }
}

fn lines(bytes: &[u8], piece: usize) -> Vec<Result<GenerationLine, String>> {
    let mut lines = Lines::default();
    bytes
        .chunks(piece)
        .flat_map(|piece| lines.push(piece))
        .collect()
}
