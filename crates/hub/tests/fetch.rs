//! Fetching from a Hub, against a small one on this machine.

#![expect(
    clippy::unwrap_used,
    reason = "tests fail by panicking, and so do their helpers"
)]

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Mutex,
};

use llmopt_domain::{Digest, ObjectKey};
use llmopt_hub::{FetchEvent, FetchRequest, HubError, Progress, fetch};
use tempfile::{TempDir, tempdir};

mod hub_server;
use hub_server::{COMMIT, Faults, HubServer, REPOSITORY};

/// Larger than what one connection carries at once.
fn weights() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn model() -> HubServer {
    HubServer::start(&[
        ("README.md", b"# Tiny"),
        ("config.json", b"{}"),
        ("tokenizer.json", b"{\"version\":\"1.0\"}"),
        ("pytorch_model.bin", b"pickle"),
        ("model.safetensors", &weights()),
    ])
}

async fn get(server: &HubServer, cache: &Path) -> Result<PathBuf, HubError> {
    get_with(&server.endpoint, cache, "main", &|_: FetchEvent<'_>| {}).await
}

async fn get_with(
    endpoint: &str,
    cache: &Path,
    revision: &str,
    progress: &dyn Progress,
) -> Result<PathBuf, HubError> {
    let request = FetchRequest {
        repository: REPOSITORY,
        revision,
        endpoint: Some(endpoint),
        token: Some("secret-token"),
        cache_dir: cache,
        progress,
    };
    fetch(request).await
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Where an unfinished fetch keeps its files.
fn partial(cache: &TempDir) -> PathBuf {
    cache
        .path()
        .join(format!("{}.partial", ObjectKey::base(REPOSITORY, COMMIT)))
}

#[tokio::test]
async fn only_what_is_read_is_fetched_and_a_second_fetch_downloads_nothing() {
    let (server, cache) = (model(), tempdir().unwrap());
    let folder = get(&server, cache.path()).await.unwrap();
    assert_eq!(
        names(&folder),
        set(&["config.json", "model.safetensors", "tokenizer.json"])
    );
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights()
    );
    assert_eq!(
        server.authorization().as_deref(),
        Some("Bearer secret-token")
    );
    assert_eq!(server.take_downloads().len(), 3);
    assert_eq!(get(&server, cache.path()).await.unwrap(), folder);
    assert_eq!(server.take_downloads(), Vec::<String>::new());
}

#[tokio::test]
async fn shards_are_fetched_with_their_index() {
    let index = br#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    let server = HubServer::start(&[
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two"),
        ("model-3.safetensors", b"not in the index"),
    ]);
    let cache = tempdir().unwrap();
    let folder = get(&server, cache.path()).await.unwrap();
    let expected = [
        "config.json",
        "model-1.safetensors",
        "model-2.safetensors",
        "model.safetensors.index.json",
    ];
    assert_eq!(names(&folder), set(&expected));
}

#[tokio::test]
async fn a_connection_that_breaks_is_resumed_where_it_broke() {
    let (server, cache) = (model(), tempdir().unwrap());
    server.set_faults(Faults {
        drops: Some(("model.safetensors", 400_000, 2)),
        ..Faults::default()
    });
    let folder = get(&server, cache.path()).await.unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights()
    );
    let downloads = server.take_downloads();
    let ranges: Vec<&String> = downloads
        .iter()
        .filter(|line| line.contains("bytes="))
        .collect();
    assert_eq!(
        ranges,
        [
            "model.safetensors bytes=400000-1199999",
            "model.safetensors bytes=800000-1199999"
        ]
    );
}

#[tokio::test]
async fn a_fetch_that_was_given_up_goes_on_where_it_ended() {
    let (server, cache) = (model(), tempdir().unwrap());
    fs::create_dir_all(partial(&cache)).unwrap();
    fs::write(
        partial(&cache).join("model.safetensors.part"),
        &weights()[..1_000_000],
    )
    .unwrap();
    let folder = get(&server, cache.path()).await.unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights()
    );
    let downloads = server.take_downloads();
    assert!(
        downloads.contains(&"model.safetensors bytes=1000000-1199999".to_owned()),
        "{downloads:?}"
    );
    assert!(!partial(&cache).exists());
}

