//! Answers that nobody waits for any more.

use std::time::{Duration, Instant};

use llmopt_service::TextGenerator;
use tokio::time::sleep;

use crate::workplace::{Workplace, ask, drawn, greedy, request};

#[tokio::test]
async fn an_answer_that_is_dropped_stops_and_the_model_goes_on() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let model = workplace.random_model("a", 1);
    let expected = ask(&engine, request(&model, "Hello", greedy(30)))
        .await
        .unwrap();
    for seed in 0..30 {
        let mut dropped = engine
            .generate(request(&model, "Bye", drawn(80, seed)))
            .await
            .unwrap();
        for _ in 0..seed {
            dropped.recv().await;
        }
        drop(dropped);
        let answer = ask(&engine, request(&model, "Hello", greedy(30)))
            .await
            .unwrap();
        assert_eq!(answer.text(), expected.text());
    }
}

#[tokio::test]
async fn a_long_prompt_is_given_up_in_the_middle() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let model = workplace.large_model("large");
    let long = "Q".repeat(900);
    ask(&engine, request(&model, "Hello", greedy(1)))
        .await
        .unwrap();
    let begin = Instant::now();
    ask(&engine, request(&model, &long, greedy(1)))
        .await
        .unwrap();
    let whole = begin.elapsed();

    let begin = Instant::now();
    for _ in 0..4 {
        let dropped = engine
            .generate(request(&model, &long, greedy(1)))
            .await
            .unwrap();
        sleep(Duration::from_millis(20)).await;
        drop(dropped);
    }
    ask(&engine, request(&model, "Hello", greedy(1)))
        .await
        .unwrap();
    // Four prompts read to their ends would take four times as long.
    assert!(
        begin.elapsed() < whole,
        "{:?}, a whole one {whole:?}",
        begin.elapsed()
    );
}
