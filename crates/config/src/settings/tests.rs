use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{LogFormat, Settings, read_dotenv};
use crate::{ConfigError, Environment, variables};

fn load(process: &[(&str, &str)], dotenv: &str) -> Result<Settings, ConfigError> {
    Settings::from_pairs(process.iter().copied(), dotenv)
}

fn refusal(process: &[(&str, &str)], dotenv: &str) -> String {
    load(process, dotenv)
        .expect_err("the settings are refused")
        .to_string()
}

#[test]
fn each_environment_gives_the_documented_defaults() {
    let of = |environment| load(&[("LLMOPT_ENVIRONMENT", environment)], "").expect("loads");

    let development = load(&[], "").expect("loads");
    assert_eq!(development, of("development"));
    assert_eq!(development.environment, Environment::Development);
    assert_eq!(development.requests_per_minute, NonZeroU32::new(120));
    assert!(development.log.contains("debug"));
    assert_eq!(development.log_format, LogFormat::Pretty);
    assert_eq!(development.data_dir, PathBuf::from(".llmopt"));
    assert!(development.threads >= 1);

    let testing = of("testing");
    assert_eq!(testing.requests_per_minute, None);
    assert_eq!(testing.model_cache.get(), 1);

    let production = of("production");
    assert_eq!(production.requests_per_minute, NonZeroU32::new(30));
    assert_eq!(production.model_cache.get(), 3);
    assert_eq!(production.model_timeout, Duration::from_secs(60));
    assert_eq!(production.log_format, LogFormat::Json);
    assert_eq!(production.log, "info");
}

#[test]
fn the_environment_wins_over_the_file_and_an_empty_value_counts_as_unset() {
    let dotenv = "LLMOPT_THREADS=3\nLLMOPT_DATA_DIR=/from/file\nLLMOPT_ENVIRONMENT=testing";

    let settings =
        load(&[("LLMOPT_THREADS", "5"), ("LLMOPT_DATA_DIR", "")], dotenv).expect("loads");

    assert_eq!(settings.threads, 5);
    assert_eq!(settings.data_dir, PathBuf::from("/from/file"));
    assert_eq!(settings.hub_cache_dir(), PathBuf::from("/from/file/hub"));
    assert_eq!(settings.environment, Environment::Testing);
}

#[test]
fn a_variable_overrides_the_default_of_its_environment() {
    let settings = load(
        &[
            ("LLMOPT_ENVIRONMENT", "production"),
            ("LLMOPT_REQUESTS_PER_MINUTE", "0"),
            ("LLMOPT_LOG_FORMAT", "pretty"),
            ("LLMOPT_MODEL_TIMEOUT_SECONDS", "7"),
        ],
        "",
    )
    .expect("loads");

    assert_eq!(settings.requests_per_minute, None);
    assert_eq!(settings.log_format, LogFormat::Pretty);
    assert_eq!(settings.model_timeout, Duration::from_secs(7));
}

#[test]
fn our_endpoint_wins_over_the_shared_one() {
    let shared = ("HF_ENDPOINT", "http://shared/");
    let ours = ("LLMOPT_HUB_ENDPOINT", "http://ours:8080");

    let endpoint = |pairs: &[(&str, &str)]| load(pairs, "").expect("loads").hub_endpoint;

    assert_eq!(endpoint(&[]), None);
    assert_eq!(endpoint(&[shared]).as_deref(), Some("http://shared"));
    assert_eq!(
        endpoint(&[shared, ours]).as_deref(),
        Some("http://ours:8080")
    );
}

#[test]
fn an_unknown_variable_is_refused_with_where_it_is_and_the_nearest_name() {
    assert_eq!(
        refusal(&[("LLMOPT_THREAD", "2")], ""),
        "unknown variable `LLMOPT_THREAD` in the environment; did you mean `LLMOPT_THREADS`?"
    );
    assert_eq!(
        refusal(&[], "# mine\nLLMOPT_SOMETHING_ELSE=2"),
        "unknown variable `LLMOPT_SOMETHING_ELSE` in `.env`, line 2; remove it; \
         docs/CONFIGURATION.md lists all variables"
    );
}

#[test]
fn variables_of_other_programs_and_of_tests_and_scripts_are_left_alone() {
    let process = [
        ("PATH", "/bin"),
        ("LLMOPT_TEST_DATA", "/data"),
        ("LLMOPT_CACHE", "/cache"),
    ];

    load(&process, "DATABASE_URL=x").expect("loads");
}

#[test]
fn a_value_of_the_wrong_type_names_variable_place_expected_found_and_fix() {
    assert_eq!(
        refusal(&[], "LLMOPT_THREADS=many"),
        "`LLMOPT_THREADS` in `.env`, line 1: expected a whole number from 1 to 1024, found `many`; \
         correct it, or unset it (then: the processors this process may use)"
    );
    for (name, value) in [
        ("LLMOPT_ENVIRONMENT", "staging"),
        ("LLMOPT_LOG", "llmopt=loud"),
        ("LLMOPT_LOG", "aü\u{c}c=c#2"),
        ("LLMOPT_LOG_FORMAT", "xml"),
        ("LLMOPT_THREADS", "0"),
        ("LLMOPT_HUB_ENDPOINT", "hub.example.com"),
        ("HF_ENDPOINT", "https://"),
        ("LLMOPT_REQUESTS_PER_MINUTE", "-1"),
        ("LLMOPT_MODEL_CACHE", "0"),
        ("LLMOPT_MODEL_TIMEOUT_SECONDS", "0"),
    ] {
        let message = refusal(&[(name, value)], "");
        assert!(message.starts_with(&format!("`{name}` in the environment: expected ")));
        assert!(
            message.contains(&format!("found `{value}`; correct it")),
            "{message}"
        );
    }
}

