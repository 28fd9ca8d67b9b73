use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::{
    CeilingSettings, KeySettings, LimitSettings, MaxTokensField, ProviderApi, ProviderRegion,
    ProviderSettings, Settings, SpendingSync,
};

fn load(pairs: &[(&str, &str)]) -> Settings {
    Settings::from_pairs(pairs.iter().copied(), "").expect("loads")
}

fn refusal(pairs: &[(&str, &str)]) -> String {
    let refused = Settings::from_pairs(pairs.iter().copied(), "");
    refused.expect_err("it is refused").to_string()
}

fn listed(json: &str) -> Vec<ProviderSettings> {
    load(&[("LLMOPT_PROVIDERS", json)]).providers
}

fn unlisted(json: &str) -> String {
    refusal(&[("LLMOPT_PROVIDERS", json)])
}

#[test]
fn a_provider_is_there_once_its_key_or_its_address_is() {
    assert_eq!(load(&[]).providers, []);
    for (name, value, provider) in [
        ("OPENAI_API_KEY", "sk-1", "openai"),
        ("OPENAI_API_KEY_FILE", "/run/key", "openai"),
        ("LLMOPT_OPENAI_KEY_SECRET", "llmopt/openai", "openai"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1", "openai"),
        ("ANTHROPIC_API_KEY", "sk-1", "anthropic"),
        ("ANTHROPIC_API_KEY_FILE", "/run/key", "anthropic"),
        ("LLMOPT_ANTHROPIC_KEY_SECRET", "llmopt/it", "anthropic"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1", "anthropic"),
    ] {
        let providers = load(&[(name, value)]).providers;
        let names: Vec<&str> = providers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, [provider], "{name}");
        assert!(providers[0].is_owner);
    }
}

#[test]
fn the_limits_of_the_owners_are_those_of_the_documentation_until_they_are_set() {
    let keys = [("OPENAI_API_KEY", "sk-1"), ("ANTHROPIC_API_KEY", "sk-2")];
    let limits = |extra: &[(&str, &str)]| {
        let pairs: Vec<_> = keys.iter().chain(extra).copied().collect();
        let of = |it: &ProviderSettings| {
            let LimitSettings {
                requests_per_minute,
                tokens_per_minute,
            } = it.limits;
            (
                requests_per_minute.map(NonZeroU32::get),
                tokens_per_minute.map(NonZeroU32::get),
            )
        };
        load(&pairs).providers.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(limits(&[]), [(Some(60), None), (Some(50), None)]);
    let set = [
        ("LLMOPT_OPENAI_REQUESTS_PER_MINUTE", "0"),
        ("LLMOPT_OPENAI_TOKENS_PER_MINUTE", "150000"),
        ("LLMOPT_ANTHROPIC_REQUESTS_PER_MINUTE", "5"),
        ("LLMOPT_ANTHROPIC_TOKENS_PER_MINUTE", "7"),
    ];
    assert_eq!(limits(&set), [(None, Some(150_000)), (Some(5), Some(7))]);
}

#[test]
fn an_address_of_a_region_is_paid_for_as_one() {
    let regions = |pairs: &[(&str, &str)]| {
        let keys = [("OPENAI_API_KEY", "sk-1"), ("ANTHROPIC_API_KEY", "sk-2")];
        let pairs: Vec<_> = keys.iter().chain(pairs).copied().collect();
        let providers = load(&pairs).providers;
        providers.iter().map(|it| it.region).collect::<Vec<_>>()
    };
    let (global, regional) = (ProviderRegion::Global, ProviderRegion::Regional);
    assert_eq!(regions(&[]), [global, global]);
    for (address, region) in [
        ("https://api.openai.com/v1", global),
        ("https://eu.api.openai.com/v1", regional),
        ("https://EU.API.OPENAI.COM:443/v1", regional),
        ("https://proxy.example.com/eu.api.openai.com", global),
        ("https://notapi.openai.com/v1", global),
    ] {
        assert_eq!(
            regions(&[("OPENAI_BASE_URL", address)])[0],
            region,
            "{address}"
        );
    }
    let proxy = [
        ("OPENAI_BASE_URL", "https://proxy.example.com/v1"),
        ("LLMOPT_OPENAI_REGION", "regional"),
    ];
    assert_eq!(regions(&proxy), [regional, global]);
    let workspace = [("LLMOPT_ANTHROPIC_REGION", "regional")];
    assert_eq!(regions(&workspace), [global, regional]);
    assert!(refusal(&[("LLMOPT_OPENAI_REGION", "eu")]).contains("found `eu`"));
}

#[test]
fn single_models_have_limits() {
    let of = |json: &str| load(&[("LLMOPT_MODEL_LIMITS", json)]).model_limits;
    let limits = of(r#"{"gpt-6-luna": {"requests_per_minute": 5}, "b": {"tokens_per_minute": 7}}"#);
    let luna = limits["gpt-6-luna"];
    assert_eq!(luna.requests_per_minute, NonZeroU32::new(5));
    assert_eq!(limits["b"].tokens_per_minute, NonZeroU32::new(7));
    for (wrong, expected) in [
        (r#"{"a": {"rpm": 1}}"#, "at `a.rpm`: unknown field `rpm`"),
        (r#"{"a b": {}}"#, "found `a b`, which is no id of a model"),
        (r#"{"a": {}, "a": {}}"#, "a name that stands there twice"),
        ("[]", "expected a JSON object"),
    ] {
        let message = refusal(&[("LLMOPT_MODEL_LIMITS", wrong)]);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_key_has_one_place() {
    let message = refusal(&[("OPENAI_API_KEY", "sk-1"), ("OPENAI_API_KEY_FILE", "/key")]);
    assert_eq!(
        message,
        "`OPENAI_API_KEY` in the environment: expected one place for the key of `openai`, found \
         `OPENAI_API_KEY_FILE` set too; unset one of the two"
    );
}

#[test]
fn keys_and_headers_and_addresses_of_hooks_are_in_no_debug_output_and_in_no_message() {
    let json = r#"[{"name":"v","api":"openai","base_url":"http://a/v1","key_env":"V_KEY",
        "headers":{"x-key":"sk-canary-1"}}]"#;
    let settings = load(&[
        ("OPENAI_API_KEY", "sk-canary-2"),
        ("V_KEY", "sk-canary-3"),
        ("LLMOPT_PROVIDERS", json),
        ("LLMOPT_ALERT_WEBHOOK", "https://hooks.example.com/canary"),
    ]);
    assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    let hook = settings.alert_webhook.expect("there is a hook");
    assert_eq!(hook.expose(), "https://hooks.example.com/canary");
    for wrong in [
        r#"[{"name":"v","api":"sk-canary","base_url":"http://a/v1"}]"#,
        r#"[{"name":"v","api":"openai","base_url":"http://u:canary@a/v1"}]"#,
        r#"[{"name":"v","api":"openai","base_url":"http://a/v1","models":"sk-canary"}]"#,
        r#"[{"name":"v","api":"openai","base_url":"http://a/v1","requests_per_minute":"x, expected canary\", expected y"}]"#,
        r#"[{"name":"v","api":"openai","base_url":"http://a/v1","ceiling":{"input_usd_per_million":"canary"}}]"#,
        r#"[{"name":"canary!","api":"openai","base_url":"http://a/v1"}]"#,
        r#"["sk-canary"]"#,
        "sk-canary",
        r#"[] sk-canary"#,
    ] {
        let message = unlisted(wrong);
        assert!(!message.contains("canary"), "{message}");
    }
    for name in ["OPENAI_BASE_URL", "LLMOPT_ALERT_WEBHOOK"] {
        let message = refusal(&[(name, "canary")]);
        assert!(!message.contains("canary"), "{message}");
    }
}

#[test]
fn a_listed_server_has_what_is_said_of_it() {
    let providers = listed(
        r#"[
            {"name": "vllm", "api": "openai", "base_url": "http://10.0.0.5:8000/v1/"},
            {"name": "other-2", "api": "anthropic", "base_url": "https://a.example", "key_file": "/run/k",
             "headers": {"x-team": "blue"}, "requests_per_minute": 10, "tokens_per_minute": 1000,
             "models": {"big": {"requests_per_minute": 1}},
             "ceiling": {"input_usd_per_million": "1.5", "output_usd_per_million": "6"}},
            {"name": "three", "api": "openai", "base_url": "https://a.example", "key_secret": "llmopt/three",
             "max_tokens_field": "max_completion_tokens", "stream_usage": false,
             "query": {"api-version": "2024-10-21"}}
        ]"#,
    );
    let [vllm, other, three] = providers.as_slice() else {
        panic!("there are three");
    };
    assert_eq!(vllm.base_url.as_deref(), Some("http://10.0.0.5:8000/v1"));
    assert_eq!(vllm.key, KeySettings::None);
    assert_eq!(vllm.max_tokens_field, MaxTokensField::MaxTokens);
    assert_eq!((vllm.limits, vllm.ceiling), Default::default());
    assert_eq!(vllm.models, Default::default());
    assert!(!vllm.is_owner && vllm.counts_streams && vllm.query.is_empty());
    assert!(!three.counts_streams);
    assert_eq!(three.query["api-version"].expose(), "2024-10-21");
    assert_eq!(other.api, ProviderApi::Anthropic);
    assert_eq!(other.key, KeySettings::File(PathBuf::from("/run/k")));
    assert_eq!(other.headers["x-team"].expose(), "blue");
    assert_eq!(other.limits.requests_per_minute, NonZeroU32::new(10));
    assert_eq!(other.limits.tokens_per_minute, NonZeroU32::new(1_000));
    let big = other.models["big"];
    assert_eq!(big.requests_per_minute, NonZeroU32::new(1));
    let ceiling = CeilingSettings {
        input_picodollars: 1_500_000,
        output_picodollars: 6_000_000,
    };
    assert_eq!(other.ceiling, Some(ceiling));
    assert_eq!(three.key, KeySettings::Secret("llmopt/three".to_owned()));
    assert_eq!(three.max_tokens_field, MaxTokensField::MaxCompletionTokens);
}

#[test]
fn a_key_may_be_in_any_variable_that_is_set() {
    let json = |name: &str| {
        format!(r#"[{{"name":"v","api":"openai","base_url":"http://a","key_env":"{name}"}}]"#)
    };
    for name in ["V_KEY", "OPENAI_API_KEY"] {
        let settings = load(&[("LLMOPT_PROVIDERS", &json(name)), (name, "sk-1")]);
        let listed = settings.providers.last().expect("there is one");
        assert_eq!(listed.key, KeySettings::Text(crate::Secret::new("sk-1")));
    }
}

#[test]
fn a_ceiling_is_exact_or_refused() {
    let of = |text: &str| {
        format!(
            r#"[{{"name":"v","api":"openai","base_url":"http://a","ceiling":{{"input_usd_per_million":"{text}",
            "output_usd_per_million":"0"}}}}]"#
        )
    };
    for (text, picodollars) in [
        ("0", 0),
        ("0.000001", 1),
        ("12.50", 12_500_000),
        ("999999.999999", 999_999_999_999),
    ] {
        let ceiling = listed(&of(text))[0].ceiling.expect("there is a ceiling");
        assert_eq!(ceiling.input_picodollars, picodollars, "{text}");
    }
    for wrong in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "0.0000001",
        "1000000",
        "NaN",
        "1.5 ",
    ] {
        let message = unlisted(&of(wrong));
        let place = "at `[0].ceiling.input_usd_per_million`: expected dollars such as";
        assert!(message.contains(place), "{wrong}: {message}");
    }
}

