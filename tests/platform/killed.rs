//! Processes that are killed at random moments: nothing is half visible, and nothing that was
//! acknowledged is lost.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use reqwest::blocking::Response;
use serde_json::{Value, json};

use crate::server::{Place, Server, job, rows};

/// Long enough to be killed in the middle, also on a fast machine.
const EPOCHS: u32 = 100;

fn submit(server: &Server) -> String {
    let body = job(server, "squares", EPOCHS);
    let job = server.json(server.post("/training/jobs").json(&body));
    job["id"].as_str().unwrap().to_owned()
}

fn undisturbed() -> Place {
    let place = Place::new();
    let server = place.serve();
    let id = submit(&server);
    server.wait_for(&id, &["succeeded"]);
    place
}

fn share(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) / f64::from(u32::MAX)
}

#[test]
fn a_job_whose_trainer_is_killed_at_random_moments_publishes_the_same_bytes() {
    let expected = undisturbed().weights("squares");
    let place = Place::new();
    let server = place.serve();
    let id = submit(&server);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut kills = 0;
    while kills < 3 {
        server.wait_for_event(&id, |event| event["event"] == "checkpoint");
        sleep(Duration::from_millis((share(&mut random) * 400.0) as u64));
        let job = server.job(&id);
        assert_ne!(
            job["status"], "succeeded",
            "the job is too short to be killed"
        );
        kills += u32::from(server.kill_trainer());
    }
    let job = server.wait_for(&id, &["succeeded", "failed"]);
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(place.weights("squares"), expected);
    let events = server.stream(server.get(&format!("/training/jobs/{id}/events")));
    let requeued = events.iter().filter(|(name, _)| name == "requeued");
    assert_eq!(requeued.count(), 3);
    let started: Vec<u64> = events
        .iter()
        .filter(|(name, _)| name == "started")
        .map(|(_, data)| data["step"].as_u64().unwrap())
        .collect();
    assert!(started.iter().any(|&step| step > 0), "{started:?}");
}

#[test]
fn a_job_whose_server_and_trainer_are_killed_goes_on_to_the_same_bytes() {
    let began = Instant::now();
    let expected = undisturbed().weights("squares");
    let whole = began.elapsed();
    let place = Place::new();
    let mut server = place.serve();
    let id = submit(&server);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut kills = 0;
    for round in 0..8 {
        // A share of the whole run, so that steps, checkpoints and publishing are all hit.
        sleep(whole.mul_f64(share(&mut random)));
        // Left alone, a trainer goes on without its server, which has to notice when it is back; killed
        // too, only the lease tells that nobody works on the job.
        if round % 2 == 0 {
            kills += u32::from(server.kill_trainer());
        }
        server.kill();
        server = place.serve();
    }
    let job = server.wait_for(&id, &["succeeded", "failed"]);
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["fine_tuned_model"], "ft:tiny:squares:1");
    assert_eq!(place.weights("squares"), expected);
    assert!(kills > 0, "no trainer was killed");
}

#[test]
fn a_job_whose_trainer_gives_no_sign_of_life_is_given_to_another() {
    let expected = undisturbed().weights("squares");
    let place = Place::new();
    let server = place.serve();
    let id = submit(&server);
    server.wait_for_event(&id, |event| event["event"] == "checkpoint");
    assert!(server.suspend_trainer());
    server.wait_for_event(&id, |event| event["event"] == "requeued");
    let job = server.wait_for(&id, &["succeeded", "failed"]);
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(place.weights("squares"), expected);
}

#[test]
fn a_publication_that_is_cut_off_shows_nothing_and_is_done_again() {
    let expected = undisturbed().weights("squares");
    let place = Place::new();
    let mut server = place.serve();
    let id = submit(&server);
    let mut cut = 0;
    while cut < 2 && place.wait_for_publication("squares") {
        server.kill_trainer();
        server.kill();
        cut += u32::from(!place.is_published("squares"));
        server = place.serve();
    }
    let job = server.wait_for(&id, &["succeeded", "failed"]);
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["fine_tuned_model"], "ft:tiny:squares:1");
    assert_eq!(place.weights("squares"), expected);
    assert!(place.is_tidy_after(server));
    // Otherwise nothing was tested.
    assert!(cut > 0, "no publication was cut");
}

