//! What the environment says about traces, by the names of the OpenTelemetry specification.
//!
//! The exporter and its queue read what they understand themselves. Here is read what they do not, and what they would
//! ignore in silence is refused or logged: a wrong address or protocol would lose every span.

use std::env;

use url::Url;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSIONS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
/// Numbers that the exporter and its queue read.
const NUMBERS: [&str; 5] = [
    QUEUE,
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
];

/// Where receivers take traces, unless one says otherwise.
const PATH: &str = "/v1/traces";
const ADDRESS: &str = "it names where OTLP is taken over HTTP, for example http://localhost:4318";
const WHOLE_ADDRESS: &str = "it names where OTLP is taken over HTTP, for example http://localhost:4318/v1/traces";
const NO_TLS: &str = "https is not supported; name a collector in this network, for example http://localhost:4318, \
                      which may send on over TLS";
const NO_OTHER_PROTOCOL: &str =
    "only http/protobuf is supported; leave it out, and name the port that takes HTTP, usually 4318";

/// Spans that may wait, unless told otherwise: three times what the ledger makes of one batch of 1,000 purchases. Some
/// 20 MB when the receiver is away.
const QUEUE_MAX: usize = 16_384;
/// Spans that may be asked to wait, and milliseconds: beyond it a queue would not fit into memory.
const NUMBER_MAX: u64 = 1_000_000;
const NO_SUCH_NUMBER: &str = "a whole number from 1 to 1000000 is";

/// What the environment says about traces.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// None: traces are off.
    pub(super) sending: Option<Sending>,
}

/// How traces are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sending {
    pub sampling: Sampling,
    pub queue_max: usize,
}

/// Which traces that come in are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampling {
    /// The share of those that the caller does not decide about, 0 to 1.
    pub ratio: f64,
    /// Whether the caller's decision counts.
    pub follows_caller: bool,
}

/// Traces that cannot be sent as they are asked for.
#[derive(Debug, thiserror::Error)]
pub enum BadTraceSetting {
    /// A setting that cannot be used. What it said is not repeated: it may hold a password.
    #[error("{name} cannot be used: {expected}")]
    Wrong {
        /// Which.
        name: &'static str,
        /// What to set.
        expected: &'static str,
    },
    /// The exporter refuses. What it says is not repeated: it may hold a password.
    #[error("traces cannot be sent: an address or a header in OTEL_EXPORTER_OTLP_… cannot be used")]
    Exporter,
    /// They cannot be counted.
    #[error("traces cannot be counted")]
    Counts(#[from] prometheus::Error),
}

impl TraceSettings {
    /// What this process's environment says. What is ignored of it is logged, and where traces are sent.
    ///
    /// # Errors
    /// When they are asked for and cannot be sent like that.
    pub fn of_environment() -> Result<Self, BadTraceSetting> {
        let (settings, said) = read(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))?;
        said.ignored.iter().for_each(|why| tracing::warn!("{why}"));
        if let (Some(Sending { sampling, .. }), Some(to)) = (settings.sending, said.endpoint) {
            let (ratio, follows_caller) = (sampling.ratio, sampling.follows_caller);
            tracing::info!(to, ratio, follows_caller, "traces are sent");
        }
        Ok(settings)
    }
}

/// What to log.
#[derive(Debug, Default)]
struct Said {
    ignored: Vec<String>,
    endpoint: Option<String>,
}

