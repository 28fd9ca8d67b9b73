use std::path::Path;

use llmopt_storage_embedded::{Database, SqliteRecordStore};

use super::*;

fn open(root: &Path) -> Keys {
    let database = Database::open(&root.join(Database::FILE_NAME)).unwrap();
    Keys::new(Arc::new(SqliteRecordStore::new(database)))
}

fn request() -> NewKey {
    NewKey {
        name: "tests".to_owned(),
        scopes: BTreeSet::from([Scope::Generate]),
        limits: KeyLimits::default(),
        expires_ms: None,
    }
}

async fn shown(keys: &Keys, text: &KeyText) -> Result<String, KeyProblem> {
    let found = keys.authenticate(&text.expose()).await.unwrap();
    found.map(|key| key.record.id.clone())
}

#[tokio::test]
async fn a_key_is_known_by_its_text_and_kept_without_its_secret() {
    let root = tempfile::tempdir().unwrap();
    let keys = open(root.path());
    assert!(!keys.are_there().await.unwrap());
    let issued = keys.create(request()).await.unwrap();
    assert!(keys.are_there().await.unwrap());
    assert_eq!(shown(&keys, &issued.text).await, Ok(issued.key.id.clone()));
    // A process that never saw it knows it too.
    assert_eq!(
        shown(&open(root.path()), &issued.text).await,
        Ok(issued.key.id.clone())
    );
    let other = KeyText {
        secret: "A".repeat(43),
        ..issued.text.clone()
    };
    assert_eq!(shown(&keys, &other).await, Err(KeyProblem::Unknown));
    for file in std::fs::read_dir(root.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let secret = issued.text.secret.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret));
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_here_and_soon_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let keys = open(root.path());
    let issued = keys.create(request()).await.unwrap();
    assert!(shown(&keys, &issued.text).await.is_ok());
    let revoked = keys.revoke(&issued.key.id).await.unwrap();
    assert_eq!(shown(&keys, &issued.text).await, Err(KeyProblem::Revoked));
    let again = keys.revoke(&issued.key.id).await.unwrap();
    assert_eq!(again.revoked_ms, revoked.revoked_ms);
    assert!(keys.are_there().await.unwrap());
    assert!(matches!(
        keys.rotate(&issued.key.id, Duration::ZERO).await,
        Err(ServiceError::KeyEnded(_))
    ));
    assert!(matches!(
        keys.revoke("nobody").await,
        Err(ServiceError::UnknownKey(_))
    ));
}

#[tokio::test]
async fn a_rotated_key_takes_both_secrets_for_a_while() {
    let root = tempfile::tempdir().unwrap();
    let keys = open(root.path());
    let first = keys.create(request()).await.unwrap();
    let second = keys
        .rotate(&first.key.id, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(second.key.id, first.key.id);
    assert!(shown(&keys, &first.text).await.is_ok());
    assert!(shown(&keys, &second.text).await.is_ok());
    let third = keys.rotate(&first.key.id, Duration::ZERO).await.unwrap();
    assert_eq!(shown(&keys, &first.text).await, Err(KeyProblem::Unknown));
    assert_eq!(shown(&keys, &second.text).await, Err(KeyProblem::Unknown));
    assert!(shown(&keys, &third.text).await.is_ok());
}

#[tokio::test]
async fn its_use_is_noted_and_not_at_each_request() {
    let root = tempfile::tempdir().unwrap();
    let keys = open(root.path());
    let issued = keys.create(request()).await.unwrap();
    for _ in 0..3 {
        shown(&keys, &issued.text).await.unwrap();
    }
    let stored = keys.stored(&issued.key.id).await.unwrap();
    let first = stored.record.last_used_ms.unwrap();
    assert!(first >= issued.key.created_ms);
    shown(&open(root.path()), &issued.text).await.unwrap();
    let later = keys.stored(&issued.key.id).await.unwrap();
    assert_eq!(later.revision, stored.revision);
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let root = tempfile::tempdir().unwrap();
    let keys = open(root.path());
    let issued = keys.create(request()).await.unwrap();
    shown(&keys, &issued.text).await.unwrap();
    for number in 0..REMEMBERED + 10 {
        keys.remember(&format!("unknown{number}"), now_ms(), None);
        assert!(keys.known().len() <= REMEMBERED);
    }
    assert!(shown(&keys, &issued.text).await.is_ok());
}