#[tokio::test]
async fn a_connection_that_breaks_forever_is_no_network_and_leaves_no_model() {
    let (server, cache) = (model(), tempdir().unwrap());
    server.set_faults(Faults {
        drops: Some(("model.safetensors", 0, 99)),
        ..Faults::default()
    });
    let error = get(&server, cache.path()).await.unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error:?}");
    assert!(
        !cache
            .path()
            .join(ObjectKey::base(REPOSITORY, COMMIT).as_str())
            .exists()
    );
    server.take_downloads();
    server.set_faults(Faults::default());
    get(&server, cache.path()).await.unwrap();
    assert_eq!(
        server.take_downloads(),
        ["model.safetensors"],
        "what was done is not done again"
    );
}

#[tokio::test]
async fn a_server_without_ranges_makes_the_file_begin_anew() {
    let (server, cache) = (model(), tempdir().unwrap());
    let drops = Some(("model.safetensors", 500_000, 1));
    server.set_faults(Faults {
        drops,
        ignores_ranges: true,
        ..Faults::default()
    });
    let folder = get(&server, cache.path()).await.unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights()
    );
}

#[tokio::test]
async fn a_file_with_another_digest_than_told_is_refused_and_not_resumed() {
    let (server, cache) = (model(), tempdir().unwrap());
    server.set_faults(Faults {
        sha256: Some("0".repeat(64)),
        ..Faults::default()
    });
    let error = get(&server, cache.path()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::Damaged { file, .. } if file == "model.safetensors"),
        "{error:?}"
    );
    assert!(!names(&partial(&cache)).contains("model.safetensors.part"));
    let digest = Digest::of_bytes(&weights()).to_string();
    let sha256 = digest.strip_prefix("sha256:").map(str::to_owned);
    server.set_faults(Faults {
        sha256,
        ..Faults::default()
    });
    get(&server, cache.path()).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_or_refused_is_told_apart() {
    let (server, cache) = (model(), tempdir().unwrap());
    let error_of = |status, code| {
        server.set_faults(Faults {
            refusal: Some((status, code)),
            ..Faults::default()
        });
        get(&server, cache.path())
    };
    for (status, code) in [
        (404, "RepoNotFound"),
        (404, "RevisionNotFound"),
        (401, "RepoNotFound"),
    ] {
        let error = error_of(status, code).await.unwrap_err();
        assert!(
            matches!(error, HubError::NotFound { .. }),
            "{status} {code}: {error:?}"
        );
        assert!(error.to_string().contains(REPOSITORY), "{error}");
    }
    for (status, code) in [(401, "GatedRepo"), (403, "GatedRepo"), (401, "")] {
        let error = error_of(status, code).await.unwrap_err();
        assert!(
            matches!(error, HubError::Gated { .. }),
            "{status} {code}: {error:?}"
        );
        assert!(error.to_string().contains("`HF_TOKEN`"), "{error}");
        assert!(!format!("{error:?}").contains("secret-token"), "{error:?}");
    }
    let error = error_of(500, "").await.unwrap_err();
    assert!(matches!(error, HubError::Answer { .. }), "{error:?}");
}

#[tokio::test]
async fn no_network_names_the_endpoint_and_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let cache = tempdir().unwrap();
    let error = get_with(&endpoint, cache.path(), "main", &|_: FetchEvent<'_>| {})
        .await
        .unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains(&endpoint) && message.contains("HF_ENDPOINT"),
        "{message}"
    );
}

