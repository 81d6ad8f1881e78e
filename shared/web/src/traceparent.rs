use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::hash::BuildHasher;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

/// Where a request belongs in a trace: `00-{32 hex}-{16 hex}-{2 hex}` (W3C Trace Context, level 1).
///
/// As a handler's argument it is the caller's header `traceparent`, or, without a valid one, a new
/// random trace, sampled. It stays the same for the whole request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traceparent(
    /// Invariant: as above, lower case; neither id is all zeros.
    String,
);

/// `00-` + 32 + `-` + 16 + `-` + 2.
const LENGTH: usize = 55;

impl Traceparent {
    /// The whole header value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 32 hexadecimal digits, the same for everything that came of one request.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// A new trace, sampled. Its ids are unlikely to repeat, which is all that is asked of them.
    pub fn random() -> Self {
        let random = || RandomState::new().hash_one(0_u8).max(1);
        Self(format!("00-{:016x}{:016x}-{:016x}-01", random(), random(), random()))
    }

    /// Later versions are read as far as version 00 goes, as the standard asks.
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

    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all("traceparent");
        let (first, second) = (values.next(), values.next());
        first
            .filter(|_| second.is_none())
            .and_then(|value| Self::parse(value.to_str().ok()?))
            .unwrap_or_else(Self::random)
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
            let new = Self::of(request.headers());
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
        let found = Traceparent::of(request.to_http_request().headers());
        match expected {
            Some(expected) => assert_eq!(found.as_str(), expected, "{header}"),
            None => assert!(!header.contains(found.trace_id()), "{header}"),
        }
        assert_eq!(Traceparent::parse(found.as_str()), Some(found));
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
    fn two_headers_are_none() {
        let request = TestRequest::default()
            .append_header(("traceparent", format!("00-{TRACE}-{PARENT}-01")))
            .append_header(("traceparent", format!("00-{TRACE}-{PARENT}-01")));
        assert_ne!(Traceparent::of(request.to_http_request().headers()).trace_id(), TRACE);
    }

    #[test]
    fn a_request_keeps_the_trace_it_was_given() {
        let request = TestRequest::default().to_http_request();
        let extract = || Traceparent::from_request(&request, &mut Payload::None).into_inner().unwrap();
        assert_eq!(extract(), extract());
        assert_ne!(Traceparent::random(), Traceparent::random());
    }
}
