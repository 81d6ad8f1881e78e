//! Trace settings from environment variables, with the names of the OpenTelemetry specification.
//!
//! The exporter and its queue read the variables that they support. This module reads the others. It also refuses or
//! logs values that the exporter would silently ignore: a wrong address or protocol would lose every span.

use std::env;

use url::Url;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSIONS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
/// The numeric settings that the exporter and its queue read.
const NUMBERS: [&str; 5] = [
    QUEUE,
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
];

/// The default path for traces on an OTLP/HTTP receiver.
const PATH: &str = "/v1/traces";
const ADDRESS: &str = "set the address of an OTLP/HTTP receiver, for example http://localhost:4318";
const WHOLE_ADDRESS: &str = "set the address of an OTLP/HTTP receiver, for example http://localhost:4318/v1/traces";
const NO_TLS: &str = "https is not supported; set the address of a collector in this network, for example \
                      http://localhost:4318, which can forward over TLS";
const NO_OTHER_PROTOCOL: &str =
    "only http/protobuf is supported; unset it, and use the HTTP port of the receiver, usually 4318";

/// The default maximum of queued spans: three times the spans that the ledger records for one batch of 1,000 purchases.
/// About 20 MB when the receiver is unavailable.
const QUEUE_MAX: usize = 16_384;
/// The upper limit of all numeric settings, in spans or milliseconds. A longer queue would not fit into memory.
const NUMBER_MAX: u64 = 1_000_000;
const NO_SUCH_NUMBER: &str = "set a whole number from 1 to 1000000";

/// The trace settings of this process.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// `None`: traces are off.
    pub(super) sending: Option<Sending>,
}

/// The settings for sending traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sending {
    pub sampling: Sampling,
    pub queue_max: usize,
}

/// The rule that decides which incoming traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampling {
    /// The share of traces to record where the caller does not decide, 0 to 1.
    pub ratio: f64,
    /// Whether the caller's sampling decision applies (`parentbased_` samplers).
    pub follows_caller: bool,
}

/// The reason why traces cannot be sent with the given settings.
#[derive(Debug, thiserror::Error)]
pub enum BadTraceSetting {
    /// A setting has an invalid value. The message does not contain the value, which may include a password.
    #[error("{name} cannot be used: {expected}")]
    Wrong {
        /// The name of the variable.
        name: &'static str,
        /// What to set instead.
        expected: &'static str,
    },
    /// The exporter refused its settings. The message does not contain its error, which may include a password.
    #[error("traces cannot be sent: check the address and the headers in OTEL_EXPORTER_OTLP_…")]
    Exporter,
    /// The metrics could not be created.
    #[error("the metrics for traces cannot be created")]
    Counts(#[from] prometheus::Error),
}

impl TraceSettings {
    /// Reads the settings from the environment. Logs the settings that are ignored and the address of the receiver.
    ///
    /// # Errors
    /// When traces are requested and cannot be sent with these settings.
    pub fn of_environment() -> Result<Self, BadTraceSetting> {
        let (settings, notices) = read(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))?;
        notices.ignored.iter().for_each(|notice| tracing::warn!("{notice}"));
        if let (Some(Sending { sampling, .. }), Some(to)) = (settings.sending, notices.endpoint) {
            let (ratio, follows_caller) = (sampling.ratio, sampling.follows_caller);
            tracing::info!(to, ratio, follows_caller, "sending traces");
        }
        Ok(settings)
    }
}

/// What to log about the settings.
#[derive(Debug, Default)]
struct Notices {
    /// One message for each setting that is ignored.
    ignored: Vec<String>,
    /// The address of the receiver, without credentials and query.
    endpoint: Option<String>,
}

