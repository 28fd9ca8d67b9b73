//! Datasets on one machine.

use std::{
    collections::BTreeSet,
    fs,
    thread::{scope, sleep},
    time::Instant,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};

use crate::{
    server::{Place, Server},
    shared::{
        Api, a_dataset_lives, a_file_comes_in_parts, many, numbers,
        what_comes_in_parts_is_what_was_announced,
    },
};

/// Servers that die of an upload.
const KILLS: u32 = 6;

/// What is kept of uploads in parts.
fn uploads(place: &Place) -> usize {
    let folder = place.data_dir().join(".uploads");
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_dataset_lives_from_its_upload_to_its_end() {
    let place = Place::new();
    let server = place.serve();
    a_dataset_lives(&Api::new(&server.at(""), None));
    assert!(place.is_tidy_after(server));
}

#[test]
fn a_file_that_comes_in_parts_is_a_dataset_once_all_have_come() {
    let place = Place::new();
    let server = place.serve();
    a_file_comes_in_parts(&Api::new(&server.at(""), None));
    assert_eq!(uploads(&place), 0);
    assert!(place.is_tidy_after(server));
}

#[test]
fn what_comes_in_parts_must_be_what_was_announced() {
    let place = Place::new();
    let server = place.serve();
    what_comes_in_parts_is_what_was_announced(&Api::new(&server.at(""), None));
    assert!(place.is_tidy_after(server));
}

/// A client that sends what is missing and completes the upload, until it is cut off.
struct Client<'a> {
    path: String,
    bytes: &'a [u8],
    /// The parts that it was told are kept.
    acknowledged: BTreeSet<u64>,
}

impl Client<'_> {
    /// Returns the dataset, if nothing cuts it off.
    fn go_on(&mut self, server: &Server) -> Option<Value> {
        let found = server.get(&self.path).send().ok()?.json::<Value>().ok()?;
        for number in numbers(&found["missing"]) {
            assert!(
                !self.acknowledged.contains(&number),
                "part {number} is lost: {found}"
            );
            let size = usize::try_from(found["part_size_bytes"].as_u64()?).ok()?;
            let piece = self
                .bytes
                .chunks(size)
                .nth(usize::try_from(number).ok()? - 1)?;
            let put = server.put(&format!("{}/parts/{number}", self.path));
            let sent = put.body(piece.to_vec()).send().ok()?;
            assert_eq!(sent.status(), 204);
            self.acknowledged.insert(number);
        }
        let completed = server
            .post(&format!("{}/complete", self.path))
            .send()
            .ok()?;
        assert!(completed.status().is_success(), "{completed:?}");
        completed.json().ok()
    }
}

fn begin(server: &Server, bytes: &[u8]) -> String {
    let announced = json!({ "name": "many.jsonl", "size_bytes": bytes.len() });
    let begun = server.json(server.post("/datasets/uploads").json(&announced));
    format!("/datasets/uploads/{}", begun["upload_id"].as_str().unwrap())
}

/// Asserts that a dataset is whole, and deletes it.
fn is_whole(server: &Server, dataset: &Value) {
    assert_eq!(dataset["rows"], 20_000);
    let path = format!("/datasets/{}", dataset["id"].as_str().unwrap());
    let report = server.json(server.get(&format!("{path}/report")));
    assert_eq!(report["rows"], 20_000);
    assert_eq!(server.delete(&path).send().unwrap().status(), 204);
}

#[test]
fn an_upload_in_parts_goes_on_under_servers_that_are_killed_at_random_moments() {
    let place = Place::new();
    let mut server = place.serve();
    let bytes = many();
    let client = |path| Client {
        path,
        bytes: &bytes,
        acknowledged: BTreeSet::new(),
    };
    let mut undisturbed = client(begin(&server, &bytes));
    let began = Instant::now();
    let dataset = undisturbed.go_on(&server).unwrap();
    let whole = began.elapsed();
    is_whole(&server, &dataset);
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut kills = 0;
    for round in 1..=3 {
        let mut client = client(begin(&server, &bytes));
        let dataset = loop {
            // A share of an undisturbed one, so that sending, joining, checking and publishing are all hit.
            let share = f64::from(random.next_u32()) / f64::from(u32::MAX);
            let dataset = scope(|threads| {
                let client = threads.spawn(|| client.go_on(&server));
                sleep(whole.mul_f64(share));
                // After so many it is left to end, however slow this machine is by then.
                if kills < round * KILLS && !client.is_finished() {
                    server.kill();
                    kills += 1;
                }
                client.join().unwrap()
            });
            if let Some(dataset) = dataset {
                break dataset;
            }
            drop(server);
            server = place.serve();
            // All of it or nothing.
            let listed = server.json(server.get("/datasets"));
            for dataset in listed["data"].as_array().unwrap() {
                assert_eq!(dataset["rows"], 20_000);
            }
        };
        is_whole(&server, &dataset);
    }
    assert!(kills > 2, "{kills}");
    assert!(place.is_tidy_after(server));
}
