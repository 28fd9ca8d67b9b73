//! A way to the emulator on which some requests are answered by the test, or not at all.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};

use super::*;

/// What happens to a request instead of its being sent and answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instead {
    /// It is answered with this status and body.
    Answer(u16, &'static str),
    /// It is sent, and answered with this all the same.
    After(u16, &'static str),
    /// Nobody is there.
    Dead,
}

type Rule = dyn Fn(u64, &HttpRequest) -> Option<Instead> + Send + Sync;

/// A client on which a rule decides of each request, which are numbered from 0.
#[derive(Clone)]
pub(super) struct Faulty {
    inner: SharedHttpClient,
    rule: Arc<Rule>,
    calls: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    client: Faulty,
}

impl Faulty {
    /// Returns the way to the emulator with that client on it.
    pub(super) fn on(
        rule: impl Fn(u64, &HttpRequest) -> Option<Instead> + Send + Sync + 'static,
    ) -> (Aws, Self) {
        let aws = aws();
        let faulty = Self {
            inner: aws.config().http_client().unwrap(),
            rule: Arc::new(rule),
            calls: Arc::default(),
        };
        (aws.through(faulty.clone()), faulty)
    }

    /// Returns how many requests there were.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Faulty")
    }
}

impl HttpClient for Faulty {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.http_connector(settings, components),
            client: self.clone(),
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let number = self.client.calls.fetch_add(1, Ordering::SeqCst);
        match (self.client.rule)(number, &request) {
            None => self.inner.call(request),
            Some(Instead::Dead) => {
                HttpConnectorFuture::ready(Err(ConnectorError::io("nobody is there".into())))
            }
            Some(Instead::Answer(status, body)) => {
                HttpConnectorFuture::ready(Ok(answer(status, body)))
            }
            Some(Instead::After(status, body)) => {
                let sent = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    sent.await?;
                    Ok(answer(status, body))
                })
            }
        }
    }
}

fn answer(status: u16, body: &'static str) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}
