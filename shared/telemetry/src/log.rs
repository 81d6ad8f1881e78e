use std::env::{self, VarError};
use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::console;

/// The log filter when `RUST_LOG` is not set: `info` and above, for some libraries `warn` and above.
pub const DEFAULT_FILTER: &str = "info,sqlx=warn,actix_server=warn";
/// Filter directives for targets that are logged only if `RUST_LOG` names them. The broker client logs each error that
/// it also returns. The HTTP server logs each connection that breaks off or sends invalid HTTP. Our code logs such
/// errors where it handles them.
const SILENT: &str = "lapin=off,actix_http::h1::dispatcher=off";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `Human` if stderr is a terminal, otherwise `Json`.
    #[default]
    Auto,
    /// One readable line per event, coloured on a terminal unless `NO_COLOR` is set.
    Human,
    /// One JSON object per event. `timestamp`, `level`, `target`, `message` and the event's own fields are at the top
    /// level. `spans` holds the fields of each enclosing span, outermost first.
    Json,
}

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

/// The text is not the name of a [`LogFormat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log format must be auto, human or json")]
pub struct UnknownFormat;

/// The reason why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// `RUST_LOG` is not a valid filter.
    #[error("RUST_LOG={value:?} is not a valid log filter (example: {DEFAULT_FILTER})")]
    Filter {
        /// The value of `RUST_LOG`.
        value: String,
        /// The error of the parser; `None` if the value is not valid UTF-8.
        source: Option<ParseError>,
    },
    /// A log subscriber is already installed in this process.
    #[error("logging has already been started in this process")]
    AlreadyStarted(#[source] TryInitError),
}

/// Starts logging to stderr, filtered by `RUST_LOG` or by default [`DEFAULT_FILTER`]. When stderr is not a terminal,
/// panics are logged as JSON lines. Call it once, at the start of `main`.
///
/// # Errors
/// When `RUST_LOG` is not a valid filter, or logging has already been started.
pub fn init(format: LogFormat) -> Result<(), InitError> {
    let value = match env::var(EnvFilter::DEFAULT_ENV) {
        Ok(value) => value,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(value)) => {
            let value = value.to_string_lossy().into_owned();
            return Err(InitError::Filter { value, source: None });
        }
    };
    let filter = filter(&value)?;
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => lines.with(json(io::stderr)).try_init(),
        LogFormat::Auto if !terminal => lines.with(json(io::stderr)).try_init(),
        LogFormat::Auto | LogFormat::Human => {
            let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            lines.with(human(colour)).try_init()
        }
    }
    .map_err(InitError::AlreadyStarted)?;
    console::log_panics();
    Ok(())
}

fn filter(value: &str) -> Result<EnvFilter, InitError> {
    let value = if value.trim().is_empty() { DEFAULT_FILTER } else { value };
    EnvFilter::builder()
        .parse(format!("{SILENT},{value}"))
        .map_err(|source| InitError::Filter { value: value.to_owned(), source: Some(source) })
}

fn human<S>(colour: bool) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    // Do not report a failure to write the log: the report would go to the same stream and panic.
    tracing_subscriber::fmt::layer().compact().with_ansi(colour).with_writer(io::stderr).log_internal_errors(false)
}

pub(crate) fn json<S, W>(writer: W) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_writer(writer)
        .log_internal_errors(false)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_carries_the_fields_of_event_and_spans() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::registry().with(json(move || writer.clone()));
        tracing::subscriber::with_default(log, || {
            tracing::info_span!("request", request_id = "r1", trace_id = "t1").in_scope(|| {
                tracing::info_span!("batch", number = 7).in_scope(|| tracing::warn!(rows = 3, "committed"));
            });
        });
        let line = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        for expected in [
            r#"{"timestamp":""#,
            r#""level":"WARN""#,
            r#""message":"committed""#,
            r#""rows":3"#,
            r#""target":"telemetry::log::tests""#,
            r#""spans":[{"request_id":"r1","trace_id":"t1","name":"request"},{"number":7,"name":"batch"}]"#,
        ] {
            assert!(line.contains(expected), "{expected} in {line}");
        }
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_bad_filter_is_refused_in_one_clear_line() {
        let error = filter("info,sqlx=loud").unwrap_err();
        let text = crate::error_chain(&error);
        assert!(text.starts_with("RUST_LOG=\"info,sqlx=loud\" is not a valid log filter (example"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn invalid_http_of_clients_is_logged_only_on_request() {
        let directives = |value| filter(value).unwrap().to_string();
        for value in ["", "info", "trace", "actix_http=trace"] {
            assert!(directives(value).contains("actix_http::h1::dispatcher=off"), "{value}");
        }
        assert_eq!(directives("info,actix_http::h1::dispatcher=debug").matches("dispatcher").count(), 1);
    }

    #[test]
    fn no_filter_means_the_default() {
        for value in ["", " "] {
            assert_eq!(filter(value).unwrap().to_string(), filter(DEFAULT_FILTER).unwrap().to_string());
        }
    }

    #[test]
    fn the_broker_client_is_silent_unless_named() {
        let has = |value: &str, directive: &str| {
            let filter = filter(value).unwrap().to_string();
            assert!(filter.split(',').any(|known| known == directive), "{value}: {filter}");
        };
        has("", "lapin=off");
        has("debug", "lapin=off");
        has("info,lapin=warn", "lapin=warn");
    }

    #[test]
    fn a_format_is_parsed_from_its_own_text() {
        for format in [LogFormat::Auto, LogFormat::Human, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("JSON".parse::<LogFormat>(), Err(UnknownFormat));
    }
}