#[test]
fn what_is_wrong_with_a_listed_server_is_named_with_its_place() {
    let wrong = |fields: &str| {
        unlisted(&format!(
            r#"[{{"name":"v","api":"openai","base_url":"http://a"{fields}}}]"#
        ))
    };
    for (message, expected) in [
        (
            wrong(r#","keyfile":"/k""#),
            "`[0].keyfile`: unknown field `keyfile`, expected one of",
        ),
        (
            wrong(r#","tokens_per_minute":0"#),
            "`[0].tokens_per_minute`: invalid value: integer, expected a nonzero u32",
        ),
        (
            wrong(r#","models":{"m":{"rpm":1}}"#),
            "`[0].models.m.rpm`: unknown field `rpm`",
        ),
        (
            wrong(r#","models":{"m":{},"m":{}}"#),
            "`[0].models`: a name that stands there twice",
        ),
        (
            wrong(r#","key_file":"/k","key_env":"K""#),
            "one of `key_file`, `key_env` and `key_secret` at `[0]`",
        ),
        (
            wrong(r#","key_env":"NOT_SET""#),
            "a key in an environment variable at `[0]`",
        ),
        (
            unlisted(r#"[{"name":"A b","api":"openai","base_url":"http://a"}]"#),
            "1 to 32 of `a-z`, `0-9` and `-` at `[0].name`",
        ),
        (
            unlisted(r#"[{"name":"openai","api":"openai","base_url":"http://a"}]"#),
            "found `openai`, which is taken",
        ),
        (
            unlisted(r#"[{"name":"v","api":"openai","base_url":"a"}]"#),
            "URL without a user, a query or a fragment at `[0].base_url`",
        ),
        (
            unlisted(r#"[{"name":"v","api":"openai"}]"#),
            "`[0]`: missing field `base_url`",
        ),
        (
            unlisted(
                r#"[{"name":"v","api":"anthropic","base_url":"http://a","max_tokens_field":"max_tokens"}]"#,
            ),
            "no such field for the API `anthropic`",
        ),
        (
            unlisted(
                r#"[{"name":"v","api":"anthropic","base_url":"http://a","stream_usage":true}]"#,
            ),
            "no such field for the API `anthropic`, which always counts at `[0].stream_usage`",
        ),
        (wrong(r#","query":{"a b":"c"}"#), "names at `[0].query`"),
        (
            unlisted("[{"),
            "EOF while parsing an object at line 1 column 2",
        ),
    ] {
        assert!(
            message.starts_with("`LLMOPT_PROVIDERS` in the environment: expected "),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_alias_names_models_in_their_order() {
    let settings = load(&[(
        "LLMOPT_MODEL_ALIASES",
        r#"{"smart": ["claude-opus-5", "vllm/meta-llama/x"]}"#,
    )]);
    assert_eq!(
        settings.model_aliases["smart"],
        ["claude-opus-5", "vllm/meta-llama/x"]
    );
    for (wrong, expected) in [
        (
            r#"["a"]"#,
            "found invalid type: sequence, expected an object",
        ),
        (r#"{"ft:a": ["b"]}"#, "found `ft:a`, which is not a name"),
        (r#"{"a/b": ["b"]}"#, "found `a/b`, which is not a name"),
        (r#"{"": ["b"]}"#, "found ``, which is not a name"),
        (r#"{"a": []}"#, "found 0 models for `a`"),
        (r#"{"a": ["b c"]}"#, "found `b c` for `a`"),
        (
            r#"{"a": ["b"], "a": ["c"]}"#,
            "a name that stands there twice",
        ),
        (
            r#"{"a": "b"}"#,
            "at `a`: invalid type: string, expected a sequence",
        ),
    ] {
        let message = refusal(&[("LLMOPT_MODEL_ALIASES", wrong)]);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_turn_is_waited_for_up_to_a_minute_or_not_at_all() {
    assert_eq!(load(&[]).turn_wait, Duration::from_secs(2));
    let of = |value| load(&[("LLMOPT_TURN_WAIT_SECONDS", value)]).turn_wait;
    assert_eq!(of("0"), Duration::ZERO);
    assert_eq!(of("60"), Duration::from_secs(60));
    assert!(refusal(&[("LLMOPT_TURN_WAIT_SECONDS", "61")]).contains("found `61`"));
}

#[test]
fn what_was_spent_is_on_the_disk_unless_one_does_not_wait_for_that() {
    assert_eq!(load(&[]).spending_sync, SpendingSync::Full);
    let of = |value| load(&[("LLMOPT_SPENDING_SYNC", value)]).spending_sync;
    assert_eq!(of("normal"), SpendingSync::Normal);
    assert!(refusal(&[("LLMOPT_SPENDING_SYNC", "off")]).contains("found `off`"));
}

#[test]
fn a_topic_is_one_of_sns() {
    let of = |value| Settings::from_pairs([("LLMOPT_ALERT_TOPIC", value)], "");
    let topic = "arn:aws:sns:eu-central-1:123456789012:alerts";
    assert_eq!(
        of(topic).expect("loads").alert_topic.as_deref(),
        Some(topic)
    );
    for wrong in ["alerts", "arn:aws:sqs:eu-central-1:123456789012:alerts"] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}