fn read(get: impl Fn(&str) -> Option<String>) -> Result<(TraceSettings, Said), BadTraceSetting> {
    let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let mut said = Said::default();
    let off = TraceSettings { sending: None };
    match get("OTEL_SDK_DISABLED").map(|value| value.to_ascii_lowercase()).as_deref() {
        Some("true") => return Ok((off, said)),
        Some("false") | None => {}
        Some(_) => said.ignored.push("OTEL_SDK_DISABLED is neither true nor false: ignored".to_owned()),
    }
    let mut asked = false;
    for exporter in get("OTEL_TRACES_EXPORTER").iter().flat_map(|list| list.split(',')) {
        match exporter.trim() {
            "none" => return Ok((off, said)),
            "otlp" => asked = true,
            other => said.ignored.push(format!("OTEL_TRACES_EXPORTER knows otlp and none: {other:?} is ignored")),
        }
    }
    let endpoint = [TRACES_ENDPOINT, ENDPOINT].into_iter().find_map(|name| Some((name, get(name)?)));
    if endpoint.is_none() && !asked {
        return Ok((off, said));
    }
    said.endpoint = Some(match endpoint {
        Some((name, text)) => shown(name, &text)?,
        None => format!("http://localhost:4318{PATH}"),
    });
    check_protocol(&get)?;
    if COMPRESSIONS.iter().filter_map(|name| get(name)).any(|value| value != "none") {
        said.ignored.push("traces are sent uncompressed: OTEL_EXPORTER_OTLP_COMPRESSION is ignored".to_owned());
    }
    for name in NUMBERS {
        match get(name).map(|text| text.parse::<u64>()) {
            Some(Err(_)) => said.ignored.push(format!("{name} is no number: the default is used")),
            Some(Ok(number)) if !(1..=NUMBER_MAX).contains(&number) => {
                return Err(BadTraceSetting::Wrong { name, expected: NO_SUCH_NUMBER });
            }
            Some(Ok(_)) | None => {}
        }
    }
    let queue_max = get(QUEUE).and_then(|text| text.parse().ok()).unwrap_or(QUEUE_MAX);
    let sampling = sampling(&get, &mut said.ignored);
    Ok((TraceSettings { sending: Some(Sending { sampling, queue_max }) }, said))
}

/// Checks an address; what may be shown of it.
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

/// The first that is set counts.
fn check_protocol(get: &impl Fn(&str) -> Option<String>) -> Result<(), BadTraceSetting> {
    let asked = PROTOCOLS.into_iter().find_map(|name| Some((name, get(name)?)));
    match asked {
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
                ignored.push("OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1: 1 is used".to_owned());
                1.0
            })
        }),
        _ => {
            ignored.push(format!(
                "OTEL_TRACES_SAMPLER={sampler:?} is none of always_on, always_off, traceidratio, each also with \
                 parentbased_ before it: parentbased_always_on is used"
            ));
            return all;
        }
    };
    Sampling { ratio, follows_caller }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<(TraceSettings, Said), BadTraceSetting> {
        read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn off(variables: &[(&str, &str)]) {
        assert_eq!(found(variables).unwrap().0.sending, None, "{variables:?}");
    }

    fn sent_to(variables: &[(&str, &str)], expected: &str) {
        let (settings, said) = found(variables).unwrap();
        assert!(settings.sending.is_some() && said.ignored.is_empty(), "{variables:?}: {said:?}");
        assert_eq!(said.endpoint.as_deref(), Some(expected));
    }

    fn refused(variables: &[(&str, &str)], expected: &str) {
        let text = found(variables).unwrap_err().to_string();
        assert!(text.contains(expected) && !text.contains("hidden"), "{variables:?}: {text}");
    }

    const HERE: (&str, &str) = (ENDPOINT, "http://localhost:4318");

    #[test]
    fn traces_are_on_when_somebody_says_where_to() {
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
    fn what_would_lose_every_span_is_refused_and_not_repeated() {
        refused(&[(ENDPOINT, "hidden:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: it names where");
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
    fn what_is_ignored_is_named() {
        let ignored = |name: &str, value: &str| {
            let (settings, said) = found(&[HERE, (name, value)]).unwrap();
            let [why] = said.ignored.as_slice() else { panic!("{name}={value}: {said:?}") };
            assert!(why.contains(name), "{why}");
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
    fn a_sampler_is_a_ratio_and_whom_it_follows() {
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
