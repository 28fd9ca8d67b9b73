//! How answers share the processor.

use std::{sync::Arc, time::Duration};

use llmopt_service::{GenerationEvent, GenerationStream, TextGenerator};
use tokio::time::sleep;

use crate::workplace::{Answer, Workplace, ask, greedy, request};

/// Whether the end of an answer came.
fn has_ended(stream: &mut GenerationStream) -> bool {
    let mut events = std::iter::from_fn(|| stream.try_recv().ok());
    events.any(|event| matches!(event.unwrap(), GenerationEvent::Finished { .. }))
}

#[tokio::test]
async fn a_long_answer_of_one_model_does_not_hold_up_another() {
    let workplace = Workplace::new();
    let engine = workplace.engine(2);
    let (large, small) = (
        workplace.large_model("large"),
        workplace.random_model("small", 1),
    );
    ask(&engine, request(&small, "Hello", greedy(1)))
        .await
        .unwrap();
    let mut long = engine
        .generate(request(&large, "Hello", greedy(900)))
        .await
        .unwrap();
    for _ in 0..3 {
        ask(&engine, request(&small, "Hello", greedy(10)))
            .await
            .unwrap();
    }
    assert!(!has_ended(&mut long));
}

#[tokio::test]
async fn a_model_answers_in_the_order_of_the_requests() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let model = workplace.random_model("a", 1);
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(
            engine
                .generate(request(&model, "Hello", greedy(40)))
                .await
                .unwrap(),
        );
    }
    let mut last = streams.pop().unwrap();
    while last.recv().await.is_some() {}
    for mut stream in streams {
        assert!(has_ended(&mut stream));
    }
}

#[tokio::test]
async fn the_runtime_goes_on_while_a_model_computes() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let model = workplace.large_model("large");
    // One thread for all tasks: if an answer held it, nothing would tick.
    let computing = {
        let engine = Arc::clone(&engine);
        tokio::spawn(
            async move { ask(&engine, request(&model, &"Q".repeat(900), greedy(4))).await },
        )
    };
    let mut ticks = 0;
    while !computing.is_finished() {
        sleep(Duration::from_millis(5)).await;
        ticks += 1;
    }
    let Answer {
        completion_tokens, ..
    } = computing.await.unwrap().unwrap();
    assert_eq!(completion_tokens, 4);
    assert!(ticks > 20, "{ticks} ticks");
}
