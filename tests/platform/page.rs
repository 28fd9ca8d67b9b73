//! The page that shows the API, in a real browser.

use std::process::Command;

use crate::server::Place;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Returns a browser, or says what is skipped for want of one.
fn browser() -> Option<&'static str> {
    let is_there = |name: &&str| {
        let told = Command::new(name).arg("--version").output();
        told.is_ok_and(|told| told.status.success())
    };
    let found = BROWSERS.into_iter().find(is_there);
    if found.is_none() {
        println!("skipped: no browser (chromium) is on the PATH");
    }
    found
}

#[test]
fn the_page_shows_every_operation_in_a_browser() {
    let Some(browser) = browser() else {
        return;
    };
    let place = Place::new();
    let server = place.serve();
    let document = server.json(server.get("/openapi.json"));
    let shown = place
        .command(browser)
        // As root, a browser starts without a sandbox or not at all; it sees only our own page.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--virtual-time-budget=10000", &server.at("/docs")])
        .env("HOME", place.path("home"))
        .output()
        .unwrap();
    let page = String::from_utf8(shown.stdout).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths
        .values()
        .flat_map(|it| it.as_object().unwrap().values());
    let mut count = 0;
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}: {page}");
        count += 1;
    }
    assert!(count > 25, "{count}");
}
