use serde_json::{Value, json};

use crate::account::Account;

/// How many trainers may die of a job before it advances.
const FRUITLESS_CLAIMS: usize = 5;

/// Rows that the tiny model learns from in a few seconds.
fn rows() -> String {
    let row = |number: u32| {
        format!("{{\"prompt\": \"Order {number} please\", \"response\": \"{number} it is\"}}\n")
    };
    (1..=20).map(row).collect()
}

fn is_past(steps: u64) -> impl Fn(&Value) -> bool {
    move |job| job["progress"]["checkpoint"].as_u64() >= Some(steps)
}

async fn answers(account: &Account, name: &str) {
    let question = json!({
        "model_id": name, "prompt": "Order 3 please", "max_tokens": 8, "temperature": 0,
    });
    let answer = account.ask("POST", "/generate", question).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["metadata"]["weights"], "adapter", "{answer:?}");
    assert!(
        answer.body["metrics"]["output_tokens"].as_u64() >= Some(1),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_lives_from_a_presigned_upload_to_its_answer() {
    let Some(account) = Account::new().await else {
        return;
    };
    let ready = account.ask("GET", "/ready", Value::Null).await;
    assert_eq!(ready.status, 200, "{ready:?}");
    for open in ["/health", "/ready"] {
        let answer = account.ask_with(None, "GET", open, Value::Null).await;
        assert_eq!(answer.status, 200, "{open}: {answer:?}");
    }
    let generate = account.create_key("generate");
    for (key, method, path, status, code) in [
        (None, "GET", "/models", 401, "unauthorized"),
        (None, "GET", "/status", 401, "unauthorized"),
        (None, "POST", "/generate", 401, "unauthorized"),
        (None, "GET", "/training/jobs", 401, "unauthorized"),
        (None, "GET", "/datasets", 401, "unauthorized"),
        (None, "GET", "/keys", 401, "unauthorized"),
        (
            Some(generate.as_str()),
            "GET",
            "/datasets",
            403,
            "forbidden",
        ),
        (
            Some(generate.as_str()),
            "DELETE",
            "/models/base:tiny",
            403,
            "forbidden",
        ),
        (Some(generate.as_str()), "GET", "/keys", 403, "forbidden"),
    ] {
        let refused = account.ask_with(key, method, path, Value::Null).await;
        assert_eq!(refused.status, status, "{path}: {refused:?}");
        assert_eq!(refused.body["code"], code, "{path}: {refused:?}");
    }
    let models = account
        .ask_with(Some(&generate), "GET", "/models", Value::Null)
        .await;
    assert_eq!(models.status, 200, "{models:?}");
    let keys = account.ask("GET", "/keys", Value::Null).await;
    assert_eq!(keys.body["data"].as_array().unwrap().len(), 2, "{keys:?}");
    let dataset = account.upload(&rows()).await;
    let job = account.submit(&dataset, "orders", 12).await;
    let _trainer = account.trainer(&["work"]);
    let ended = account.wait_until_over(&job).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let events = account.events(&job).await;
    assert_eq!(events.first().unwrap(), "queued");
    assert_eq!(events.last().unwrap(), "succeeded");
    let models = account.ask("GET", "/models", Value::Null).await;
    let ids: Vec<&str> = models.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["base:tiny", "ft:tiny:orders"]);
    answers(&account, "orders").await;
    let unknown = json!({ "model_id": "nobody", "prompt": "Hi" });
    let unknown = account.ask("POST", "/generate", unknown).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let deleted = account
        .ask("DELETE", "/models/ft:tiny:orders", Value::Null)
        .await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_trainer_is_killed_and_told_of_twice_is_trained_once() {
    let Some(account) = Account::new().await else {
        return;
    };
    let dataset = account.upload(&rows()).await;
    let job = account.submit(&dataset, "killed", 800).await;
    // At least once, says the queue.
    account.send(&job).await;
    let first = account.trainer(&["work"]);
    account.wait_for(&job, is_past(25)).await;
    first.kill();
    let _second = account.trainer(&["work"]);
    let _third = account.trainer(&["work"]);
    let ended = account.wait_until_over(&job).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["fine_tuned_model"], "ft:tiny:killed:1", "{ended}");
    let events = account.events(&job).await;
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!(count("claimed"), 2, "{events:?}");
    assert_eq!(count("published"), 1, "{events:?}");
    answers(&account, "killed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_that_is_told_to_end_saves_and_another_goes_on() {
    let Some(account) = Account::new().await else {
        return;
    };
    let dataset = account.upload(&rows()).await;
    let job = account.submit(&dataset, "spot", 3000).await;
    // A pipe took the message, and Batch starts a trainer on the job, twice.
    assert_eq!(account.drain().await, std::slice::from_ref(&job));
    let mut first = account.trainer(&["run", "--job", &job]);
    account.wait_for(&job, is_past(25)).await;
    let mut twin = account.trainer(&["run", "--job", &job]);
    assert_eq!(twin.end().await, 0, "the job is another's, who lives");
    // The notice that a spot machine is taken away.
    let id = first.0.id().to_string();
    std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status()
        .unwrap();
    assert_eq!(first.end().await, 3);
    let given_back = account.job(&job).await;
    assert_eq!(given_back["status"], "queued", "{given_back}");
    let mut second = account.trainer(&["run", "--job", &job]);
    assert_eq!(second.end().await, 0);
    let ended = account.job(&job).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    answers(&account, "spot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_names_no_job_is_a_dead_letter() {
    let Some(account) = Account::new().await else {
        return;
    };
    account.send("nonsense").await;
    let _trainer = account.trainer(&["work"]);
    account.wait_for_dead_letter("nonsense").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_batch_gave_up_has_failed_with_the_reason() {
    let Some(account) = Account::new().await else {
        return;
    };
    let dataset = account.upload(&rows()).await;
    let job = account.submit(&dataset, "given-up", 12).await;
    assert_eq!(account.drain().await, std::slice::from_ref(&job));
    let event = json!({
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": {
            "jobId": "b1",
            "createdAt": 4_000_000_000_000_u64,
            "status": "FAILED",
            "statusReason": "Task failed to start",
            "parameters": { "job": job },
        },
    });
    // Events come at least once, too.
    account.invoke("job-events", &event).await;
    account.invoke("job-events", &event).await;
    let failed = account.job(&job).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let reason = failed["error"].to_string();
    assert!(reason.contains("Task failed to start"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_trainers_fails_and_its_message_is_a_dead_letter() {
    let Some(account) = Account::new().await else {
        return;
    };
    let dataset = account.upload(&rows()).await;
    // Nothing is saved before its trainers die.
    let job = account
        .submit_job(json!({
            "base_model": "base:tiny",
            "dataset_id": dataset,
            "name": "poisoned",
            "config": { "max_steps": 5000, "epochs": 10_000, "checkpoint_steps": 5000 },
        }))
        .await;
    for deaths in 0..FRUITLESS_CLAIMS {
        let trainer = account.trainer(&["work"]);
        account.wait_for_events(&job, "claimed", deaths + 1).await;
        trainer.kill();
    }
    let _last = account.trainer(&["work"]);
    let failed = account.wait_until_over(&job).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let reason = failed["error"].to_string();
    assert!(reason.contains("micro_batch_size"), "{failed}");
    account.wait_for_dead_letter(&job).await;
}