#[test]
fn the_value_of_a_secret_is_in_no_message_and_in_no_debug_output() {
    let message = refusal(&[("HF_TOKEN", "hf_abc def")], "");
    assert!(message.starts_with("`HF_TOKEN` in the environment: "));
    assert!(!message.contains("hf_abc"), "{message}");

    let settings = load(&[("HF_TOKEN", "hf_abc")], "").expect("loads");
    assert!(!format!("{settings:?}").contains("hf_abc"));
    assert_eq!(settings.hub_token.expect("a token").expose(), "hf_abc");
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_text_is_refused_for_our_variables_only() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let bytes = || OsString::from_vec(vec![0xff]);
    Settings::from_pairs([(bytes(), bytes())], "").expect("not ours");

    let error = Settings::from_pairs([(OsString::from("LLMOPT_LOG"), bytes())], "")
        .expect_err("ours")
        .to_string();
    assert!(error.contains("found bytes that are not UTF-8"), "{error}");
}

#[test]
fn a_missing_file_is_no_error_and_an_unreadable_one_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(".env");
    assert_eq!(read_dotenv(&path).expect("no file is fine"), "");

    std::fs::write(&path, [0xff]).expect("it writes");
    let error = read_dotenv(&path).expect_err("not UTF-8");
    assert!(matches!(error, ConfigError::Unreadable { .. }));
}

#[test]
fn every_variable_of_the_table_is_known_once_and_every_default_parses() {
    let mut names: Vec<&str> = variables::ALL
        .iter()
        .map(|variable| variable.name)
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), variables::ALL.len());

    for environment in Environment::ALL {
        let defaults = variables::ALL
            .iter()
            .filter_map(|variable| Some((variable.name, variable.default.value(environment)?)));
        let explicit = defaults.filter(|(name, _)| *name != "LLMOPT_ENVIRONMENT");
        let explicit = explicit.chain([("LLMOPT_ENVIRONMENT", environment.name())]);
        Settings::from_pairs(explicit, "").expect("every default parses");
    }
}

#[test]
fn limits_of_routes_name_what_they_are_for() {
    let of = |value: &str| load(&[("LLMOPT_ROUTE_LIMITS", value)], "");
    let settings = of("generate=60/10, POST /training/jobs=5,GET /models/{id}=7").expect("loads");
    let limits: Vec<(&str, u32, u32)> = settings
        .route_limits
        .iter()
        .map(|it| (&*it.route, it.requests_per_minute.get(), it.burst.get()))
        .collect();
    assert_eq!(
        limits,
        [
            ("generate", 60, 10),
            ("POST /training/jobs", 5, 5),
            ("GET /models/{model_id}", 7, 7)
        ]
    );
    for wrong in [
        "generate",
        "generate=0",
        "generat=5",
        "POST training=5",
        "PATCH /keys=1",
        "POST /training/job=5",
        "GET /generate=5",
    ] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn sites_are_named_as_browsers_name_them() {
    let of = |value: &str| load(&[("LLMOPT_CORS_ORIGINS", value)], "");
    let settings = of("https://App.example.com, http://localhost:3000").expect("loads");
    let named = ["https://app.example.com", "http://localhost:3000"];
    assert_eq!(settings.cors_origins, named);
    assert_eq!(of("*").expect("loads").cors_origins, ["*"]);
    for wrong in [
        "app.example.com",
        "https://a.example/path",
        "https://a.example/",
        "null",
        "*,https://a.example",
    ] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_filter_of_logs_has_no_pattern_that_takes_for_ever() {
    let filter = format!("[span{{field={}x}}]=debug", ".".repeat(64));
    let error = load(&[("LLMOPT_LOG", &filter)], "").expect_err("fields are refused");
    assert!(error.to_string().contains("`LLMOPT_LOG`"), "{error}");
}

#[test]
fn a_price_is_read_to_the_millionth_of_a_dollar_and_is_unknown_where_there_is_none() {
    let of = |price| load(&[("LLMOPT_TRAINER_USD_PER_HOUR", price)], "");
    for (price, millionths) in [
        ("1.006", 1_006_000),
        ("0", 0),
        ("12", 12_000_000),
        ("0.000001", 1),
    ] {
        assert_eq!(of(price).expect("loads").trainer_price, Some(millionths));
    }
    assert_eq!(load(&[], "").expect("loads").trainer_price, None);
    for wrong in ["-1", "1,5", "free", ".5", "1.", "0.0000001", "1e3"] {
        let error = of(wrong).expect_err("is refused").to_string();
        assert!(error.contains("expected US dollars"), "{error}");
    }
}
