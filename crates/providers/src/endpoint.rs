use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{
    RequestBuilder, Response, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use thiserror::Error;

use crate::{
    Delivery, Go, KeySource, Phase, ProviderError, ProviderKey, ProviderText, RateHeaders, Refusal,
    ShouldRetry, Transport, deadlines::Deadlines, headers, rate_headers::retry_after,
    reader::read_up_to,
};

/// Where a provider is and how it is spoken to.
#[derive(Clone)]
pub struct EndpointSettings {
    /// The address, as the official clients take it: `https://api.openai.com/v1`, `https://api.anthropic.com`.
    pub base_url: String,
    /// Headers for every request, which take the place of those that are sent anyway.
    pub headers: Vec<(String, String)>,
    /// Parameters for every address.
    pub query: Vec<(String, String)>,
    /// Where the key comes from.
    pub keys: Arc<dyn KeySource>,
}

impl fmt::Debug for EndpointSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither an address nor a header is sure to have no secret in it.
        formatter
            .debug_struct("EndpointSettings")
            .finish_non_exhaustive()
    }
}

/// What is wrong with the settings of a provider.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The address is none. It is not shown, because it may have a password in it.
    #[error(
        "the provider's base URL is not one: expected `http://` or `https://` and a host, without a user, a query or a fragment"
    )]
    BaseUrl,
    /// A header cannot be sent.
    #[error("the provider's extra header `{name}` cannot be sent")]
    Header {
        /// Which.
        name: String,
    },
}

/// What makes one provider's HTTP different from another's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convention {
    /// The header for the key, and what stands before it there.
    pub(crate) key_header: &'static str,
    pub(crate) key_prefix: &'static str,
    /// Reads the limits of rates.
    pub(crate) rate: fn(&HeaderMap, Timestamp) -> RateHeaders,
    /// Reads the body of a refusal into it.
    pub(crate) describe: fn(&mut Refusal, &[u8]),
    /// Tells what can be done about a refusal; with the model that was asked for.
    pub(crate) classify: fn(Refusal, &str) -> ProviderError,
}

/// A provider's address.
#[derive(Clone)]
pub(crate) struct Endpoint {
    transport: Transport,
    base: Url,
    headers: HeaderMap,
    keys: Arc<dyn KeySource>,
    convention: Convention,
}

/// The head of a response, and the way to what follows.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) response: Response,
}

/// What the head of a response says.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) request_id: Option<String>,
    pub(crate) rate: RateHeaders,
    pub(crate) model: String,
    convention: Convention,
    key: Option<ProviderKey>,
}

/// What is sent.
pub(crate) struct Call<'a> {
    pub(crate) path: &'a str,
    /// JSON, and what its last byte waits for; without one, this is a GET.
    pub(crate) body: Option<(Vec<u8>, Go)>,
    pub(crate) model: &'a str,
    pub(crate) delivery: Delivery,
    pub(crate) deadlines: Deadlines,
}

impl Endpoint {
    pub(crate) fn new(
        transport: Transport,
        settings: EndpointSettings,
        convention: Convention,
        mut headers: HeaderMap,
    ) -> Result<Self, SettingsError> {
        for (name, value) in &settings.headers {
            let (name, value) = header(name, value)?;
            headers.insert(name, value);
        }
        Ok(Self {
            transport,
            base: with_query(base_url(&settings.base_url)?, &settings.query),
            headers,
            keys: settings.keys,
            convention,
        })
    }

    /// Sends a request, and returns the answer to it if it is one of the kind that is expected.
    pub(crate) async fn send(&self, mut call: Call<'_>) -> Result<Answer, ProviderError> {
        let key = call.deadlines.wait(Phase::Total, self.keys.key()).await??;
        let expected = expected_content(call.delivery);
        let body = call.body.take();
        let mut request = self.request(call.path, body).header(ACCEPT, expected);
        if let Some(key) = &key {
            let value = key.header(self.convention.key_prefix)?;
            request = request.header(self.convention.key_header, value);
        }
        let phase = match call.delivery {
            Delivery::Stream => Phase::FirstByte,
            Delivery::Whole => Phase::Total,
        };
        // Last, so that they take the place of the others.
        let request = request.headers(self.headers.clone());
        let sent = call.deadlines.wait(phase, request.send()).await?;
        let limit = self.transport.connect_timeout;
        let response = sent.map_err(|error| ProviderError::from_sending(error, limit))?;
        let now = Timestamp::now();
        let head = Head {
            request_id: headers::request_id(response.headers()),
            rate: (self.convention.rate)(response.headers(), now),
            model: call.model.to_owned(),
            convention: self.convention,
            key,
        };
        if !response.status().is_success() {
            return Err(refused(&head, response, now, &call.deadlines).await);
        }
        check_content(response.headers(), expected)?;
        Ok(Answer { head, response })
    }

    fn request(&self, path: &str, body: Option<(Vec<u8>, Go)>) -> RequestBuilder {
        let url = address(&self.base, path);
        let client = &self.transport.client;
        match body {
            Some((body, go)) => client
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(go.hold(body)),
            None => client.get(url),
        }
    }
}

/// Returns where a path is, with its own parameters behind those of all addresses.
fn address(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    if !query.is_empty() {
        let all = url.query().map(|own| format!("{own}&{query}"));
        url.set_query(Some(all.as_deref().unwrap_or(query)));
    }
    url
}