#[tokio::test]
async fn without_a_network_the_commit_of_the_last_fetch_is_used_and_told() {
    let (server, cache) = (model(), tempdir().unwrap());
    let folder = get(&server, cache.path()).await.unwrap();
    let offline = Mutex::new(false);
    let progress = |event: FetchEvent<'_>| {
        if event == (FetchEvent::Offline { commit: COMMIT }) {
            *offline.lock().unwrap() = true;
        }
    };
    let nowhere = "http://127.0.0.1:1";
    assert_eq!(
        get_with(nowhere, cache.path(), "main", &progress)
            .await
            .unwrap(),
        folder
    );
    assert!(*offline.lock().unwrap());
    let commit = get_with(nowhere, cache.path(), COMMIT, &|_: FetchEvent<'_>| {
        panic!("a commit needs no network")
    });
    assert_eq!(commit.await.unwrap(), folder);
    let other = get_with(nowhere, cache.path(), "other", &progress)
        .await
        .unwrap_err();
    assert!(matches!(other, HubError::NoNetwork { .. }), "{other:?}");
}

#[tokio::test]
async fn a_full_disk_says_so() {
    let (server, cache) = (model(), tempdir().unwrap());
    fs::create_dir_all(partial(&cache)).unwrap();
    // Every write to this device fails for lack of space.
    let target = partial(&cache).join("model.safetensors.part");
    std::os::unix::fs::symlink("/dev/full", target).unwrap();
    let error = get(&server, cache.path()).await.unwrap_err();
    assert!(matches!(error, HubError::NoSpace { .. }), "{error:?}");
}

#[tokio::test]
async fn pickles_and_half_models_are_refused_before_anything_is_downloaded() {
    let cache = tempdir().unwrap();
    let pickled = HubServer::start(&[("config.json", b"{}"), ("pytorch_model.bin", b"pickle")]);
    let error = get(&pickled, cache.path()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::PicklesOnly { file, .. } if file == "pytorch_model.bin"),
        "{error:?}"
    );
    assert_eq!(pickled.take_downloads(), Vec::<String>::new());
    for (present, missing) in [
        ("config.json", "model.safetensors"),
        ("model.safetensors", "config.json"),
    ] {
        let half = HubServer::start(&[(present, b"{}")]);
        let error = get(&half, cache.path()).await.unwrap_err();
        assert!(
            matches!(&error, HubError::Missing { file, .. } if file == missing),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn progress_rises_to_the_total() {
    let (server, cache) = (model(), tempdir().unwrap());
    server.set_faults(Faults {
        drops: Some(("model.safetensors", 400_000, 1)),
        ..Faults::default()
    });
    let steps = Mutex::new(Vec::new());
    let listed = Mutex::new(None);
    let progress = |event: FetchEvent<'_>| match event {
        FetchEvent::Listed { files, total_bytes } => {
            *listed.lock().unwrap() = Some((files, total_bytes))
        }
        FetchEvent::Advanced { done_bytes, .. } => steps.lock().unwrap().push(done_bytes),
        _ => {}
    };
    get_with(&server.endpoint, cache.path(), "main", &progress)
        .await
        .unwrap();
    let total = 1_200_000 + 2 + 17;
    assert_eq!(*listed.lock().unwrap(), Some((3, total)));
    let steps = steps.lock().unwrap();
    assert!(steps.is_sorted() && steps.len() > 3, "{steps:?}");
    assert_eq!(steps.last(), Some(&total));
}

#[tokio::test]
async fn two_fetches_at_once_download_once() {
    let (server, cache) = (model(), tempdir().unwrap());
    let (first, second) = tokio::join!(get(&server, cache.path()), get(&server, cache.path()));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(server.take_downloads().len(), 3);
}

#[tokio::test]
async fn a_name_that_is_no_repository_is_refused() {
    for repository in ["", "a/b/c", "../x", "owner/", "owner/na me", "owner/.."] {
        let cache = tempdir().unwrap();
        let request = FetchRequest {
            repository,
            revision: "main",
            endpoint: Some("http://127.0.0.1:1"),
            token: None,
            cache_dir: cache.path(),
            progress: &|_: FetchEvent<'_>| {},
        };
        let error = fetch(request).await.unwrap_err();
        assert!(
            matches!(error, HubError::Repository(_)),
            "`{repository}`: {error:?}"
        );
    }
}
