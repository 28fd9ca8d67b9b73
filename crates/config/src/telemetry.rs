//! Sets up the logs of a process: `tracing` events on standard error.

use std::io::IsTerminal as _;

use llmopt_telemetry::TRACES;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};

use crate::{ConfigError, LogFormat, Origin, Settings, source, variables};

/// Parses a filter of logs, a level for each target; `None` where it is none.
pub(crate) fn filter(text: &str) -> Option<Targets> {
    let parts = text.split(',').map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    // The library knows fields too, which nothing here is filtered by.
    let has_fields = parts.iter().any(|part| part.contains('['));
    let is_filter = !parts.is_empty() && !has_fields;
    is_filter.then(|| parts.join(",").parse().ok()).flatten()
}

/// Sends what `settings` say is logged to standard error, in the format they say. For `main` only.
///
/// # Errors
/// If it was called before in this process, or the filter does not parse.
pub fn init(settings: &Settings) -> Result<(), ConfigError> {
    let colours = std::io::stderr().is_terminal();
    subscriber(settings, colours, std::io::stderr)?
        .try_init()
        .map_err(|_| ConfigError::LogsAlreadySetUp)
}

/// Does the same, and hands `traces` the spans that may leave the process, which logs have none of.
///
/// # Errors
/// As [`init`].
pub fn init_traced<L>(settings: &Settings, traces: L) -> Result<(), ConfigError>
where
    L: Layer<Registry> + Send + Sync,
{
    let colours = std::io::stderr().is_terminal();
    let logs = lines(settings, colours, std::io::stderr)?;
    let traces = traces.with_filter(filter_fn(|metadata| metadata.target() == TRACES));
    let subscriber = tracing_subscriber::registry().with(traces.and_then(logs));
    subscriber
        .try_init()
        .map_err(|_| ConfigError::LogsAlreadySetUp)
}

fn checked_filter(settings: &Settings) -> Result<Targets, ConfigError> {
    filter(&settings.log).ok_or_else(|| {
        let found = format!("`{}`", settings.log);
        source::invalid(&variables::LOG, Origin::Process, found)
    })
}

fn subscriber<W>(
    settings: &Settings,
    colours: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, ConfigError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    Ok(tracing_subscriber::registry().with(lines(settings, colours, writer)?))
}

/// Writes what is logged, a line for each.
fn lines<W>(
    settings: &Settings,
    colours: bool,
    writer: W,
) -> Result<impl Layer<Registry> + Send + Sync, ConfigError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines = match settings.log_format {
        LogFormat::Pretty => lines.compact().with_ansi(colours).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(lines.with_filter(checked_filter(settings)?.and(filter_fn(is_log))))
}

/// Whether something is for the log. Spans of traces are not: where there are no traces, they cost nothing.
/// Lambda's library writes whole requests, with their keys and questions, at its finest level: whoever asks for
/// that level does not ask for those.
fn is_log(metadata: &Metadata<'_>) -> bool {
    let tells_request =
        *metadata.level() == Level::TRACE && metadata.target().starts_with("lambda_runtime");
    !tells_request && metadata.target() != TRACES
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::subscriber;
    use crate::{ConfigError, Settings};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no poison").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(environment: &str) -> String {
        let settings = Settings::from_pairs([("LLMOPT_ENVIRONMENT", environment)], "")
            .expect("the settings load");
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(&settings, false, move || writer.clone()).expect("it sets up");
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "llmopt_service", "resolved");
            tracing::info!(target: "some_dependency", "connected");
            tracing::info!(target: "llmopt_service", step = 3, "saved");
        });
        let bytes = captured.0.lock().expect("no poison").clone();
        String::from_utf8(bytes).expect("logs are UTF-8")
    }

    #[test]
    fn development_logs_our_debug_events_as_lines_and_no_chatter_of_dependencies() {
        let text = logged("development");

        assert!(text.contains("DEBUG llmopt_service: resolved"), "{text}");
        assert!(text.contains("saved step=3"), "{text}");
        assert!(!text.contains("connected"), "{text}");
    }

    #[test]
    fn production_logs_info_and_above_as_one_json_object_a_line() {
        let text = logged("production");

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].starts_with('{') && lines[1].ends_with('}'));
        assert!(lines[1].contains(r#""message":"saved","step":3"#), "{text}");
    }

    #[test]
    fn a_filter_is_levels_for_targets_and_nothing_else() {
        for sound in ["info", "warn,llmopt=debug", " warn , llmopt=debug,", "off"] {
            assert!(super::filter(sound).is_some(), "{sound}");
        }
        let fields = "y[{a}],y[{b}]";
        for wrong in [
            "",
            " , ",
            "llmopt=loud",
            "a=b=c",
            fields,
            "llmopt[{a=\"b\"}]=info",
        ] {
            assert!(super::filter(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn logs_are_set_up_once_and_a_bad_filter_names_its_variable() {
        let mut settings = Settings::from_pairs([("LLMOPT_ENVIRONMENT", "testing")], "")
            .expect("the settings load");
        super::init(&settings).expect("the first time works");
        assert!(matches!(
            super::init(&settings),
            Err(ConfigError::LogsAlreadySetUp)
        ));

        settings.log = "llmopt=loud".to_owned();
        let error = super::init(&settings).expect_err("not a level").to_string();
        assert!(error.contains("`LLMOPT_LOG`") && error.contains("`llmopt=loud`"));
    }
}
