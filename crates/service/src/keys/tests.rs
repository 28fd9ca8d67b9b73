use std::path::Path;

use llmopt_storage_embedded::{Database, SqliteRecordStore};

use super::*;

fn open(root: &Path) -> Keys {
    let database = Database::open(&root.join(Database::FILE_NAME)).unwrap();
    let uses = Arc::new(SqliteRecordStore::new(database.clone()));
    Keys::new(Arc::new(SqliteRecordStore::new(database)), uses)
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
    let id = &issued.key.id;
    assert_eq!(keys.last_used(id).await.unwrap(), None);
    for _ in 0..3 {
        shown(&keys, &issued.text).await.unwrap();
    }
    let first = keys.last_used(id).await.unwrap().unwrap();
    assert!(first >= issued.key.created_ms);
    let revision = keys.uses.get(id).await.unwrap().revision;
    shown(&open(root.path()), &issued.text).await.unwrap();
    assert_eq!(keys.uses.get(id).await.unwrap().revision, revision);
    // A minute later it is noted again, and the key itself is never written to.
    let key = keys.stored(id).await.unwrap().revision;
    keys.note_use(id, first + USED_MS).await;
    assert_eq!(keys.last_used(id).await.unwrap(), Some(first + USED_MS));
    assert_eq!(keys.stored(id).await.unwrap().revision, key);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_a_revoked_key() {
    let root = tempfile::tempdir().unwrap();
    let keys = open(root.path());
    let issued = keys.create(request()).await.unwrap();
    let id = &issued.key.id;
    let known = keys.look_up(id, now_ms() + 3_600_000).await.unwrap();
    assert!(known.is_some());
    open(root.path()).revoke(id).await.unwrap();
    assert_eq!(shown(&keys, &issued.text).await, Err(KeyProblem::Revoked));
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
