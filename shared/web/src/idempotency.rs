use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::{Problem, ProblemType};

const HEADER: &str = "Idempotency-Key";
const MAX_BYTES: usize = 64;

/// The idempotency key of a request, from the header `Idempotency-Key`. Requests with the same key are the same
/// request. A key has 1–64 characters of ASCII 0x21–0x7E and is case-sensitive.
///
/// As a handler's argument it is required. Where it is optional, call [`IdempotencyKey::optional`]: an argument of the
/// type `Option<IdempotencyKey>` would treat an invalid key as a missing one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(
    /// Invariant: 1–64 characters of ASCII 0x21–0x7E.
    String,
);

impl IdempotencyKey {
    /// The key as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of a request, if it has one.
    ///
    /// # Errors
    /// 400 when the header is not a valid key, or occurs more than once.
    pub fn optional(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        Self::of(request.headers())
    }

    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER);
        let Some(first) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(refused("is given more than once"));
        }
        let bytes = first.as_bytes();
        if bytes.is_empty() {
            return Err(refused("is empty"));
        }
        if bytes.len() > MAX_BYTES {
            return Err(refused("is longer than 64 characters"));
        }
        match first.to_str() {
            Ok(key) if bytes.iter().all(u8::is_ascii_graphic) => Ok(Some(Self(key.to_owned()))),
            _ => Err(refused("has a character that is not visible ASCII (0x21-0x7E)")),
        }
    }
}

const OTHER_CONTENT: ProblemType =
    ProblemType { code: "idempotency-conflict", title: "The id belongs to another request" };

/// 409: a request with the same key but other content is recorded.
pub fn other_content() -> Problem {
    let detail = "another request has the same id: send a new request with a new id";
    Problem::conflict(detail).of(&OTHER_CONTENT)
}

fn refused(why: &str) -> Problem {
    Problem::bad_request(format!("the header {HEADER} {why}")).of(&ProblemType::IDEMPOTENCY_KEY)
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = Self::of(request.headers());
        ready(key.and_then(|key| key.ok_or_else(|| refused("is required"))))
    }
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter(Required::True)]
    }
}

/// The header `Idempotency-Key` in the OpenAPI document, for operations that use [`IdempotencyKey::optional`].
pub struct OptionalIdempotencyKey;

impl IntoParams for OptionalIdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter(Required::False)]
    }
}

fn parameter(required: Required) -> Parameter {
    let key = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^[!-~]{{1,{MAX_BYTES}}}$")));
    let header = ParameterBuilder::new().name(HEADER).parameter_in(ParameterIn::Header).required(required);
    let text = "Identifies this request. Sent again with the same key and content, it is not executed again.";
    header.description(Some(text)).schema(Some(key.examples(["my-first"]))).build()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    use super::*;

    fn check(headers: &[&[u8]], expected: Result<&str, &str>) {
        let mut request = TestRequest::default();
        for header in headers {
            let value = HeaderValue::from_bytes(header).unwrap();
            request = request.append_header((HEADER, value));
        }
        let request = request.to_http_request();
        let key = IdempotencyKey::from_request(&request, &mut Payload::None).into_inner();
        let key = key.as_ref().map(IdempotencyKey::as_str);
        let expected = expected.map_err(refused);
        assert_eq!(key, expected.as_ref().copied());
    }

    #[test]
    fn a_key_is_one_to_64_visible_ascii_characters() {
        check(&[b"a"], Ok("a"));
        check(&[b"!~/%\"A"], Ok("!~/%\"A"));
        check(&[&[b'k'; 64]], Ok(&"k".repeat(64)));
    }

    #[test]
    fn an_invalid_key_is_refused_with_a_reason() {
        check(&[], Err("is required"));
        check(&[b""], Err("is empty"));
        check(&[&[b'k'; 65]], Err("is longer than 64 characters"));
        for strange in [b"a b".as_slice(), b"a\tb", "ä".as_bytes(), b"\xff"] {
            check(&[strange], Err("has a character that is not visible ASCII (0x21-0x7E)"));
        }
        check(&[b"a", b"a"], Err("is given more than once"));
    }

    #[test]
    fn an_optional_key_may_be_absent_but_not_invalid() {
        let with = |key| TestRequest::default().insert_header((HEADER, key)).to_http_request();
        let without = TestRequest::default().to_http_request();
        assert_eq!(IdempotencyKey::optional(&without), Ok(None));
        assert!(IdempotencyKey::optional(&with("a")).unwrap().is_some());
        assert!(IdempotencyKey::optional(&with("a b")).is_err());
    }
}
