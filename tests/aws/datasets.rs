//! Datasets in an account, through the deployed functions.

use serde_json::{Value, json};

use crate::{
    account::Account,
    shared::{
        Api, a_dataset_lives, a_file_comes_in_parts, answer, refused,
        what_comes_in_parts_is_what_was_announced,
    },
};

/// Does `work` with the account's API, where it may block.
async fn with_api(account: &Account, work: impl FnOnce(&Api) + Send + 'static) {
    let api = (account.api.clone(), account.key().to_owned());
    let work = move || work(&Api::new(&api.0, Some(&api.1)));
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_lives_from_its_upload_to_its_end() {
    let Some(account) = Account::new().await else {
        return;
    };
    with_api(&account, a_dataset_lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_put_to_a_presigned_url_is_a_dataset_once_it_is_completed() {
    let Some(account) = Account::new().await else {
        return;
    };
    with_api(&account, |api| {
        let target = answer(api.post("/datasets/uploads"), 201);
        let path = format!(
            "/datasets/uploads/{}/complete",
            target["upload_id"].as_str().unwrap()
        );
        let complete = || api.post(&path).json(&json!({ "name": "rows.csv" }));
        refused(complete(), 404, "upload_not_found");
        let put = reqwest::blocking::Client::new().put(target["url"].as_str().unwrap());
        answer(put.body("prompt,response\n1?,1\n"), 200);
        let dataset = answer(complete(), 201);
        assert_eq!(
            (&dataset["format"], &dataset["rows"]),
            (&json!("csv"), &json!(1))
        );
        refused(complete(), 404, "upload_not_found");
        let path = format!("/datasets/{}", dataset["id"].as_str().unwrap());
        assert_eq!(answer(api.get(&path), 200), dataset);
        assert_eq!(answer(api.delete(&path), 204), Value::String(String::new()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_in_parts_is_a_dataset_once_all_have_come() {
    let Some(account) = Account::new().await else {
        return;
    };
    with_api(&account, a_file_comes_in_parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_parts_must_be_what_was_announced() {
    let Some(account) = Account::new().await else {
        return;
    };
    with_api(&account, what_comes_in_parts_is_what_was_announced).await;
}
