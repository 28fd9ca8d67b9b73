//! An OpenTelemetry collector that keeps the traces that it is sent.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;

/// A collector on this machine.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    /// Requests as they came, heads and bodies.
    bytes: Vec<u8>,
    spans: Vec<Span>,
    resource: BTreeMap<String, String>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Received>>::default();
        let keep = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let keep = Arc::clone(&keep);
                thread::spawn(move || while take(stream.as_ref().unwrap(), &keep) {});
            }
        });
        Self { endpoint, received }
    }

    /// Everything that was sent, as it came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.received.lock().unwrap().bytes.clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap().spans.clone()
    }

    /// The one span with this name.
    pub(crate) fn span(&self, name: &str) -> Span {
        let mut spans = self.spans();
        let names: Vec<String> = spans.iter().map(|span| span.name.clone()).collect();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 1, "{name} in {names:?}");
        spans.remove(0)
    }

    /// What sends them.
    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        self.received.lock().unwrap().resource.clone()
    }
}

/// The attributes of a span, their values as text.
pub(crate) fn attributes(span: &Span) -> BTreeMap<String, String> {
    texts(&span.attributes)
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = attributes.iter().map(|pair| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        (pair.key.clone(), value.map(text).unwrap_or_default())
    });
    pairs.collect()
}

/// Takes one request of a connection; returns whether there was one.
fn take(stream: &TcpStream, keep: &Mutex<Received>) -> bool {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return false;
        }
    }
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let lower = head.to_lowercase();
    assert!(
        lower.contains("content-type: application/x-protobuf"),
        "{head}"
    );
    let length = lower.split("content-length: ").nth(1).unwrap();
    let mut body = vec![0; length.split('\r').next().unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
    let mut keep = keep.lock().unwrap();
    keep.bytes.extend(head.as_bytes());
    keep.bytes.extend(&body);
    for group in request.resource_spans {
        let resource = group.resource.unwrap_or_default();
        keep.resource.extend(texts(&resource.attributes));
        let scopes = group.scope_spans.into_iter();
        keep.spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    let answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    let mut stream = stream;
    stream.write_all(answer).is_ok()
}
