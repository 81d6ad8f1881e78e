use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::hash::BuildHasher;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use telemetry::SpanContext;

/// The trace context of a request: `00-{32 hex}-{16 hex}-{2 hex}` (W3C Trace Context, level 1).
///
/// As a handler's argument it names the span of the request, which is a child of the span in the caller's header
/// `traceparent`. If no span is recorded, it is the header itself, or a new random trace without a valid header. It
/// stays the same for the whole request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traceparent(
    /// Invariant: the format above in lower case; neither id is all zeros.
    String,
);

/// The length in bytes: `00-` + 32 + `-` + 16 + `-` + 2.
const LENGTH: usize = 55;
/// The offset of the span id.
const SPAN: usize = 36;
/// The offset of the flags.
const FLAGS: usize = 53;
/// The flag `sampled`: the trace is recorded.
const SAMPLED: u8 = 1;

fn random() -> u64 {
    RandomState::new().hash_one(0_u8).max(1)
}

impl Traceparent {
    /// The whole header value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace id: 32 hexadecimal digits, the same for everything that follows from one request.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// A new trace that is not recorded. Its ids are random and not cryptographically secure.
    pub fn random() -> Self {
        Self(format!("00-{:016x}{:016x}-{:016x}-00", random(), random(), random()))
    }

    /// Whether the trace is recorded.
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags() & SAMPLED != 0
    }

    /// The same trace context with the flag `sampled` set or cleared.
    pub(crate) fn sampled(&self, is_sampled: bool) -> Self {
        let flags = if is_sampled { self.flags() | SAMPLED } else { self.flags() & !SAMPLED };
        Self(format!("{}{flags:02x}", &self.0[..FLAGS]))
    }

    /// A new span of the same trace.
    pub(crate) fn child(&self) -> Self {
        Self(format!("{}{:016x}{}", &self.0[..SPAN], random(), &self.0[FLAGS - 1..]))
    }

    /// The trace context in the type that spans need.
    pub(crate) fn context(&self, is_remote: bool) -> SpanContext {
        // The invariant makes every text valid.
        telemetry::context(&self.0, is_remote).unwrap_or(SpanContext::NONE)
    }

    fn flags(&self) -> u8 {
        u8::from_str_radix(&self.0[FLAGS..], 16).unwrap_or_default()
    }

    /// Parses a header value. It reads later versions as version 00, as the standard requires.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let first = text.get(..LENGTH)?;
        let mut fields = first.split('-');
        let mut hex = |digits: usize| {
            let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            fields.next().filter(|field| field.len() == digits && field.bytes().all(is_hex))
        };
        let (version, trace, parent, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
        let ends = match version {
            "ff" => false,
            "00" => text.len() == LENGTH,
            _ => text.len() == LENGTH || text.as_bytes().get(LENGTH) == Some(&b'-'),
        };
        let valid = ends && !is_zero(trace) && !is_zero(parent);
        valid.then(|| Self(format!("00-{trace}-{parent}-{flags}")))
    }

    /// The trace context of the caller. `None` if the header is missing, invalid or given twice.
    pub(crate) fn of_caller(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("traceparent");
        let (first, second) = (values.next(), values.next());
        first.filter(|_| second.is_none()).and_then(|value| Self::parse(value.to_str().ok()?))
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromRequest for Traceparent {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = request.extensions().get::<Self>().cloned();
        ready(Ok(known.unwrap_or_else(|| {
            let new = Self::of_caller(request.headers()).unwrap_or_else(Self::random);
            request.extensions_mut().insert(new.clone());
            new
        })))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn check(header: &str, expected: Option<&str>) {
        let request = TestRequest::default().insert_header(("traceparent", header));
        let found = Traceparent::of_caller(request.to_http_request().headers());
        assert_eq!(found.as_ref().map(Traceparent::as_str), expected, "{header}");
    }

    #[test]
    fn a_valid_header_is_kept() {
        let valid = format!("00-{TRACE}-{PARENT}-00");
        check(&valid, Some(&valid));
        assert_eq!(Traceparent::parse(&valid).unwrap().trace_id(), TRACE);
    }

    #[test]
    fn a_later_version_is_read_as_this_one() {
        let read = format!("00-{TRACE}-{PARENT}-01");
        check(&format!("cc-{TRACE}-{PARENT}-01"), Some(&read));
        check(&format!("cc-{TRACE}-{PARENT}-01-more"), Some(&read));
        check(&format!("cc-{TRACE}-{PARENT}-01more"), None);
    }

    #[test]
    fn an_invalid_header_is_ignored() {
        check("", None);
        check(&format!("ff-{TRACE}-{PARENT}-01"), None);
        check(&format!("00-{TRACE}-{PARENT}-01-more"), None);
        check(&format!("00-{TRACE}-{PARENT}-1"), None);
        check(&format!("00-{TRACE}-{PARENT}0-1"), None);
        check(&format!("00-{}-{PARENT}-01", TRACE.to_uppercase()), None);
        check(&format!("00-{}-{PARENT}-01", "0".repeat(32)), None);
        check(&format!("00-{TRACE}-{}-01", "0".repeat(16)), None);
        check(&format!("00-{}ä-{PARENT}-01", &TRACE[2..]), None);
    }

    #[test]
    fn two_headers_are_ignored() {
        let request = TestRequest::default()
            .append_header(("traceparent", format!("00-{TRACE}-{PARENT}-01")))
            .append_header(("traceparent", format!("00-{TRACE}-{PARENT}-01")));
        assert_eq!(Traceparent::of_caller(request.to_http_request().headers()), None);
    }

    #[test]
    fn a_request_keeps_the_trace_it_was_given() {
        let request = TestRequest::default().to_http_request();
        let extract = || Traceparent::from_request(&request, &mut Payload::None).into_inner().unwrap();
        assert_eq!(extract(), extract());
        assert_ne!(Traceparent::random(), Traceparent::random());
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace_and_flags_are_kept() {
        let caller = Traceparent::parse(&format!("00-{TRACE}-{PARENT}-03")).unwrap();
        let child = caller.child();
        assert_eq!((child.trace_id(), child.as_str().len()), (TRACE, LENGTH));
        assert!(child != caller && child.as_str().ends_with("-03"));
        assert_eq!(child.sampled(false).as_str()[FLAGS..], *"02");
        let random = Traceparent::random();
        assert!(!random.is_sampled() && random.sampled(true).is_sampled());
        for made in [&child, &random, &random.sampled(true), &child.sampled(false)] {
            assert_eq!(Traceparent::parse(made.as_str()).as_ref(), Some(made));
            assert!(made.context(false).is_valid());
        }
    }
}
