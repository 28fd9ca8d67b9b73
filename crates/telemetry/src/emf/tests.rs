use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};

use super::*;
use crate::AnswerUse;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written for `measured`, with the time taken out.
fn written(detail: EmfDetail, measured: impl FnOnce(&dyn Meter)) -> Vec<Value> {
    let out = Written::default();
    let writer = out.clone();
    measured(&EmfMeter::new("testing", detail, move || writer.clone()));
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let taken = line["_aws"].as_object_mut().unwrap().remove("Timestamp");
        assert!(
            taken.unwrap().as_u64().unwrap() > 1_700_000_000_000,
            "milliseconds"
        );
        line
    });
    lines.collect()
}

fn check(detail: EmfDetail, measured: impl FnOnce(&dyn Meter), expected: Expect) {
    let lines = written(detail, measured);
    let shown: String = lines.iter().map(|line| format!("{line}\n")).collect();
    expected.assert_eq(&shown);
}

fn request() -> RequestEnd<'static> {
    RequestEnd {
        method: "GET",
        route: Some("/api/v1/models/{model_id}"),
        status: Some(404),
        error: Some("model_not_found"),
        duration: Duration::from_millis(12),
        cpu: Duration::from_millis(1),
        bytes: 218,
        id: "req_1",
        trace: Some("1-67891233-abcdef012345678912345678"),
    }
}

