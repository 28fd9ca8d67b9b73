//! Sets up the logs of a process: `tracing` events on standard error.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{ConfigError, LogFormat, Origin, Settings, source, variables};

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

type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(
    settings: &Settings,
    colours: bool,
    writer: W,
) -> Result<BoxedSubscriber, ConfigError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log).map_err(|_| {
        let found = format!("`{}`", settings.log);
        source::invalid(&variables::LOG, Origin::Process, found)
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(writer);
    Ok(match settings.log_format {
        LogFormat::Pretty => {
            let lines = builder.compact().with_ansi(colours).finish();
            Box::new(lines.with(filter_fn(tells_no_request)))
        }
        LogFormat::Json => {
            let lines = builder.json().flatten_event(true).finish();
            Box::new(lines.with(filter_fn(tells_no_request)))
        }
    })
}

/// Lambda's library writes whole requests, with their keys and questions, at its finest level: whoever asks
/// for that level does not ask for those.
fn tells_no_request(metadata: &Metadata<'_>) -> bool {
    *metadata.level() != Level::TRACE || !metadata.target().starts_with("lambda_runtime")
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
