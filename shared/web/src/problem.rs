use std::error::Error;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// The media type of every problem (RFC 9457).
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The type of a problem, for problems that the status alone does not describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// Stable, so that clients may branch on it. The member `type` is `urn:unbundled:problem:` followed by this code.
    pub code: &'static str,
    /// A title for people, the same for every problem of this type.
    pub title: &'static str,
}

impl ProblemType {
    /// The body is not JSON; `line` and `column` say where.
    pub const MALFORMED: ProblemType = ProblemType { code: "malformed-json", title: "The JSON is malformed" };
    /// A query parameter is missing, unknown or given twice; `parameter` says which.
    pub const QUERY: ProblemType = ProblemType { code: "wrong-query", title: "The query has other parameters" };
    /// A field is missing, unknown, given twice or of another JSON type; `pointer` says which.
    pub const SHAPE: ProblemType = ProblemType { code: "wrong-shape", title: "The JSON has another structure" };
    /// The value is well-formed, but this field or parameter cannot have it; `pointer` or `parameter` says which.
    pub const VALUE: ProblemType = ProblemType { code: "refused-value", title: "A value is refused" };
    /// The header `Idempotency-Key` is missing or invalid.
    pub const IDEMPOTENCY_KEY: ProblemType =
        ProblemType { code: "idempotency-key", title: "The idempotency key is missing or invalid" };
    /// The request has more than `limit` bytes or lines.
    pub const TOO_LARGE: ProblemType = ProblemType { code: "too-large", title: "The request is too large" };
    /// The service is overloaded; nothing was done.
    pub const BUSY: ProblemType = ProblemType { code: "busy", title: "Too many requests" };
    /// The service does not meet a condition for handling requests yet.
    pub const NOT_READY: ProblemType = ProblemType { code: "not-ready", title: "The service is not ready" };
}

/// The part of a request that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A part of the JSON document: its JSON Pointer (RFC 6901), such as `/lines/3/quantity`.
    Pointer(Box<str>),
    /// A path or query parameter: its name.
    Parameter(Box<str>),
}

/// An error response: RFC 9457, `application/problem+json`.
///
/// As the error of a handler it becomes the response. It can also be part of another response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Problem {
    /// The type; `None` is `about:blank`, where the status says everything.
    pub kind: Option<&'static ProblemType>,
    /// The HTTP status.
    pub status: StatusCode,
    /// One sentence about this occurrence, for people.
    pub detail: String,
    /// The part of the request that is wrong, as the member `pointer` or `parameter`.
    pub place: Option<Place>,
    /// The line that is wrong, from 1.
    pub line: Option<usize>,
    /// The column in the line, in bytes, from 1.
    pub column: Option<usize>,
    /// The limit that the request exceeds, in the unit that `detail` names.
    pub limit: Option<usize>,
    /// The header `Retry-After`, in whole seconds.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem with any status and without a type.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: None,
            status,
            detail: detail.into(),
            place: None,
            line: None,
            column: None,
            limit: None,
            retry_after_s: None,
        }
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: the resource does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: the request contradicts recorded data.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413: the request has more than `limit` of `unit` (`"bytes"`, `"lines"`).
    pub fn too_large(limit: usize, unit: &str) -> Self {
        let detail = format!("a request may have at most {limit} {unit}");
        let problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail).of(&ProblemType::TOO_LARGE);
        Self { limit: Some(limit), ..problem }
    }

    /// 422: the request is well-formed, but a value is refused.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).of(&ProblemType::VALUE)
    }

    /// 429: the service is overloaded and nothing was done. The client should retry after about this long.
    pub fn busy(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "the service is overloaded: send the request again later")
            .of(&ProblemType::BUSY)
            .after(retry_after)
    }

    /// 503: something that the request needs is unavailable. The client should retry after about this long.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(retry_after)
    }

    /// 500: the client learns no details. This call logs the error and its sources in the current span.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = telemetry::error_chain(error), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
    }

    /// Sets the type.
    pub fn of(self, kind: &'static ProblemType) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Sets the field that is wrong, as a JSON Pointer (RFC 6901).
    pub fn at(self, pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        debug_assert!(pointer.starts_with('/'), "`{pointer}` is not a JSON Pointer");
        Self { place: Some(Place::Pointer(pointer.into())), ..self }
    }

    /// Sets the path or query parameter that is wrong.
    pub fn of_parameter(self, name: &str) -> Self {
        Self { place: Some(Place::Parameter(name.into())), ..self }
    }

    /// Sets the line that is wrong (from 1), for example of a batch.
    pub fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// Sets `Retry-After`, rounded up to whole seconds, at least 1.
    fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
        Self { retry_after_s: Some(seconds), ..self }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        match self.kind {
            Some(kind) => {
                let urn = format_args!("urn:unbundled:problem:{}", kind.code).to_string();
                members.serialize_entry("type", &urn)?;
                members.serialize_entry("title", kind.title)?;
            }
            None => {
                members.serialize_entry("type", "about:blank")?;
                let title = self.status.canonical_reason().unwrap_or("Unknown");
                members.serialize_entry("title", title)?;
            }
        }
        members.serialize_entry("status", &self.status.as_u16())?;
        members.serialize_entry("detail", &self.detail)?;
        match &self.place {
            Some(Place::Pointer(pointer)) => members.serialize_entry("pointer", pointer)?,
            Some(Place::Parameter(name)) => members.serialize_entry("parameter", name)?,
            None => {}
        }
        for (name, number) in [("line", self.line), ("column", self.column), ("limit", self.limit)] {
            if let Some(number) = number {
                members.serialize_entry(name, &number)?;
            }
        }
        members.end()
    }
}