fn answer(outcome: Result<AnswerUse, &'static str>) -> AnswerEnd<'static> {
    AnswerEnd {
        provider: "llmopt",
        model: Some("ft:tiny:squares:1"),
        outcome,
        duration: Duration::from_millis(1_250),
    }
}

const USED: AnswerUse = AnswerUse {
    input_tokens: 15,
    output_tokens: 85,
    first_token: Duration::from_millis(200),
    cached: Some(true),
    cost_picodollars: 2_000_000_000,
};

#[test]
fn a_request_is_one_line_by_the_class_of_its_route_and_status() {
    check(
        EmfDetail::Routes,
        |meter| meter.request(&request()),
        expect![[r#"
            {"_aws":{"CloudWatchMetrics":[{"Namespace":"llmopt","Dimensions":[["deployment.environment.name","llmopt.route.class","llmopt.status.class"]],"Metrics":[{"Name":"http.server.request.duration","Unit":"Seconds"}]}]},"deployment.environment.name":"testing","http.server.request.duration":0.012,"llmopt.route.class":"models","llmopt.status.class":"4xx","http.request.method":"GET","http.route":"/api/v1/models/{model_id}","http.response.status_code":404,"error.type":"model_not_found","http.server.response.body.size":218,"llmopt.request.cpu.time":0.001,"request_id":"req_1","trace_id":"1-67891233-abcdef012345678912345678"}
        "#]],
    );
}

#[test]
fn a_request_that_nobody_answered_is_cancelled() {
    let end = RequestEnd {
        route: None,
        status: None,
        error: Some("cancelled"),
        trace: None,
        ..request()
    };
    let lines = written(EmfDetail::Routes, |meter| meter.request(&end));
    assert_eq!(lines[0][labels::ROUTE_CLASS], "none");
    assert_eq!(lines[0][labels::STATUS_CLASS], "cancelled");
    assert!(lines[0].get(labels::STATUS).is_none());
}

#[test]
fn a_refusal_is_counted_by_scope_and_in_all() {
    check(
        EmfDetail::Routes,
        |meter| meter.refusal(RefusalScope::Key),
        expect![[r#"
            {"_aws":{"CloudWatchMetrics":[{"Namespace":"llmopt","Dimensions":[["deployment.environment.name","llmopt.refusal.scope"],["deployment.environment.name"]],"Metrics":[{"Name":"llmopt.refusals","Unit":"Count"}]}]},"deployment.environment.name":"testing","llmopt.refusals":1,"llmopt.refusal.scope":"key"}
        "#]],
    );
}

#[test]
fn an_answer_tells_its_tokens_its_cost_and_its_cache() {
    check(
        EmfDetail::Routes,
        |meter| meter.answer(&answer(Ok(USED))),
        expect![[r#"
            {"_aws":{"CloudWatchMetrics":[{"Namespace":"llmopt","Dimensions":[["deployment.environment.name"]],"Metrics":[{"Name":"gen_ai.server.request.duration","Unit":"Seconds"}]},{"Namespace":"llmopt","Dimensions":[["deployment.environment.name"]],"Metrics":[{"Name":"gen_ai.server.time_to_first_token","Unit":"Seconds"}]},{"Namespace":"llmopt","Dimensions":[["deployment.environment.name"]],"Metrics":[{"Name":"llmopt.cost.usd","Unit":"Count"}]},{"Namespace":"llmopt","Dimensions":[["deployment.environment.name","llmopt.cache.result"]],"Metrics":[{"Name":"llmopt.model_cache.lookups","Unit":"Count"}]}]},"deployment.environment.name":"testing","gen_ai.server.request.duration":1.25,"gen_ai.operation.name":"chat","gen_ai.provider.name":"llmopt","gen_ai.request.model":"ft:tiny:squares:1","gen_ai.server.time_to_first_token":0.2,"llmopt.cost.usd":0.002,"llmopt.cache.result":"hit","llmopt.model_cache.lookups":1}
            {"_aws":{"CloudWatchMetrics":[{"Namespace":"llmopt","Dimensions":[["deployment.environment.name","gen_ai.token.type"]],"Metrics":[{"Name":"gen_ai.client.token.usage","Unit":"Count"}]}]},"deployment.environment.name":"testing","gen_ai.client.token.usage":15,"gen_ai.token.type":"input","gen_ai.request.model":"ft:tiny:squares:1"}
            {"_aws":{"CloudWatchMetrics":[{"Namespace":"llmopt","Dimensions":[["deployment.environment.name","gen_ai.token.type"]],"Metrics":[{"Name":"gen_ai.client.token.usage","Unit":"Count"}]}]},"deployment.environment.name":"testing","gen_ai.client.token.usage":85,"gen_ai.token.type":"output","gen_ai.request.model":"ft:tiny:squares:1"}
        "#]],
    );
}

#[test]
fn an_answer_that_failed_tells_how_long_that_took_and_why() {
    check(
        EmfDetail::Routes,
        |meter| meter.answer(&answer(Err("model_timeout"))),
        expect![[r#"
            {"_aws":{"CloudWatchMetrics":[{"Namespace":"llmopt","Dimensions":[["deployment.environment.name"]],"Metrics":[{"Name":"gen_ai.server.request.duration","Unit":"Seconds"}]}]},"deployment.environment.name":"testing","gen_ai.server.request.duration":1.25,"gen_ai.operation.name":"chat","gen_ai.provider.name":"llmopt","gen_ai.request.model":"ft:tiny:squares:1","error.type":"model_timeout"}
        "#]],
    );
}

#[test]
fn models_are_told_apart_where_that_is_asked_for() {
    let count = |detail| {
        let lines = written(detail, |meter| meter.answer(&answer(Ok(USED))));
        let directives = lines.iter().flat_map(|line| {
            line["_aws"]["CloudWatchMetrics"]
                .as_array()
                .unwrap()
                .clone()
        });
        let by_model = directives.filter(|it| it["Dimensions"].to_string().contains(labels::MODEL));
        by_model.count()
    };
    assert_eq!(count(EmfDetail::Routes), 0);
    assert_eq!(count(EmfDetail::Models), 6);
}

#[test]
fn every_dimension_of_a_line_is_a_member_of_it_and_there_are_few() {
    let lines = written(EmfDetail::Models, |meter| {
        meter.request(&request());
        meter.refusal(RefusalScope::Address);
        meter.answer(&answer(Ok(USED)));
        meter.answer(&AnswerEnd {
            model: None,
            ..answer(Err("model_not_found"))
        });
    });
    assert_eq!(lines.len(), 6);
    for line in &lines {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            let metric = directive["Metrics"][0]["Name"].as_str().unwrap();
            assert!(line[metric].is_number(), "{line}");
            for set in directive["Dimensions"].as_array().unwrap() {
                assert!(set.as_array().unwrap().len() <= 3, "{line}");
                for dimension in set.as_array().unwrap() {
                    let value = &line[dimension.as_str().unwrap()];
                    assert!(value.is_string(), "{dimension}: {line}");
                }
            }
        }
    }
}

#[test]
fn the_function_sees_no_other_and_sums_up_nothing() {
    let meter = EmfMeter::new("testing", EmfDetail::Routes, io::sink);
    assert_eq!(meter.requests(), None);
}
