//! Questions that are answered later.

use std::time::Duration;

use axum::response::Response;
use llmopt_domain::{KeyLimits, Picodollars, Scope};
use llmopt_http::{Metered, now_ms};
use llmopt_provider_mock::{Behaviour, Fault};
use llmopt_service::{Begun, NewKey};
use llmopt_spending::{Ask, Outcome};
use llmopt_storage::{
    Delivery, QueueDepth,
    spend::{Asked, RequestId},
};
use llmopt_telemetry::Unmetered;
use tokio::{sync::watch, time::sleep};

use super::{
    commercial::{OPENAI, Shop, caller, question},
    *,
};
use crate::queued::name_of;

/// How long a minute's lease has certainly run out after.
const AFTER_A_LEASE: u64 = 61_000;

async fn json_of(response: Response) -> Value {
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Asks for the answer to come later, and returns what it is called.
async fn put(router: &Router, body: &Value) -> String {
    let response = prefer(router, body).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let headers = response.headers().clone();
    assert_eq!(headers["preference-applied"], "respond-async");
    let answer = json_of(response).await;
    let id = answer["id"].as_str().unwrap().to_owned();
    let location = format!("/api/v1/generate/results/{id}");
    assert_eq!(headers["location"], location.as_str());
    assert_eq!(answer, json!({"id": id, "status": "queued"}));
    id
}

async fn prefer(router: &Router, body: &Value) -> Response {
    let request = Request::post("/generate")
        .header("content-type", "application/json")
        .header("prefer", "respond-async")
        .body(Body::from(body.to_string()))
        .unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn look(router: &Router, id: &str) -> (StatusCode, Value) {
    let request = Request::get(format!("/generate/results/{id}"));
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    (response.status(), json_of(response).await)
}

async fn status(router: &Router, id: &str) -> Value {
    let (status, answer) = look(router, id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["status"].clone()
}

fn worker(state: &GenerateState) -> AnswerWorker {
    AnswerWorker::new(state.clone(), Metered(Arc::new(Unmetered))).unwrap()
}

/// Takes the next message, which comes back at once if nobody hides it.
async fn receive(state: &GenerateState) -> Delivery {
    let queue = &state.queued.as_ref().unwrap().queue;
    let taken = queue.receive(Duration::from_secs(60)).await.unwrap();
    taken.expect("a message waits")
}

async fn depth(state: &GenerateState) -> QueueDepth {
    let queue = &state.queued.as_ref().unwrap().queue;
    queue.depth().await.unwrap()
}

#[tokio::test]
async fn a_queued_question_is_answered_once_somebody_takes_it_up_and_billed_under_its_id() {
    let shop = Shop::new(None).await;
    let id = put(&shop.router, &question(OPENAI)).await;
    assert_eq!(status(&shop.router, &id).await, "queued");
    assert!(shop.mock.exchanges().is_empty());
    let delivery = receive(&shop.state).await;
    let worker = worker(&shop.state);
    assert_eq!(worker.work_on(&delivery).await.unwrap(), Worked::Done);
    let (_, answer) = look(&shop.router, &id).await;
    assert_eq!(answer["status"], "succeeded", "{answer}");
    assert_eq!(answer["id"], id);
    let response = &answer["response"];
    assert_eq!(response["text"], "You said: one two three");
    let ledger = shop.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].request.as_str(), id);
    assert_eq!(
        response["metadata"]["cost_picodollars"],
        ledger[0].cost.get()
    );
    assert_eq!(depth(&shop.state).await, QueueDepth::default());
    // A message that is told of twice is not answered twice.
    assert_eq!(worker.work_on(&delivery).await.unwrap(), Worked::Done);
    assert_eq!(shop.mock.exchanges().len(), 1);
}

#[tokio::test]
async fn an_answer_is_for_the_key_that_asked_alone() {
    let shop = Shop::new(None).await;
    let unkeyed = GenerateState {
        queued: shop.state.queued.clone().map(|queued| QueuedAnswers {
            keys: None,
            ..queued
        }),
        ..shop.state.clone()
    };
    let of = |key: &str| shop.router.clone().layer(Extension(caller(key)));
    let id = put(&of("mine"), &question(OPENAI)).await;
    for done in [false, true] {
        if done {
            let delivery = receive(&shop.state).await;
            worker(&unkeyed).work_on(&delivery).await.unwrap();
        }
        assert_eq!(look(&of("mine"), &id).await.0, StatusCode::OK);
        for router in [of("yours"), shop.router.clone()] {
            let (status, problem) = look(&router, &id).await;
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert_eq!(problem["code"], "answer_not_found");
        }
    }
    assert_eq!(shop.ledger().await[0].asked.key, "mine");
    let (status, _) = look(&of("mine"), "req_nobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn why_there_is_no_answer_is_told_in_its_place() {
    let shop = Shop::new(None).await;
    let id = put(&shop.router, &question(OPENAI)).await;
    shop.mock.next(Behaviour::failing(Fault::QuotaExhausted));
    let delivery = receive(&shop.state).await;
    let worked = worker(&shop.state).work_on(&delivery).await;
    assert_eq!(worked.unwrap(), Worked::Done);
    let (_, answer) = look(&shop.router, &id).await;
    assert_eq!(answer["status"], "failed");
    assert_eq!(answer["error"]["code"], "provider_quota_exhausted");
    assert!(answer.get("response").is_none());
}

#[tokio::test]
async fn what_can_be_known_at_once_is_refused_at_once() {
    let shop = Shop::new(None).await;
    let mut unknown = question("base:nobody");
    let mut wrong = question(OPENAI);
    wrong["max_tokens"] = 0.into();
    let retired = question("gpt-3.5-turbo");
    for (body, code) in [
        (&unknown, "model_not_found"),
        (&wrong, "validation_failed"),
        (&retired, "model_retired"),
    ] {
        let response = prefer(&shop.router, body).await;
        assert_eq!(json_of(response).await["code"], code);
    }
    unknown["model_id"] = OPENAI.into();
    unknown["prompt"] = "word ".repeat(60_000).into();
    let response = prefer(&shop.router, &unknown).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(depth(&shop.state).await, QueueDepth::default());
}

#[tokio::test]
async fn a_stream_and_a_place_without_a_queue_are_answered_at_once() {
    let shop = Shop::new(None).await;
    let mut stream = question(OPENAI);
    stream["stream"] = true.into();
    let response = prefer(&shop.router, &stream).await;
    assert_eq!(response.status(), StatusCode::OK);
    let without = router(GenerateState {
        queued: None,
        ..shop.state.clone()
    });
    let response = prefer(&without, &question(OPENAI)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().get("preference-applied").is_none());
    assert_eq!(look(&without, "req_1").await.0, StatusCode::NOT_FOUND);
}

/// A shop whose provider has no turn for a second, and the state of one who does not wait for it.
async fn without_turns() -> (Shop, GenerateState) {
    let shop = Shop::new(Some(60)).await;
    shop.take_all_turns(60).await;
    let impatient = GenerateState {
        timeout: SHORT,
        ..shop.state.clone()
    };
    (shop, impatient)
}

#[tokio::test]
async fn a_question_whose_turn_is_too_far_away_waits_in_the_queue() {
    let (shop, impatient) = without_turns().await;
    let id = put(&shop.router, &question(OPENAI)).await;
    let delivery = receive(&shop.state).await;
    let worked = worker(&impatient).work_on(&delivery).await;
    assert_eq!(worked.unwrap(), Worked::Later);
    assert_eq!(status(&shop.router, &id).await, "queued");
    assert_eq!(depth(&shop.state).await.taken, 1);
    assert!(shop.mock.exchanges().is_empty());
    // Its turn comes within a second.
    sleep(Duration::from_millis(1_100)).await;
    worker(&shop.state).work_on(&delivery).await.unwrap();
    assert_eq!(status(&shop.router, &id).await, "succeeded");
    assert_eq!(shop.ledger().await[0].request.as_str(), id);
}

#[tokio::test]
async fn whoever_dies_after_asking_leaves_a_question_that_is_not_asked_again() {
    let shop = Shop::new(None).await;
    let id = put(&shop.router, &question(OPENAI)).await;
    shop.mock.next(Behaviour {
        head_ms: 600_000,
        ..Behaviour::default()
    });
    let delivery = receive(&shop.state).await;
    let (dying, taken) = (worker(&shop.state), delivery.clone());
    let work = tokio::spawn(async move { dying.work_on(&taken).await });
    while shop.mock.exchanges().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(status(&shop.router, &id).await, "running");
    // While it lives, nobody else has it.
    let worker = worker(&shop.state);
    assert_eq!(worker.work_on(&delivery).await.unwrap(), Worked::Later);
    work.abort();
    let _ = work.await;
    shop.place.late_ms.store(AFTER_A_LEASE, Ordering::SeqCst);
    assert_eq!(status(&shop.router, &id).await, "queued");
    assert_eq!(worker.work_on(&delivery).await.unwrap(), Worked::Done);
    let (_, answer) = look(&shop.router, &id).await;
    assert_eq!(answer["status"], "failed");
    assert_eq!(answer["error"]["code"], "answer_lost");
    assert_eq!(shop.mock.exchanges().len(), 1);
}

/// Reserves what a question may cost, as one who asks it.
async fn reserve(shop: &Shop, name: &str) -> llmopt_storage::spend::Reservation {
    let ask = Ask {
        request: RequestId::try_from(name.to_owned()).unwrap(),
        bound: Picodollars::new(1_000_000).unwrap(),
        scopes: Vec::new(),
        asked: Asked {
            key: String::new(),
            model: OPENAI.to_owned(),
            provider: "openai".to_owned(),
            price_version: "1".to_owned(),
        },
        now_ms: now_ms(),
        expires_ms: now_ms() + 600_000,
    };
    match shop.commercial.spending().reserve(&ask).await.unwrap() {
        Outcome::Reserved(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_dies_before_asking_leaves_a_question_that_is_asked_under_another_name() {
    let shop = Shop::new(None).await;
    let id = put(&shop.router, &question(OPENAI)).await;
    // One gave it back, the next died with it.
    let given_back = reserve(&shop, &id).await;
    let spending = shop.commercial.spending();
    spending.release(&given_back, now_ms()).await.unwrap();
    let left = reserve(&shop, &format!("{id}:1")).await;
    let delivery = receive(&shop.state).await;
    worker(&shop.state).work_on(&delivery).await.unwrap();
    assert_eq!(status(&shop.router, &id).await, "succeeded");
    let ledger = shop.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].request.as_str(), format!("{id}:2"));
    // Were it not dead, it could not send any more.
    assert!(spending.mark_sent(&left).await.is_err());
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_again() {
    let shop = Shop::new(None).await;
    let id = put(&shop.router, &question(OPENAI)).await;
    let reservation = reserve(&shop, &id).await;
    let spending = shop.commercial.spending();
    spending.mark_sent(&reservation).await.unwrap();
    let delivery = receive(&shop.state).await;
    worker(&shop.state).work_on(&delivery).await.unwrap();
    let (_, answer) = look(&shop.router, &id).await;
    assert_eq!(answer["error"]["code"], "answer_lost");
    assert!(shop.mock.exchanges().is_empty());
}

#[tokio::test]
async fn a_question_that_ends_whoever_takes_it_up_is_given_up() {
    let place = place(LONG).await;
    let id = put(
        &place.router,
        &json!({"model_id": "base:tiny", "prompt": "Hi"}),
    )
    .await;
    let delivery = receive(&place.state).await;
    for death in 1..=3 {
        *place.generator.line.lock().unwrap() = None;
        let (dying, taken) = (worker(&place.state), delivery.clone());
        let work = tokio::spawn(async move { dying.work_on(&taken).await });
        while place.generator.line.lock().unwrap().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        work.abort();
        let _ = work.await;
        place.late_ms.store(AFTER_A_LEASE * death, Ordering::SeqCst);
        assert_eq!(status(&place.router, &id).await, "queued");
    }
    worker(&place.state).work_on(&delivery).await.unwrap();
    let (_, answer) = look(&place.router, &id).await;
    assert_eq!(answer["error"]["code"], "answer_lost");
}

#[tokio::test]
async fn however_often_a_question_is_put_back_it_is_not_given_up_for_that() {
    let (shop, impatient) = without_turns().await;
    let id = put(&shop.router, &question(OPENAI)).await;
    let delivery = receive(&shop.state).await;
    for _ in 0..5 {
        let worked = worker(&impatient).work_on(&delivery).await;
        assert_eq!(worked.unwrap(), Worked::Later);
    }
    assert_eq!(status(&shop.router, &id).await, "queued");
}

#[tokio::test]
async fn what_failed_and_is_billed_has_ended_with_what_the_provider_said() {
    let shop = Shop::new(None).await;
    let id = put(&shop.router, &question(OPENAI)).await;
    // What comes after a status of 200 may have been worked for.
    shop.mock.for_model(
        OPENAI,
        Behaviour::failing(Fault::Raw {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: r#"{"error": {"type": "rate_limit_exceeded", "code": "rate_limit_exceeded", "message": "m"}}"#
                .to_owned(),
        }),
    );
    let delivery = receive(&shop.state).await;
    let worked = worker(&shop.state).work_on(&delivery).await;
    assert_eq!(worked.unwrap(), Worked::Done);
    let (_, answer) = look(&shop.router, &id).await;
    assert_eq!(answer["status"], "failed");
    assert_eq!(answer["error"]["code"], "provider_rate_limited", "{answer}");
    assert!(
        shop.ledger()
            .await
            .iter()
            .any(|it| it.cost > Picodollars::ZERO)
    );
}

#[tokio::test]
async fn what_a_provider_has_no_room_for_waits_and_is_asked_again_under_another_name() {
    let shop = Shop::new(None).await;
    let id = put(&shop.router, &question(OPENAI)).await;
    let busy = Behaviour::failing(Fault::RateLimited {
        retry_after: Some("0".to_owned()),
    });
    shop.mock.for_model(OPENAI, busy);
    let delivery = receive(&shop.state).await;
    let worked = worker(&shop.state).work_on(&delivery).await;
    assert_eq!(worked.unwrap(), Worked::Later);
    assert_eq!(status(&shop.router, &id).await, "queued");
    shop.mock.for_model(OPENAI, Behaviour::default());
    worker(&shop.state).work_on(&delivery).await.unwrap();
    assert_eq!(status(&shop.router, &id).await, "succeeded");
    let ledger = shop.ledger().await;
    let answered = ledger.iter().filter(|it| it.cost > Picodollars::ZERO);
    let names: Vec<&str> = answered.map(|it| it.request.as_str()).collect();
    assert_eq!(names, [format!("{id}:1")]);
}

#[tokio::test]
async fn the_questions_of_a_key_end_with_it() {
    let shop = Shop::new(None).await;
    let keys = shop.state.queued.as_ref().unwrap().keys.clone().unwrap();
    let made = keys.create(NewKey {
        name: "the till".to_owned(),
        scopes: [Scope::Generate].into(),
        limits: KeyLimits::default(),
        expires_ms: None,
    });
    let key = made.await.unwrap().key.id;
    let router = shop.router.clone().layer(Extension(caller(&key)));
    for (is_live, expected) in [(true, "succeeded"), (false, "failed")] {
        if !is_live {
            keys.revoke(&key).await.unwrap();
        }
        let id = put(&router, &question(OPENAI)).await;
        let delivery = receive(&shop.state).await;
        worker(&shop.state).work_on(&delivery).await.unwrap();
        assert_eq!(status(&router, &id).await, expected);
    }
    assert_eq!(shop.mock.exchanges().len(), 1);
}

#[tokio::test]
async fn a_message_that_is_no_question_is_a_dead_letter() {
    let shop = Shop::new(None).await;
    let queue = &shop.state.queued.as_ref().unwrap().queue;
    queue.send("no question").await.unwrap();
    let delivery = receive(&shop.state).await;
    let worked = worker(&shop.state).work_on(&delivery).await;
    assert_eq!(worked.unwrap(), Worked::Done);
    let depth = depth(&shop.state).await;
    assert_eq!((depth.waiting + depth.taken, depth.dead), (0, 1));
}

#[tokio::test]
async fn a_server_that_ends_leaves_what_it_worked_on_to_the_next() {
    let place = place(LONG).await;
    let body = json!({"model_id": "base:tiny", "prompt": "Hi"});
    let id = put(&place.router, &body).await;
    let (stop, stopped) = watch::channel(false);
    let run = tokio::spawn(worker(&place.state).run(stopped, SHORT));
    while place.generator.line.lock().unwrap().is_none() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(status(&place.router, &id).await, "running");
    stop.send(true).unwrap();
    run.await.unwrap();
    place.generator.is_given_up().await;
    assert_eq!(status(&place.router, &id).await, "queued");
    assert_eq!(depth(&place.state).await.waiting, 1);
    let queued = place.state.queued.as_ref().unwrap();
    let name = name_of("", &id);
    let begun = queued.answers.begin(&name, Some("queued")).await;
    assert!(matches!(begun.unwrap(), Begun::Granted(_)));
}