impl Head {
    /// Makes the head of an answer of which nothing is known but what was asked for.
    pub(crate) fn unknown(model: &str, convention: Convention) -> Self {
        Self {
            request_id: None,
            rate: RateHeaders::default(),
            model: model.to_owned(),
            convention,
            key: None,
        }
    }

    /// Tells what can be done about an error that came in the answer.
    pub(crate) fn refusal(&self, body: &[u8]) -> ProviderError {
        let refusal = Refusal {
            status: 200,
            request_id: self.request_id.clone(),
            rate: self.rate,
            ..Refusal::default()
        };
        self.classify(refusal, body)
    }

    fn classify(&self, mut refusal: Refusal, body: &[u8]) -> ProviderError {
        (self.convention.describe)(&mut refusal, body);
        if let Some(key) = &self.key {
            refusal.said = refusal.said.without(key.secret());
        }
        (self.convention.classify)(refusal, &self.model)
    }
}

/// The most that is read of an error's body, in bytes, and for how long.
const ERROR_BODY: usize = 64 << 10;
const ERROR_PATIENCE: Duration = Duration::from_secs(5);

async fn refused(
    head: &Head,
    response: Response,
    now: Timestamp,
    deadlines: &Deadlines,
) -> ProviderError {
    let status = response.status();
    if status.is_redirection() || status.is_informational() {
        let problem = format!("it has the status {}", status.as_u16());
        return ProviderError::Protocol(problem);
    }
    let headers = response.headers();
    let should_retry = headers::text(headers, "x-should-retry").and_then(ShouldRetry::parse);
    let refusal = Refusal {
        status: status.as_u16(),
        request_id: head.request_id.clone(),
        retry_after: retry_after(headers, now),
        should_retry,
        rate: head.rate,
        ..Refusal::default()
    };
    // The status says enough where the body does not come.
    let body = tokio::time::timeout(ERROR_PATIENCE, read_up_to(response, ERROR_BODY, deadlines));
    let body = body.await.ok().and_then(Result::ok).unwrap_or_default();
    head.classify(refusal, &body)
}

fn expected_content(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Stream => "text/event-stream",
        Delivery::Whole => "application/json",
    }
}

fn check_content(headers: &HeaderMap, expected: &str) -> Result<(), ProviderError> {
    let found = headers::content_type(headers);
    if found == expected {
        return Ok(());
    }
    // A kind of content is short and of few characters; what is not is none.
    let is_kind = found.len() <= 100 && found.bytes().all(|byte| byte.is_ascii_graphic());
    let found = if is_kind {
        found.as_str()
    } else {
        "something else"
    };
    let problem = format!("expected content of type `{expected}`, found `{found}`");
    Err(ProviderError::Protocol(problem))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), SettingsError> {
    let wrong = || SettingsError::Header {
        name: name.to_owned(),
    };
    let header = name.parse::<HeaderName>().map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((header, value))
}

fn base_url(text: &str) -> Result<Url, SettingsError> {
    let url = Url::parse(text).map_err(|_| SettingsError::BaseUrl)?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_plain.then_some(url).ok_or(SettingsError::BaseUrl)
}

fn with_query(mut base: Url, query: &[(String, String)]) -> Url {
    if !query.is_empty() {
        base.query_pairs_mut().extend_pairs(query);
    }
    base
}

/// Makes the words of a provider from its JSON, if there are any.
pub(crate) fn words(value: &serde_json::Value) -> ProviderText {
    ProviderText::new(value.as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_an_address_and_nothing_more() {
        for right in [
            "https://api.openai.com/v1",
            "http://127.0.0.1:8000/v1/",
            "https://api.anthropic.com",
        ] {
            assert!(base_url(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "api.openai.com",
            "ftp://a/",
            "https://user:pw@a/",
            "https://a/?key=1",
            "https://a/#b",
            "file:///etc",
        ] {
            assert_eq!(base_url(wrong), Err(SettingsError::BaseUrl), "{wrong}");
        }
    }

    #[test]
    fn parameters_of_all_addresses_come_before_those_of_a_path() {
        let plain = base_url("https://a/v1/").unwrap();
        let with = base_url("https://a/openai/deployments/d").unwrap();
        let with = with_query(
            with,
            &[("api-version".to_owned(), "2024-10-21&x".to_owned())],
        );
        for (base, path, expected) in [
            (&plain, "/models", "https://a/v1/models"),
            (&plain, "/models?limit=9", "https://a/v1/models?limit=9"),
            (
                &with,
                "/chat/completions",
                "https://a/openai/deployments/d/chat/completions?api-version=2024-10-21%26x",
            ),
            (
                &with,
                "/models?limit=9",
                "https://a/openai/deployments/d/models?api-version=2024-10-21%26x&limit=9",
            ),
        ] {
            assert_eq!(address(base, path).as_str(), expected);
        }
    }

    #[test]
    fn content_of_another_type_is_named() {
        let html = crate::testing::headers(&[("content-type", "text/html; charset=utf-8")]);
        let error = check_content(&html, "text/event-stream").unwrap_err();
        let expected = "the provider's answer is not one: expected content of type `text/event-stream`, found `text/html`";
        assert_eq!(error.to_string(), expected);
    }
}
