use std::{collections::HashMap, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{Next, from_fn},
    response::Response,
};
use llmopt_http::Trace;
use llmopt_telemetry::TRACES;
use opentelemetry::{
    Array, StringValue, Value,
    propagation::TextMapPropagator as _,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData, SpanExporter as Export},
};
use thiserror::Error;
use tracing::{Instrument as _, Subscriber, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, registry::LookupSpan};

/// How long traces that are left may take to be sent once the process ends.
const GRACE: Duration = Duration::from_secs(3);
/// Below the endpoint.
const PATH: &str = "/v1/traces";
/// What has several values, which `tracing` has no field for.
const LISTS: [&str; 1] = ["gen_ai.response.finish_reasons"];

/// Where traces go, and as whose.
pub struct TraceOptions<'a> {
    /// The collector, without the path of traces.
    pub endpoint: &'a str,
    /// Headers for it, as `name=value,name=value`.
    pub headers: Option<&'a str>,
    /// What the program is called.
    pub service: String,
    /// Its version.
    pub version: &'static str,
    /// Where it runs.
    pub environment: &'static str,
}

/// Why no traces can be sent.
#[derive(Debug, Error)]
pub enum TracesError {
    /// The collector cannot be sent to.
    #[error("failed to prepare to send traces to `{endpoint}`")]
    Exporter {
        /// The collector.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
}

/// Sends traces to a collector, from a thread of its own: where it is away, what does not fit into a queue of
/// 2,048 spans is dropped, and no request waits.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins to send.
    ///
    /// # Errors
    /// [`TracesError::Exporter`] if the endpoint is no URL.
    pub fn start(options: TraceOptions<'_>) -> Result<Self, TracesError> {
        let endpoint = format!("{}{PATH}", options.endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(&endpoint)
            .with_headers(headers(options.headers.unwrap_or_default()))
            .build()
            .map_err(|source| TracesError::Exporter { endpoint, source })?;
        let resource = Resource::builder()
            .with_service_name(options.service)
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                options.version,
            ))
            .with_attribute(opentelemetry::KeyValue::new(
                llmopt_telemetry::labels::ENVIRONMENT,
                options.environment,
            ))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Conventional(exporter))
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// Returns what makes spans of `tracing` parts of traces.
    pub fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("llmopt"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
    }

    /// Has every request of `router` be a trace, or a part of its caller's.
    pub fn follow(router: Router) -> Router {
        router.layer(from_fn(follow))
    }

    /// Sends what is left, for as long as that may take at the end. Blocks.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(GRACE) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

async fn follow(mut request: Request, next: Next) -> Response {
    let method = request.method().as_str();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map(MatchedPath::as_str);
    // A method that someone made up is no name.
    let method = if KNOWN.contains(&method) {
        method
    } else {
        "HTTP"
    };
    let name = match route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let span = tracing::info_span!(
        target: TRACES,
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        "error.type" = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        http.response.body.size = Empty,
    );
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    if parent.span().span_context().is_valid() {
        // It fails where nobody listens, or for a span that has begun, which this has not.
        let _ = span.set_parent(parent);
    }
    let id = span.context().span().span_context().trace_id();
    request.extensions_mut().insert(Trace {
        id: id.to_string(),
        span: span.clone(),
    });
    next.run(request).instrument(span).await
}

const KNOWN: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE",
];

fn headers(text: &str) -> HashMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Sends spans with the types that the conventions want.
#[derive(Debug)]
struct Conventional<E>(E);

impl<E: Export> Export for Conventional<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            for attribute in &mut span.attributes {
                if let Value::String(text) = &attribute.value
                    && LISTS.contains(&attribute.key.as_str())
                {
                    let list: Vec<StringValue> = vec![text.clone()];
                    attribute.value = Value::Array(Array::String(list));
                }
            }
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
