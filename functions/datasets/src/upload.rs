use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Path, Request, State, multipart::Field},
    http::{HeaderMap, StatusCode, header},
};
use futures::{Stream, StreamExt, TryStreamExt};
use llmopt_domain::ColumnMap;
use llmopt_http::{Code, JsonBody, Parameters, Problem, Validation};
use llmopt_service::{DatasetUpload, Datasets, Uploaded};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::SchemaType},
};

use crate::{
    part_view::PartUploadView,
    parts::PartsRequest,
    view::{DatasetView, UploadView},
};

/// The largest file that is taken, in bytes.
pub(crate) const LARGEST: u64 = 4 << 30;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 200;
/// The longest map of columns, in bytes.
const LONGEST_MAP: usize = 4096;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadParameters {
    /// What the file is called; its extension tells the format.
    #[param(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Which of its columns stand for those that are read, where they have other names.
    #[param(example = "prompt=frage,response=antwort", max_length = 4096)]
    columns: Option<String>,
}

/// A file as it is: any bytes.
pub(crate) struct FileBytes;

impl PartialSchema for FileBytes {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .into()
    }
}

impl ToSchema for FileBytes {}

/// A form with a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a form is read part by part; this describes it")]
pub(crate) struct UploadForm {
    /// The file; its name tells the format.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// Which of its columns stand for those that are read, where they have other names.
    #[schema(max_length = 4096)]
    columns: Option<String>,
}

/// Takes a file, as the whole body or as the part `file` of a form, and keeps it with a report.
#[utoipa::path(
    post,
    path = "/datasets",
    tag = "datasets",
    params(UploadParameters),
    request_body(
        description = "The file: JSONL, JSON, CSV, Parquet or text, packed or not, as the whole body or as the part `file` of a form.",
        content(
            (FileBytes = "application/jsonl"),
            (FileBytes = "text/csv"),
            (FileBytes = "application/octet-stream"),
            (UploadForm = "multipart/form-data"),
        )
    ),
    responses(
        (status = 201, description = "It is kept.", body = DatasetView),
        (status = 200, description = "The same bytes were there.", body = DatasetView),
        (status = 507, description = "`no_space`"),
    )
)]
pub(crate) async fn create_dataset(
    State(datasets): State<Datasets>,
    Parameters(parameters): Parameters<UploadParameters>,
    request: Request,
) -> Result<(StatusCode, Json<DatasetView>), Problem> {
    let content_type = content_type(request.headers());
    let columns = parameters.columns.as_deref().map(column_map).transpose()?;
    let mut upload = if content_type.starts_with("multipart/form-data") {
        of_form(&datasets, parameters.name, request).await?
    } else {
        let name = parameters
            .name
            .unwrap_or_else(|| default_name(&content_type).to_owned());
        let body = request.into_body();
        of_body(&datasets, &name, body).await?
    };
    if let Some(columns) = columns {
        upload.map_columns(columns);
    }
    Ok(shown(datasets.finish(upload).await?))
}

/// Begins an upload in parts, which goes on where it was cut off; with no body, on AWS, one of a whole file.
#[utoipa::path(
    post,
    path = "/datasets/uploads",
    tag = "datasets",
    request_body = Option<PartsRequest>,
    responses(
        (status = 201, description = "The upload, or with no body where to send the file.", body = BegunView),
        (status = 404, description = "`no_uploads`: without a body, on a machine that takes files of any size with `POST /datasets`."),
        (status = 507, description = "`no_space`"),
    )
)]
pub(crate) async fn create_upload(
    State(datasets): State<Datasets>,
    request: Option<JsonBody<PartsRequest>>,
) -> Result<(StatusCode, Json<BegunView>), Problem> {
    let begun = match request {
        Some(JsonBody(request)) => {
            let upload = datasets.begin_parts(request.validate()?).await?;
            BegunView::Parts(upload.into())
        }
        None => BegunView::Whole(datasets.begin_upload().await?.into()),
    };
    Ok((StatusCode::CREATED, Json(begun)))
}

/// An upload that was begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum BegunView {
    Parts(PartUploadView),
    Whole(UploadView),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteRequest {
    /// What the file is called; its extension tells the format. One that was sent in parts has a name already, which
    /// this replaces.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Which of its columns stand for those that are read, where they have other names.
    #[serde(default)]
    columns: ColumnMap,
}

