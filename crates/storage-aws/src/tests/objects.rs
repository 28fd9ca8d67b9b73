//! Objects that are read as a whole.

use llmopt_domain::ObjectKey;

use super::*;
use crate::{Newer, S3Object};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_read_again_only_where_it_is_another() {
    if MiniStack::shared().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let aws = aws();
    let bucket = Bucket::new(&aws, &bucket(&aws, folder.path()));
    let object = S3Object::new(&aws, &bucket.name, ObjectKey::prices());
    assert_eq!(object.newer(None).await.unwrap(), Newer::Absent);
    let mut known = None;
    for text in ["one", "two"] {
        bucket.put("prices/prices.json", text.into()).await.unwrap();
        let newer = object.newer(known.as_deref()).await.unwrap();
        let Newer::Changed { bytes, tag } = newer else {
            panic!("{newer:?}");
        };
        assert_eq!(bytes, text.as_bytes());
        let again = object.newer(Some(&tag)).await.unwrap();
        assert_eq!(again, Newer::Same);
        known = Some(tag);
    }
    bucket.delete("prices/prices.json").await.unwrap();
    let gone = object.newer(known.as_deref()).await.unwrap();
    assert_eq!(gone, Newer::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_no_missing_object() {
    if MiniStack::shared().is_none() {
        return;
    }
    let object = S3Object::new(&aws(), "nowhere", ObjectKey::prices());
    let error = object.newer(None).await.unwrap_err();
    assert!(error.to_string().contains("prices/prices.json"), "{error}");
}