fn read(get: impl Fn(&str) -> Option<String>) -> Result<(TraceSettings, Notices), BadTraceSetting> {
    let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let mut notices = Notices::default();
    let off = TraceSettings { sending: None };
    match get("OTEL_SDK_DISABLED").map(|value| value.to_ascii_lowercase()).as_deref() {
        Some("true") => return Ok((off, notices)),
        Some("false") | None => {}
        Some(_) => notices.ignored.push("OTEL_SDK_DISABLED is ignored: set it to true or false".to_owned()),
    }
    let mut is_requested = false;
    for exporter in get("OTEL_TRACES_EXPORTER").iter().flat_map(|list| list.split(',')) {
        match exporter.trim() {
            "none" => return Ok((off, notices)),
            "otlp" => is_requested = true,
            other => notices.ignored.push(format!("OTEL_TRACES_EXPORTER supports otlp and none; {other:?} is ignored")),
        }
    }
    let endpoint = [TRACES_ENDPOINT, ENDPOINT].into_iter().find_map(|name| Some((name, get(name)?)));
    if endpoint.is_none() && !is_requested {
        return Ok((off, notices));
    }
    notices.endpoint = Some(match endpoint {
        Some((name, text)) => shown(name, &text)?,
        None => format!("http://localhost:4318{PATH}"),
    });
    check_protocol(&get)?;
    if COMPRESSIONS.iter().filter_map(|name| get(name)).any(|value| value != "none") {
        notices.ignored.push("OTEL_EXPORTER_OTLP_COMPRESSION is ignored: traces are sent uncompressed".to_owned());
    }
    for name in NUMBERS {
        match get(name).map(|text| text.parse::<u64>()) {
            Some(Err(_)) => notices.ignored.push(format!("{name} is not a number; the default is used")),
            Some(Ok(number)) if !(1..=NUMBER_MAX).contains(&number) => {
                return Err(BadTraceSetting::Wrong { name, expected: NO_SUCH_NUMBER });
            }
            Some(Ok(_)) | None => {}
        }
    }
    let queue_max = get(QUEUE).and_then(|text| text.parse().ok()).unwrap_or(QUEUE_MAX);
    let sampling = sampling(&get, &mut notices.ignored);
    Ok((TraceSettings { sending: Some(Sending { sampling, queue_max }) }, notices))
}

/// Validates a receiver address and returns it for the log, without credentials and query.
fn shown(name: &'static str, text: &str) -> Result<String, BadTraceSetting> {
    let is_whole = name == TRACES_ENDPOINT;
    let expected = if is_whole { WHOLE_ADDRESS } else { ADDRESS };
    let wrong = |expected| BadTraceSetting::Wrong { name, expected };
    let url = Url::parse(text).ok().filter(Url::has_host).ok_or_else(|| wrong(expected))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err(wrong(NO_TLS)),
        _ => return Err(wrong(expected)),
    }
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    let path = if is_whole { url.path().to_owned() } else { url.path().trim_end_matches('/').to_owned() + PATH };
    Ok(format!("http://{host}:{port}{path}"))
}

/// Checks the protocol. The first variable that is set applies.
fn check_protocol(get: &impl Fn(&str) -> Option<String>) -> Result<(), BadTraceSetting> {
    let protocol = PROTOCOLS.into_iter().find_map(|name| Some((name, get(name)?)));
    match protocol {
        Some((name, protocol)) if protocol != "http/protobuf" => {
            Err(BadTraceSetting::Wrong { name, expected: NO_OTHER_PROTOCOL })
        }
        Some(_) | None => Ok(()),
    }
}

