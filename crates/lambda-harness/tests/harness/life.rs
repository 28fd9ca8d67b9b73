use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llmopt_lambda_harness::{Harness, HarnessError, Launch};
use serde_json::{Value, json};

use crate::support::{Gate, failure, function, gone, is_alive, start};

async fn process(harness: &Harness) -> u32 {
    let answer = harness.invoke("events", json!({})).await.unwrap();
    u32::try_from(answer["process"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn a_process_answers_one_event_after_the_other() {
    let harness = start(function("events")).await;
    let first = process(&harness).await;
    assert_eq!(process(&harness).await, first);
    assert_eq!(harness.processes("events").unwrap(), [first]);
}

#[tokio::test]
async fn a_function_sees_what_lambda_tells_it_and_nothing_of_this_process() {
    let spec = function("events")
        .memory_mb(512)
        .timeout(Duration::from_secs(20))
        .variable("OWN", "value")
        .variable("AWS_REGION", "eu-west-1");
    let harness = start(spec).await;
    let answer = harness.invoke("events", json!({})).await.unwrap();
    let variables = answer["variables"].as_object().unwrap();
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "events"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/events"),
        ("AWS_REGION", "eu-west-1"),
        ("_HANDLER", "bootstrap"),
        ("OWN", "value"),
    ] {
        assert_eq!(variables.get(name), Some(&json!(value)), "{name}");
    }
    assert!(variables.contains_key("LAMBDA_TASK_ROOT"));
    assert!(!variables.contains_key("CARGO_MANIFEST_DIR"));
    assert_eq!(
        answer["arn"],
        "arn:aws:lambda:us-east-1:000000000000:function:events"
    );
    assert_eq!(answer["request_id"].as_str().unwrap().len(), 36);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let deadline = Duration::from_millis(answer["deadline_ms"].as_u64().unwrap());
    assert!(deadline > now && deadline <= now + Duration::from_secs(20));
}

#[tokio::test]
async fn a_process_that_dies_is_told_and_replaced() {
    let harness = start(function("events")).await;
    let first = process(&harness).await;
    let (error_type, message) = failure(&harness, "events", json!({"do": "exit"})).await;
    assert_eq!(error_type, "Runtime.ExitError");
    assert!(
        message.ends_with(" Error: Runtime exited with error: exit status 3"),
        "{message}"
    );
    assert!(harness.logs("events").unwrap().contains("the last words\n"));
    assert!(!is_alive(first));

    let second = process(&harness).await;
    assert_ne!(second, first);
    let (error_type, message) = failure(&harness, "events", json!({"do": "abort"})).await;
    assert_eq!(error_type, "Runtime.ExitError");
    assert!(
        message.ends_with("Runtime exited with error: signal: aborted"),
        "{message}"
    );
    assert_ne!(process(&harness).await, second);
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_process_goes_on() {
    let harness = start(function("events")).await;
    let first = process(&harness).await;
    let (_, message) = failure(&harness, "events", json!({"do": "panic"})).await;
    assert!(message.contains("asked to panic"), "{message}");
    assert_eq!(process(&harness).await, first);
}

#[tokio::test]
async fn a_process_that_takes_too_long_is_killed() {
    let harness = start(function("events").timeout(Duration::from_secs(1))).await;
    let first = process(&harness).await;
    let (error_type, message) = failure(&harness, "events", json!({"do": "wait"})).await;
    assert_eq!(error_type, "Sandbox.Timedout");
    assert!(
        message.ends_with(" Error: Task timed out after 1.00 seconds"),
        "{message}"
    );
    assert!(!is_alive(first));
    assert_ne!(process(&harness).await, first);
}

#[tokio::test]
async fn an_answer_above_6_mb_is_an_error() {
    let harness = start(function("events")).await;
    let (error_type, _) = failure(&harness, "events", json!({"do": "be large"})).await;
    assert_eq!(error_type, "Function.ResponseSizeTooLarge");
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    let harness = Harness::builder()
        .function(function("raw_runtime").variable("MODE", "init"))
        .function(function("events").variable("FAIL", "1"))
        .start()
        .await
        .unwrap();
    match harness.invoke("raw_runtime", json!({})).await {
        Err(HarnessError::Function(error)) => {
            assert_eq!(error.to_string(), "Own.Init: no way");
            assert_eq!(error.details["stackTrace"], json!(["here"]));
        }
        other => panic!("expected an error of the start, found {other:?}"),
    }
    let (error_type, message) = failure(&harness, "events", json!({})).await;
    assert_eq!(error_type, "Runtime.ExitError");
    assert!(message.ends_with("exit status 1"), "{message}");
    let logs = harness.logs("events").unwrap();
    assert!(logs.starts_with("there is no way to start\n"), "{logs}");
    assert!(harness.processes("events").unwrap().is_empty());
}

#[tokio::test]
async fn a_process_is_told_of_its_snapshot_and_may_not_survive_it() {
    let harness = start(function("events").snap_start()).await;
    let answer = harness.invoke("events", json!({})).await.unwrap();
    assert_eq!(
        answer["variables"]["AWS_LAMBDA_INITIALIZATION_TYPE"],
        "snap-start"
    );
    let logs = harness.logs("events").unwrap();
    assert_eq!(logs, "before the snapshot\nrestored\n");

    let spec = function("events")
        .snap_start()
        .variable("FAIL_RESTORED", "1");
    let (_, message) = failure(&start(spec).await, "events", json!({})).await;
    assert_eq!(message, "asked to fail");
}

#[tokio::test]
async fn invocations_at_once_have_a_process_each_up_to_the_bound() {
    let harness = start(function("events").concurrency(2)).await;
    let gate = Gate::new().await;
    let busy = || harness.invoke("events", gate.event());
    let (first, second, ()) = tokio::join!(busy(), busy(), async {
        let waiting = [gate.knocked().await, gate.knocked().await];
        assert_eq!(harness.processes("events").unwrap().len(), 2);
        let third = harness.invoke("events", json!({})).await;
        assert!(
            matches!(third, Err(HarnessError::Throttled(_))),
            "{third:?}"
        );
        for waiting in waiting {
            waiting.open().await;
        }
    });
    let process = |answer: Result<Value, HarnessError>| answer.unwrap()["process"].clone();
    assert_ne!(process(first), process(second));
    harness.invoke("events", json!({})).await.unwrap();
    assert_eq!(harness.processes("events").unwrap().len(), 2);
}

#[tokio::test]
async fn processes_that_wait_can_be_ended() {
    let harness = start(function("events")).await;
    let first = process(&harness).await;
    harness.end_idle("events").await.unwrap();
    assert!(!is_alive(first));
    assert_ne!(process(&harness).await, first);
}

#[tokio::test]
async fn a_harness_takes_its_processes_with_it() {
    for launch in [Launch::Guarded, Launch::Direct] {
        takes_its_processes_with_it(launch).await;
    }
}

async fn takes_its_processes_with_it(launch: Launch) {
    let harness = start(function("events").launch(launch)).await;
    let gate = Gate::new().await;
    let mut invoked = Box::pin(harness.invoke("events", gate.event()));
    let waiting = tokio::select! {
        answer = &mut invoked => panic!("expected a function that waits, found {answer:?}"),
        waiting = gate.knocked() => waiting,
    };
    drop(invoked);
    let idle = process(&harness).await;
    let processes = harness.processes("events").unwrap();
    assert!(processes.len() == 2 && processes.contains(&idle));
    drop(harness);
    for process in processes {
        gone(process).await;
    }
    drop(waiting);
}