#[test]
fn an_upload_that_is_cut_off_leaves_nothing() {
    let place = Place::new();
    let server = place.serve();
    let text = rows(0..2000);
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/datasets?name=a.jsonl HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .write_all(&text.as_bytes()[..text.len() / 2])
        .unwrap();
    while place.staged() == 0 {
        sleep(Duration::from_millis(5));
    }
    server.kill();
    let server = place.serve();
    assert_eq!(server.json(server.get("/datasets"))["data"], json!([]));
    assert_eq!(place.staged(), 0);
    assert_eq!(server.upload("a.jsonl", text)["rows"], 2000);

    // A caller that goes away in the middle leaves nothing either.
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"{").unwrap();
    while place.staged() == 0 {
        sleep(Duration::from_millis(5));
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    while place.staged() > 0 {
        sleep(Duration::from_millis(5));
    }
    assert_eq!(
        server.json(server.get("/datasets"))["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Uploads a dataset and submits a job at the same time, and returns the ids that were acknowledged.
fn upload_and_submit(
    server: &Server,
    round: u32,
    body: &Value,
    meanwhile: impl FnOnce(),
) -> [Option<String>; 2] {
    let id = |sent: reqwest::Result<Response>| {
        let answered: Value = sent.ok()?.json().ok()?;
        Some(answered["id"].as_str().unwrap().to_owned())
    };
    scope(|scope| {
        let rows = rows(round * 100..round * 100 + 50);
        let upload = server.post("/datasets?name=x.jsonl").body(rows);
        let upload = scope.spawn(move || id(upload.send()));
        let submission = server.post("/training/jobs").json(body);
        let submission = scope.spawn(move || id(submission.send()));
        meanwhile();
        [upload.join().unwrap(), submission.join().unwrap()]
    })
}

fn ids(server: &Server, path: &str) -> Vec<String> {
    let listed = server.json(server.get(path));
    let listed = listed["data"].as_array().unwrap().iter();
    listed
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_what_was_not_is_whole_or_absent() {
    let place = Place::new();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut uploads, mut jobs, mut cut) = (Vec::new(), Vec::new(), 0);
    let mut whole = Duration::ZERO;
    // Until there were enough of each, however fast the machine is just now.
    for round in 0..60 {
        if round >= 12 && cut > 2 && uploads.len() > 2 && jobs.len() > 2 {
            break;
        }
        let server = place.serve();
        let body = job(&server, &format!("m{round}"), 1);
        let began = Instant::now();
        let [upload, submission] = upload_and_submit(&server, round, &body, || {
            // The first round is not disturbed: it tells how long the others would take.
            if round > 0 {
                sleep(whole.mul_f64(2.0 * share(&mut random)));
                server.kill();
            }
        });
        whole = whole.max(began.elapsed());
        cut += [&upload, &submission]
            .iter()
            .filter(|it| it.is_none())
            .count();
        uploads.extend(upload);
        jobs.extend(submission);
    }
    // Otherwise nothing was tested.
    assert!(
        cut > 2 && uploads.len() > 2 && jobs.len() > 2,
        "{cut} were cut"
    );

    let server = place.serve();
    let listed = ids(&server, "/datasets?limit=100");
    assert!(uploads.iter().all(|id| listed.contains(id)));
    for id in &listed {
        let report = server.json(server.get(&format!("/datasets/{id}/report")));
        assert!(report["rows"].as_u64().unwrap() > 0);
    }
    let listed = ids(&server, "/training/jobs?limit=100");
    assert!(jobs.iter().all(|id| listed.contains(id)));
    for id in &listed {
        let job = server.wait_for(id, &["succeeded", "failed"]);
        assert_eq!(job["status"], "succeeded", "{job}");
    }
    assert!(place.is_tidy_after(server));
}
