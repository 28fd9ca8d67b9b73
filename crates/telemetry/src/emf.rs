use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use crate::{
    AnswerEnd, CHAT, Kind, Meter, Metric, RefusalScope, RequestEnd, RequestSummary, labels, metrics,
};

/// Where CloudWatch keeps the metrics.
const NAMESPACE: &str = "llmopt";
/// Below which route the first part is a class.
const API: &str = "/api/v1/";

/// How finely CloudWatch tells metrics apart, each of which it charges for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmfDetail {
    /// By the classes of routes and statuses.
    Routes,
    /// Answers by model too.
    Models,
}

/// A [`Meter`] in a Lambda function: one line of CloudWatch's embedded metric format for each end, which the log
/// takes in and no request waits for.
pub struct EmfMeter<W = fn() -> io::Stdout> {
    environment: String,
    detail: EmfDetail,
    out: W,
}

impl EmfMeter {
    /// Writes to standard output.
    pub fn stdout(environment: &str, detail: EmfDetail) -> Self {
        Self::new(environment, detail, io::stdout)
    }
}

impl<W, O> EmfMeter<W>
where
    W: Fn() -> O + Send + Sync,
    O: Write,
{
    /// Writes each line to what `out` gives.
    pub fn new(environment: &str, detail: EmfDetail, out: W) -> Self {
        Self {
            environment: environment.to_owned(),
            detail,
            out,
        }
    }

    fn line(&self) -> Line {
        let mut line = Line::default();
        line.tell(labels::ENVIRONMENT, self.environment.as_str());
        line
    }

    /// Returns `metric` by its dimensions, and by the model where that is wanted.
    fn by_model(&self, metric: &Metric) -> Vec<Vec<&'static str>> {
        let mut sets: Vec<Vec<&str>> = metric.dimensions.iter().map(|set| set.to_vec()).collect();
        if self.detail == EmfDetail::Models {
            let finest = metric.dimensions.first().copied().unwrap_or_default();
            sets.push([finest, &[labels::MODEL]].concat());
        }
        sets
    }

    fn write(&self, line: Line) {
        let mut text = line.render(now_ms());
        text.push('\n');
        // In one piece, so that no other line comes between; there is nobody to tell where it fails.
        let _ = (self.out)().write_all(text.as_bytes());
    }
}

impl<W, O> Meter for EmfMeter<W>
where
    W: Fn() -> O + Send + Sync,
    O: Write,
{
    fn begin(&self, _: &'static str) {}

    fn request(&self, end: &RequestEnd<'_>) {
        let mut line = self.line();
        let sets = sets(&metrics::REQUEST_DURATION);
        line.measure(&metrics::REQUEST_DURATION, seconds(end.duration), sets);
        line.tell(labels::ROUTE_CLASS, route_class(end.route));
        line.tell(labels::STATUS_CLASS, status_class(end.status));
        line.tell(labels::METHOD, end.method);
        line.tell(labels::ROUTE, end.route);
        line.tell(labels::STATUS, end.status);
        line.tell(labels::ERROR, end.error);
        line.tell(metrics::RESPONSE_SIZE.name, end.bytes);
        line.tell(metrics::REQUEST_CPU.name, seconds(end.cpu));
        line.tell("request_id", end.id);
        line.tell("trace_id", end.trace);
        self.write(line);
    }

    fn refusal(&self, scope: RefusalScope) {
        let mut line = self.line();
        line.measure(&metrics::REFUSALS, 1, sets(&metrics::REFUSALS));
        line.tell(labels::REFUSAL_SCOPE, scope.as_str());
        self.write(line);
    }

    fn answer(&self, end: &AnswerEnd<'_>) {
        let mut line = self.line();
        let duration = &metrics::ANSWER_DURATION;
        line.measure(duration, seconds(end.duration), self.by_model(duration));
        line.tell(labels::OPERATION, CHAT);
        line.tell(labels::PROVIDER, end.provider);
        line.tell(labels::MODEL, end.model.unwrap_or("none"));
        match end.outcome {
            Err(error) => line.tell(labels::ERROR, error),
            Ok(used) => {
                let first = &metrics::FIRST_TOKEN;
                line.measure(first, seconds(used.first_token), self.by_model(first));
                let cost = used.cost_picodollars as f64 / 1e12;
                line.measure(&metrics::COST, cost, self.by_model(&metrics::COST));
                if let Some(cached) = used.cached {
                    let result = if cached { "hit" } else { "miss" };
                    line.tell(labels::CACHE_RESULT, result);
                    let lookups = &metrics::CACHE_LOOKUPS;
                    line.measure(lookups, 1, self.by_model(lookups));
                }
            }
        }
        self.write(line);
        // A line has one value of each name.
        for (kind, tokens) in end
            .outcome
            .into_iter()
            .flat_map(|used| [("input", used.input_tokens), ("output", used.output_tokens)])
        {
            let mut line = self.line();
            let usage = &metrics::TOKEN_USAGE;
            line.measure(usage, tokens, self.by_model(usage));
            line.tell(labels::TOKEN_TYPE, kind);
            line.tell(labels::MODEL, end.model);
            self.write(line);
        }
    }

    fn requests(&self) -> Option<RequestSummary> {
        // A function sees no other.
        None
    }
}

/// A line on its way.
#[derive(Default)]
struct Line {
    directives: Vec<Value>,
    members: Map<String, Value>,
}

impl Line {
    fn measure(&mut self, metric: &Metric, value: impl Into<Value>, sets: Vec<Vec<&'static str>>) {
        debug_assert!(metric.kind != Kind::Gauge, "functions measure what ends");
        self.directives.push(json!({
            "Namespace": NAMESPACE,
            "Dimensions": sets,
            "Metrics": [{ "Name": metric.name, "Unit": metric.unit.cloudwatch() }],
        }));
        self.tell(metric.name, value.into());
    }

    fn tell(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
            self.members.insert(name.to_owned(), value);
        }
    }

    fn render(self, timestamp: u64) -> String {
        let mut whole = Map::new();
        let meta = json!({ "Timestamp": timestamp, "CloudWatchMetrics": self.directives });
        whole.insert("_aws".to_owned(), meta);
        whole.extend(self.members);
        Value::Object(whole).to_string()
    }
}

fn sets(metric: &Metric) -> Vec<Vec<&'static str>> {
    metric.dimensions.iter().map(|set| set.to_vec()).collect()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

fn route_class(route: Option<&str>) -> &str {
    let below = route.and_then(|route| route.strip_prefix(API));
    below
        .and_then(|below| below.split('/').next())
        .unwrap_or("none")
}

fn status_class(status: Option<u16>) -> &'static str {
    match status.map(|status| status / 100) {
        Some(1) => "1xx",
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(_) => "5xx",
        None => "cancelled",
    }
}

#[cfg(test)]
mod tests;
