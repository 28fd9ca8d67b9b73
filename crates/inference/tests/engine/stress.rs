//! Many who ask at once, more models than there is room for.

use std::path::PathBuf;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use llmopt_inference::LlamaEngine;
use llmopt_service::{GenerationRequest, TextGenerator};
use tokio::runtime::Runtime;

use crate::workplace::{Answer, Workplace, ask, drawn, greedy, request};

const THREADS: usize = 50;
const MODELS: u64 = 4;
const ROOM: u32 = 2;

#[test]
fn fifty_threads_get_right_answers_from_four_models_in_room_for_two() {
    stress(Duration::from_secs(4));
}

#[test]
#[ignore = "takes a minute; the same for longer"]
fn fifty_threads_get_right_answers_for_a_minute() {
    stress(Duration::from_secs(60));
}

/// A question with its answer, from an engine that did nothing else.
struct Known {
    request: GenerationRequest<PathBuf>,
    text: String,
    completion_tokens: u32,
}

fn known(workplace: &Workplace, runtime: &Runtime) -> Vec<Known> {
    let engine = workplace.engine(MODELS as u32);
    let models = (1..=MODELS).map(|seed| workplace.random_model(&format!("model-{seed}"), seed));
    let mut known = Vec::new();
    for model in models {
        for content in ["Hello", "Shut the lamp in the attic.", "What is it?"] {
            for sampling in [greedy(12), drawn(20, 7), drawn(6, 8)] {
                let request = request(&model, content, sampling);
                let answer = runtime.block_on(ask(&engine, request.clone())).unwrap();
                let Answer {
                    completion_tokens, ..
                } = answer;
                known.push(Known {
                    request,
                    text: answer.text(),
                    completion_tokens,
                });
            }
        }
    }
    let texts: HashSet<&String> = known.iter().map(|known| &known.text).collect();
    assert!(
        texts.len() * 10 > known.len() * 9,
        "nearly every answer tells its question: {texts:?}"
    );
    known
}

#[derive(Default)]
struct Counts {
    answers: AtomicUsize,
    dropped: AtomicUsize,
    looks: AtomicUsize,
}

fn stress(length: Duration) {
    let workplace = Workplace::new();
    let runtime = Runtime::new().unwrap();
    let known = known(&workplace, &runtime);
    let engine = workplace.engine(ROOM);
    let counts = Counts::default();
    let over = AtomicBool::new(false);
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| watch(&workplace, &engine, &over, &counts));
        let users: Vec<_> = (0..THREADS)
            .map(|user| {
                let (known, engine, counts) = (&known, &engine, &counts);
                let handle = runtime.handle().clone();
                scope.spawn(move || {
                    for turn in 0.. {
                        if begin.elapsed() > length {
                            break;
                        }
                        // Steps that visit all questions in another order for every user.
                        let question = &known[(user + turn * (2 * user + 1)) % known.len()];
                        handle.block_on(visit(engine, question, turn % 11 == user % 11, counts));
                    }
                })
            })
            .collect();
        let failed = users
            .into_iter()
            .filter_map(|user| user.join().err())
            .count();
        over.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0, "threads that failed");
    });
    report(&engine, &counts, begin.elapsed());
}

/// Asks, and goes away without the answer if `leaves`.
async fn visit(engine: &Arc<LlamaEngine>, question: &Known, leaves: bool, counts: &Counts) {
    let request = question.request.clone();
    if leaves {
        let mut stream = engine.generate(request).await.unwrap();
        stream.recv().await;
        counts.dropped.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let answer = ask(engine, request).await.unwrap();
    assert_eq!(answer.text(), question.text);
    assert_eq!(answer.completion_tokens, question.completion_tokens);
    counts.answers.fetch_add(1, Ordering::Relaxed);
}

/// Looks again and again at what is in memory.
fn watch(workplace: &Workplace, engine: &LlamaEngine, over: &AtomicBool, counts: &Counts) {
    while !over.load(Ordering::Relaxed) {
        let models = engine.cache().unwrap().models;
        assert!(models <= ROOM, "{models} models in memory");
        let mapped = workplace.mapped_files();
        assert!(mapped <= ROOM as usize, "{mapped} models mapped");
        counts.looks.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1));
    }
}

fn report(engine: &LlamaEngine, counts: &Counts, length: Duration) {
    let status = engine.cache().unwrap();
    let [answers, dropped, looks] = [&counts.answers, &counts.dropped, &counts.looks]
        .map(|count| count.load(Ordering::Relaxed));
    println!(
        "{answers} right answers and {dropped} given up in {length:.1?}; {} hits, {} misses; never more than {ROOM} models in {looks} looks",
        status.hits, status.misses
    );
    assert!(answers > THREADS && status.misses > MODELS);
}