/// Takes in the file that was sent there, as [`create_dataset`] takes one in a request.
#[utoipa::path(
    post,
    path = "/datasets/uploads/{upload_id}/complete",
    tag = "datasets",
    params(("upload_id" = String, Path, description = "The upload's id.")),
    request_body = Option<CompleteRequest>,
    responses(
        (status = 201, description = "It is kept.", body = DatasetView),
        (status = 200, description = "The same bytes were there, or the upload was complete.", body = DatasetView),
        (status = 404, description = "`upload_not_found`"),
        (status = 409, description = "`upload_incomplete`: parts are missing"),
        (status = 422, description = "`upload_changed`: the bytes are not those that were announced; or `dataset_invalid`"),
        (status = 507, description = "`no_space`"),
    )
)]
pub(crate) async fn complete_upload(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
    request: Option<JsonBody<CompleteRequest>>,
) -> Result<(StatusCode, Json<DatasetView>), Problem> {
    let (name, columns) = match request {
        Some(JsonBody(request)) => (request.name, request.columns),
        None => (None, ColumnMap::default()),
    };
    if let Some(name) = &name {
        check_name(name)?;
    }
    let completed = datasets.complete(&id, name.as_deref(), columns).await?;
    Ok(shown(completed))
}

fn shown(uploaded: Uploaded) -> (StatusCode, Json<DatasetView>) {
    let status = if uploaded.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    (status, Json(uploaded.dataset.into()))
}

async fn of_body(datasets: &Datasets, name: &str, body: Body) -> Result<DatasetUpload, Problem> {
    let bytes = body
        .into_data_stream()
        .map_err(|error| broken(&error.to_string()));
    receive(datasets, name, bytes).await
}

async fn of_form(
    datasets: &Datasets,
    name: Option<String>,
    request: Request,
) -> Result<DatasetUpload, Problem> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|rejection| broken(&rejection.body_text()))?;
    let (mut upload, mut columns) = (None, None);
    while let Some(field) = form
        .next_field()
        .await
        .map_err(|error| broken(&error.body_text()))?
    {
        match field.name() {
            Some("file") if upload.is_none() => {
                let name = name.clone();
                let name = name.or_else(|| field.file_name().map(str::to_owned));
                let name = name.unwrap_or_else(|| "dataset".to_owned());
                upload = Some(receive(datasets, &name, parts(field)).await?);
            }
            Some("columns") => columns = Some(column_map(&short_text(field).await?)?),
            _ => {}
        }
    }
    let mut upload = upload.ok_or_else(|| {
        Problem::new(
            Code::InvalidRequest,
            "the form has no part `file`: send one with `curl -F file=@rows.jsonl`, or the file as the whole body",
        )
    })?;
    if let Some(columns) = columns {
        upload.map_columns(columns);
    }
    Ok(upload)
}

/// Reads a part that is no file: no more of it than a map of columns may have, and a little, which tells.
async fn short_text(field: Field<'_>) -> Result<String, Problem> {
    let mut text = Vec::new();
    let parts = parts(field);
    futures::pin_mut!(parts);
    while let Some(part) = parts.next().await
        && text.len() <= LONGEST_MAP
    {
        text.extend_from_slice(&part?);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn column_map(text: &str) -> Result<ColumnMap, Problem> {
    let mut validation = Validation::default();
    let parsed = match text.len() <= LONGEST_MAP {
        true => text.parse::<ColumnMap>().map_err(|error| error.to_string()),
        false => Err(format!("expected at most {LONGEST_MAP} bytes")),
    };
    let map = validation.take("/columns", parsed);
    validation.finish()?;
    Ok(map.unwrap_or_default())
}

fn parts(field: Field<'_>) -> impl Stream<Item = Result<Bytes, Problem>> + '_ {
    field.map_err(|error| broken(&error.body_text()))
}

async fn receive(
    datasets: &Datasets,
    name: &str,
    bytes: impl Stream<Item = Result<Bytes, Problem>>,
) -> Result<DatasetUpload, Problem> {
    check_name(name)?;
    let mut upload = datasets.upload(name).await?;
    let mut received = 0;
    futures::pin_mut!(bytes);
    while let Some(part) = bytes.next().await {
        let part = part?;
        received += part.len() as u64;
        if received > LARGEST {
            return Err(Problem::new(
                Code::BodyTooLarge,
                format!("expected at most {LARGEST} bytes: split the file"),
            ));
        }
        upload.write(&part).await?;
    }
    Ok(upload)
}

fn check_name(name: &str) -> Result<(), Problem> {
    let mut validation = Validation::default();
    require_name(&mut validation, "name", name);
    validation.finish()
}

pub(crate) fn require_name(validation: &mut Validation, pointer: &str, name: &str) {
    let fits = (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    validation.require(fits, pointer, || {
        format!("expected 1 to {LONGEST_NAME} bytes without control characters")
    });
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_ascii_lowercase()
}

/// Names a file that has no name for what its sender says it is.
fn default_name(content_type: &str) -> &'static str {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "text/csv" => "dataset.csv",
        "text/tab-separated-values" => "dataset.tsv",
        "application/json" => "dataset.json",
        "application/jsonl" | "application/x-ndjson" | "application/x-jsonlines" => "dataset.jsonl",
        _ => "dataset",
    }
}

pub(crate) fn broken(what: &str) -> Problem {
    Problem::new(
        Code::InvalidRequest,
        format!("the upload broke off and nothing of it was kept: {what}"),
    )
}