/// The schema of the serialized form.
impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let member = |kind, description: &str| ObjectBuilder::new().schema_type(kind).description(Some(description));
        let number = |description| member(Type::Integer, description).minimum(Some(1));
        let uri = SchemaFormat::Custom("uri-reference".to_owned());
        ObjectBuilder::new()
            .description(Some("An error response: RFC 9457."))
            .property("type", member(Type::String, "The problem type; stable, for programs.").format(Some(uri)))
            .property("title", member(Type::String, "The problem type in words."))
            .property("status", member(Type::Integer, "The HTTP status.").minimum(Some(400)).maximum(Some(599)))
            .property("detail", member(Type::String, "One sentence about this occurrence, for people."))
            .property(
                "pointer",
                member(Type::String, "The part of the JSON document that is wrong: a JSON Pointer (RFC 6901).")
                    .pattern(Some("^(/([^~/]|~[01])*)+$"))
                    .examples(["/lines/3/quantity"]),
            )
            .property(
                "parameter",
                member(Type::String, "The path or query parameter that is wrong.").examples(["limit"]),
            )
            .property("line", number("The line that is wrong, from 1."))
            .property("column", number("The column in the line, in bytes, from 1."))
            .property("limit", number("The limit that the request exceeds, in the unit that `detail` names."))
            .required("type")
            .required("title")
            .required("status")
            .required("detail")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .into()
    }
}

impl ToSchema for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.insert_header((header::CONTENT_TYPE, MEDIA_TYPE)).json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(problem: &Problem, retry_after: Option<&str>, expected: &str) {
        assert_eq!(serde_json::to_string(problem).unwrap(), expected);
        let response = problem.error_response();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status(), problem.status);
        assert_eq!(header(header::CONTENT_TYPE), Some("application/problem+json"));
        assert_eq!(header(header::RETRY_AFTER), retry_after);
    }

    #[test]
    fn a_problem_without_a_kind_is_about_blank() {
        check(
            &Problem::not_found("no such offer"),
            None,
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no such offer"}"#,
        );
    }

    #[test]
    fn the_optional_members_say_where() {
        check(
            &Problem::unprocessable("must be positive").at("/lines/3/quantity").at_line(2),
            None,
            r#"{"type":"urn:unbundled:problem:refused-value","title":"A value is refused","status":422,"detail":"must be positive","pointer":"/lines/3/quantity","line":2}"#,
        );
        check(
            &Problem::unprocessable("must be positive").of_parameter("limit"),
            None,
            r#"{"type":"urn:unbundled:problem:refused-value","title":"A value is refused","status":422,"detail":"must be positive","parameter":"limit"}"#,
        );
        check(
            &Problem::too_large(8, "lines"),
            None,
            r#"{"type":"urn:unbundled:problem:too-large","title":"The request is too large","status":413,"detail":"a request may have at most 8 lines","limit":8}"#,
        );
    }

    #[test]
    fn busy_and_unavailable_have_a_retry_after_in_whole_seconds() {
        let busy = r#"{"type":"urn:unbundled:problem:busy","title":"Too many requests","status":429,"detail":"the service is overloaded: send the request again later"}"#;
        check(&Problem::busy(Duration::ZERO), Some("1"), busy);
        check(&Problem::busy(Duration::from_millis(1001)), Some("2"), busy);
        check(
            &Problem::unavailable("starting", Duration::from_secs(3)),
            Some("3"),
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"starting"}"#,
        );
    }

    #[test]
    fn an_internal_error_is_not_shown_to_the_client() {
        let text = Problem::internal(&std::io::Error::other("secret")).to_string();
        assert_eq!(text, "500 Internal Server Error: the service failed; its log says why");
    }
}