fn sampling(get: &impl Fn(&str) -> Option<String>, ignored: &mut Vec<String>) -> Sampling {
    let all = Sampling { ratio: 1.0, follows_caller: true };
    let (sampler, share) = (get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG"));
    let Some(sampler) = sampler else {
        if share.is_some() {
            ignored
                .push("OTEL_TRACES_SAMPLER_ARG is ignored without OTEL_TRACES_SAMPLER=parentbased_traceidratio".into());
        }
        return all;
    };
    let (kind, follows_caller) = match sampler.strip_prefix("parentbased_") {
        Some(kind) => (kind, true),
        None => (sampler.as_str(), false),
    };
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => share.as_deref().map_or(1.0, |share| {
            share.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
                ignored.push("OTEL_TRACES_SAMPLER_ARG is not a number from 0 to 1; 1 is used".to_owned());
                1.0
            })
        }),
        _ => {
            ignored.push(format!(
                "OTEL_TRACES_SAMPLER={sampler:?} is not one of always_on, always_off, traceidratio, each optionally \
                 prefixed with parentbased_; parentbased_always_on is used"
            ));
            return all;
        }
    };
    Sampling { ratio, follows_caller }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<(TraceSettings, Notices), BadTraceSetting> {
        read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn off(variables: &[(&str, &str)]) {
        assert_eq!(found(variables).unwrap().0.sending, None, "{variables:?}");
    }

    fn sent_to(variables: &[(&str, &str)], expected: &str) {
        let (settings, notices) = found(variables).unwrap();
        assert!(settings.sending.is_some() && notices.ignored.is_empty(), "{variables:?}: {notices:?}");
        assert_eq!(notices.endpoint.as_deref(), Some(expected));
    }

    fn refused(variables: &[(&str, &str)], expected: &str) {
        let text = found(variables).unwrap_err().to_string();
        assert!(text.contains(expected) && !text.contains("hidden"), "{variables:?}: {text}");
    }

    const HERE: (&str, &str) = (ENDPOINT, "http://localhost:4318");

    #[test]
    fn traces_are_on_when_a_receiver_or_an_exporter_is_set() {
        off(&[]);
        off(&[(ENDPOINT, " ")]);
        off(&[HERE, ("OTEL_SDK_DISABLED", "TRUE")]);
        off(&[HERE, ("OTEL_TRACES_EXPORTER", "none")]);
        sent_to(&[HERE], "http://localhost:4318/v1/traces");
        sent_to(&[(ENDPOINT, "http://user:hidden@otel/a/?key=hidden")], "http://otel:80/a/v1/traces");
        sent_to(&[HERE, (TRACES_ENDPOINT, "http://otel:1/x")], "http://otel:1/x");
        sent_to(&[("OTEL_TRACES_EXPORTER", "otlp")], "http://localhost:4318/v1/traces");
    }

    #[test]
    fn a_setting_that_would_lose_every_span_is_refused_without_repeating_its_value() {
        refused(&[(ENDPOINT, "hidden:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: set the address");
        refused(&[(ENDPOINT, "hidden")], "for example http://localhost:4318");
        refused(
            &[(TRACES_ENDPOINT, "https://a:hidden@otel")],
            "TRACES_ENDPOINT cannot be used: https is not supported",
        );
        for number in ["0", "1000001"] {
            for name in NUMBERS {
                refused(&[HERE, (name, number)], name);
            }
        }
        refused(&[HERE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "OTLP_PROTOCOL cannot be used: only http/protobuf");
        let both = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")];
        sent_to(&[[HERE].as_slice(), &both].concat(), "http://localhost:4318/v1/traces");
    }

    #[test]
    fn an_ignored_setting_is_named() {
        let ignored = |name: &str, value: &str| {
            let (settings, notices) = found(&[HERE, (name, value)]).unwrap();
            let [notice] = notices.ignored.as_slice() else { panic!("{name}={value}: {notices:?}") };
            assert!(notice.contains(name), "{notice}");
            settings.sending.unwrap()
        };
        ignored("OTEL_SDK_DISABLED", "maybe");
        ignored("OTEL_TRACES_EXPORTER", "zipkin");
        ignored("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        ignored("OTEL_BSP_SCHEDULE_DELAY", "soon");
        assert_eq!(ignored("OTEL_BSP_MAX_QUEUE_SIZE", "many").queue_max, QUEUE_MAX);
        ignored("OTEL_TRACES_SAMPLER", "xray");
        ignored("OTEL_TRACES_SAMPLER_ARG", "0.5");
    }

    #[test]
    fn a_sampler_is_a_ratio_and_whether_the_caller_decides() {
        let check = |sampler, share, expected| {
            let variables = [HERE, ("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", share)];
            let Sampling { ratio, follows_caller } = found(&variables).unwrap().0.sending.unwrap().sampling;
            assert_eq!((ratio, follows_caller), expected, "{sampler} {share}");
        };
        check("parentbased_traceidratio", "0.01", (0.01, true));
        check("parentbased_traceidratio", "", (1.0, true));
        check("parentbased_traceidratio", "7", (1.0, true));
        check("parentbased_always_off", "", (0.0, true));
        check("traceidratio", "0.5", (0.5, false));
        check("always_on", "0.5", (1.0, false));
        assert_eq!(found(&[HERE, (QUEUE, "9")]).unwrap().0.sending.unwrap().queue_max, 9);
    }
}
