use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// The longest wait for an outcome. After it, the client sends the request again.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// The preferences of a request, from the header `Prefer` (RFC 7240). Only `wait` is supported; the rest is ignored, as
/// the RFC requires. A handler takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefer {
    /// How long the response may wait for an outcome: `wait=N` in seconds, at most [`MAX_WAIT`].
    pub wait: Option<Duration>,
}

impl Prefer {
    /// The response with the applied wait in the header `Preference-Applied`. Unchanged if the request has no `wait`.
    pub fn applied(self, mut response: HttpResponse) -> HttpResponse {
        if let Some(wait) = self.wait
            && let Ok(value) = HeaderValue::try_from(format!("wait={}", wait.as_secs()))
        {
            let name = HeaderName::from_static("preference-applied");
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// The response to a request that may have its outcome already: `201` with it, else `202`. `location` is the path of
    /// what the request created.
    pub fn outcome(self, is_final: bool, location: Option<String>, body: &impl Serialize) -> HttpResponse {
        let mut response = if is_final { HttpResponse::Created() } else { HttpResponse::Accepted() };
        if let Some(location) = location {
            response.insert_header((LOCATION, location));
        }
        self.applied(response.json(body))
    }

    fn of(headers: &HeaderMap) -> Self {
        let texts = headers.get_all("Prefer").filter_map(|value| value.to_str().ok());
        let mut preferences = texts.flat_map(|text| split(text, ','));
        // If a preference is given twice, the first counts (RFC 7240 §2).
        let wait = preferences.find_map(|preference| {
            let (name, value) = split(preference, ';').next()?.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| seconds(value.trim()))
        });
        Self { wait: wait.flatten() }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that do not fit in u64 exceed the maximum in any case.
    is_number.then(|| digits.parse().map_or(MAX_WAIT, Duration::from_secs).min(MAX_WAIT))
}

/// Splits at every separator outside of quoted strings.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character: char| {
        let is_separator = !quoted && character == separator;
        quoted ^= character == '"' && !escaped;
        escaped = quoted && character == '\\' && !escaped;
        is_separator
    })
}

impl FromRequest for Prefer {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.headers())))
    }
}

impl IntoParams for Prefer {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = format!(
            "`wait=N` delays the response until the outcome is known, for at most N seconds and never longer than {} s \
             (RFC 7240), unless the operation says otherwise. Other preferences are ignored.",
            MAX_WAIT.as_secs()
        );
        let text = ObjectBuilder::new().schema_type(Type::String).examples(["wait=5"]);
        let header = ParameterBuilder::new().name("Prefer").parameter_in(ParameterIn::Header).required(Required::False);
        vec![header.description(Some(description)).schema(Some(text)).build()]
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn check(headers: &[&str], expected_s: Option<u64>) {
        let mut request = TestRequest::default();
        for &header in headers {
            request = request.append_header(("Prefer", header));
        }
        let prefer = Prefer::of(request.to_http_request().headers());
        assert_eq!(prefer.wait, expected_s.map(Duration::from_secs), "{headers:?}");
        let response = prefer.applied(HttpResponse::Ok().finish());
        let applied = response.headers().get("Preference-Applied");
        let expected = expected_s.map(|seconds| format!("wait={seconds}"));
        assert_eq!(applied.map(|value| value.to_str().unwrap()), expected.as_deref());
    }

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        check(&[], None);
        check(&["respond-async"], None);
        check(&["wait=5"], Some(5));
        check(&["wait=0"], Some(0));
        check(&["respond-async, WAIT = \"7\" ; strict, foo=bar"], Some(7));
        check(&["respond-async", ",, wait=5"], Some(5));
        check(&[r#"foo="a, wait=9; \", wait=8", wait=5"#], Some(5));
        check(&[r#"foo; bar=", wait=9""#], None);
    }

    #[test]
    fn a_wait_is_never_longer_than_the_maximum() {
        check(&["wait=31"], Some(30));
        check(&["wait=99999999999999999999999"], Some(30));
    }

    #[test]
    fn a_wait_that_is_not_a_number_is_ignored() {
        for text in ["wait", "wait=", "wait=x", "wait=-1", "wait=+1", "wait=1.5", "wait=\"", "await=5"] {
            check(&[text], None);
        }
    }

    #[test]
    fn of_two_waits_the_first_counts() {
        check(&["wait=3, wait=4"], Some(3));
        check(&["wait=x", "wait=4"], None);
    }
}
