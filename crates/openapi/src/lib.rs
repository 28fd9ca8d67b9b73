//! The OpenAPI document of the platform: what the routes say of themselves, and what all of them share.
//!
//! Knows which routes there are. Does not know what any of them does. `docs/openapi.json` is what it renders,
//! and what `GET /openapi.json` answers with.

mod shared;

use llmopt_http::API;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Server,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

/// The groups that routes are shown in.
const TAGS: [(&str, &str); 7] = [
    ("health", "Whether the service is there, and how it fares."),
    ("models", "Base models, and those that were fine-tuned."),
    ("datasets", "Examples to train on."),
    ("training", "Jobs that fine-tune a model."),
    ("generate", "Answers of models."),
    (
        "commercial",
        "Commercial models: what they cost, what was spent, what may be, and how they compare.",
    ),
    ("keys", "Who may use the platform, for administrators."),
];

/// Describes every route of the platform.
pub fn document() -> OpenApi {
    let mut document = whole();
    for part in parts() {
        document.merge(part);
    }
    shared::complete(&mut document);
    document
}

fn parts() -> [OpenApi; 7] {
    [
        llmopt_health_function::openapi(),
        llmopt_models_function::openapi(),
        llmopt_datasets_function::openapi(),
        llmopt_training_function::openapi(),
        llmopt_generate_function::openapi(),
        llmopt_commercial_function::openapi(),
        llmopt_keys_function::openapi(),
    ]
}

/// The document without any route.
fn whole() -> OpenApi {
    let info = InfoBuilder::new()
        .title("llmopt")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Fine-tune open language models and serve them beside commercial ones.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A platform key, `llmopt_…`; `llmopt keys create` makes the first one.",
        ))
        .build();
    let components =
        ComponentsBuilder::new().security_scheme(shared::KEY, SecurityScheme::Http(key));
    let tags = TAGS.map(|(name, description)| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    });
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new(API)]))
        .tags(Some(tags))
        .components(Some(components.build()))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use expect_test::expect_file;
    use serde_json::Value;

    use super::*;

    fn json() -> Value {
        serde_json::to_value(document()).unwrap()
    }

    /// The operations, each with its path and method.
    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let mut found = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                found.push((path.clone(), method.clone(), operation.clone()));
            }
        }
        found
    }

    fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
        let reference = value["$ref"].as_str();
        reference.map_or(value, |it| document.pointer(&it[1..]).unwrap())
    }

    #[test]
    fn a_schema_is_called_the_same_in_every_part() {
        let mut known = BTreeMap::new();
        for part in parts() {
            let part = serde_json::to_value(part).unwrap();
            for (name, schema) in part["components"]["schemas"].as_object().unwrap() {
                let other = known.insert(name.clone(), schema.clone());
                let other = other.as_ref().unwrap_or(schema);
                assert_eq!(other, schema, "two are called `{name}`: rename one");
            }
        }
    }

    #[test]
    fn the_document_is_the_one_that_is_served() {
        let mut text = document().to_pretty_json().unwrap();
        text.push('\n');
        expect_file!["../../../docs/openapi.json"].assert_eq(&text);
    }

    #[test]
    fn every_operation_says_what_it_is_and_what_can_go_wrong() {
        let document = json();
        assert_eq!(document["openapi"], "3.1.0");
        let tags: BTreeSet<&str> = TAGS.into_iter().map(|(name, _)| name).collect();
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(
                tags.contains(operation["tags"][0].as_str().unwrap()),
                "{id}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let response = resolved(&document, response);
                let is_problem = status.as_str() >= "400";
                let content = &response["content"]["application/problem+json"];
                assert_eq!(content.is_object(), is_problem, "{id} {status}");
                assert!(
                    response["headers"]["x-request-id"].is_object(),
                    "{id} {status}"
                );
            }
            assert!(ids.insert(id.clone()), "{id} twice");
        }
        assert!(ids.len() > 25, "{ids:?}");
    }

    #[test]
    fn every_operation_but_two_wants_a_key() {
        let open: Vec<String> = operations(&json())
            .into_iter()
            .filter(|(_, _, operation)| operation["security"].as_array().is_none_or(Vec::is_empty))
            .map(|(path, ..)| path)
            .collect();
        assert_eq!(open, ["/health", "/ready"]);
    }

    #[test]
    fn every_route_can_have_a_limit_of_its_own() {
        let mut routes: Vec<String> = operations(&json())
            .into_iter()
            .filter(|(path, ..)| path != "/health" && path != "/ready")
            .map(|(path, method, _)| format!("{} {path}", method.to_uppercase()))
            .collect();
        routes.sort();
        assert_eq!(llmopt_config::ROUTES.to_vec(), routes);
    }

    #[test]
    fn everything_that_is_referred_to_is_there() {
        let document = json();
        let text = document.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        assert!(text.contains("$ref"));
    }
}
