use std::error::Error;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// Of every problem, RFC 9457.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// What sort of problem it is, where the status alone does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// Stable; clients may branch on it: `type` is `urn:unbundled:problem:` and this.
    pub code: &'static str,
    /// For people; the same for every problem of the kind.
    pub title: &'static str,
}

impl ProblemType {
    /// Not JSON at all; `line` and `column` say where.
    pub const MALFORMED: ProblemType = ProblemType { code: "malformed-json", title: "The JSON is malformed" };
    /// A parameter of the query is missing, unknown or given twice; `parameter` says which.
    pub const QUERY: ProblemType = ProblemType { code: "wrong-query", title: "The query has another shape" };
    /// A field is missing, unknown, given twice or of another JSON type; `pointer` says which.
    pub const SHAPE: ProblemType = ProblemType { code: "wrong-shape", title: "The JSON has another shape" };
    /// Well-formed, but not a value this field or parameter can have; `pointer` or `parameter` says which.
    pub const VALUE: ProblemType = ProblemType { code: "refused-value", title: "A value is refused" };
    /// The header `Idempotency-Key` is missing or not a key.
    pub const IDEMPOTENCY_KEY: ProblemType =
        ProblemType { code: "idempotency-key", title: "The idempotency key is missing or invalid" };
    /// More than `limit` bytes or lines.
    pub const TOO_LARGE: ProblemType = ProblemType { code: "too-large", title: "The request is too large" };
    /// More requests than can be taken now; nothing was done.
    pub const BUSY: ProblemType = ProblemType { code: "busy", title: "Too many requests" };
    /// A condition for taking requests is not met yet.
    pub const NOT_READY: ProblemType = ProblemType { code: "not-ready", title: "The service is not ready" };
}

/// Which part of a request a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A part of the JSON document: its JSON Pointer (RFC 6901), `/lines/3/quantity`.
    Pointer(Box<str>),
    /// A parameter of the path or the query: its name.
    Parameter(Box<str>),
}

/// An error answer: RFC 9457, `application/problem+json`.
///
/// As a handler's error it becomes the response; it can also be embedded in another answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Problem {
    /// `None` is `about:blank`: the status says it all.
    pub kind: Option<&'static ProblemType>,
    /// The HTTP status.
    pub status: StatusCode,
    /// One sentence about this occurrence, for people.
    pub detail: String,
    /// The part of the request concerned, as `pointer` or `parameter`.
    pub place: Option<Place>,
    /// From 1.
    pub line: Option<usize>,
    /// In bytes, from 1.
    pub column: Option<usize>,
    /// The limit that was exceeded, in the unit `detail` names.
    pub limit: Option<usize>,
    /// When to try again, in whole seconds.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// Any status, of no particular kind.
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

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: it contradicts what is already there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413: more than `limit` of `unit` (`"bytes"`, `"lines"`).
    pub fn too_large(limit: usize, unit: &str) -> Self {
        let detail = format!("at most {limit} {unit} are taken in one request");
        let problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail).of(&ProblemType::TOO_LARGE);
        Self { limit: Some(limit), ..problem }
    }

    /// 422: understood, but a value is refused.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).of(&ProblemType::VALUE)
    }

    /// 429: nothing was done; try again after about this long.
    pub fn busy(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "more requests than can be taken now")
            .of(&ProblemType::BUSY)
            .after(retry_after)
    }

    /// 503: something this request needs is away; try again after about this long.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(retry_after)
    }

    /// 500: the client learns only that it was not its fault. The error and its sources go to the
    /// log, here and now, in the request's span.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = telemetry::chain(error), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
    }

    /// The same problem, of a kind.
    pub fn of(self, kind: &'static ProblemType) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// The same problem, of the field that this JSON Pointer (RFC 6901) names.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        debug_assert!(pointer.starts_with('/'), "`{pointer}` is no JSON Pointer");
        Self { place: Some(Place::Pointer(pointer.into())), ..self }
    }

    /// The same problem, of this parameter of the path or the query.
    pub fn of_parameter(self, name: &str) -> Self {
        Self { place: Some(Place::Parameter(name.into())), ..self }
    }

    /// The same problem, of this line (from 1), e.g. of a batch.
    pub fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

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

/// As it is written, member by member.
impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let member = |kind, description: &str| ObjectBuilder::new().schema_type(kind).description(Some(description));
        let number = |description| member(Type::Integer, description).minimum(Some(1));
        let uri = SchemaFormat::Custom("uri-reference".to_owned());
        ObjectBuilder::new()
            .description(Some("An error answer: RFC 9457."))
            .property("type", member(Type::String, "Its kind; stable, for programs.").format(Some(uri)))
            .property("title", member(Type::String, "The kind in words."))
            .property("status", member(Type::Integer, "As the answer's.").minimum(Some(400)).maximum(Some(599)))
            .property("detail", member(Type::String, "One sentence about this occurrence, for people."))
            .property(
                "pointer",
                member(Type::String, "The part of the JSON document concerned: a JSON Pointer (RFC 6901).")
                    .pattern(Some("^(/([^~/]|~[01])*)+$"))
                    .examples(["/lines/3/quantity"]),
            )
            .property(
                "parameter",
                member(Type::String, "The parameter of the path or the query concerned.").examples(["limit"]),
            )
            .property("line", number("The line concerned, from 1."))
            .property("column", number("Where in the line, in bytes, from 1."))
            .property("limit", number("The limit that was exceeded, in the unit that `detail` names."))
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
            r#"{"type":"urn:unbundled:problem:too-large","title":"The request is too large","status":413,"detail":"at most 8 lines are taken in one request","limit":8}"#,
        );
    }

    #[test]
    fn busy_and_unavailable_say_when_to_come_back_in_whole_seconds() {
        let busy = r#"{"type":"urn:unbundled:problem:busy","title":"Too many requests","status":429,"detail":"more requests than can be taken now"}"#;
        check(&Problem::busy(Duration::ZERO), Some("1"), busy);
        check(&Problem::busy(Duration::from_millis(1001)), Some("2"), busy);
        check(
            &Problem::unavailable("starting", Duration::from_secs(3)),
            Some("3"),
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"starting"}"#,
        );
    }

    #[test]
    fn an_internal_error_stays_inside() {
        let text = Problem::internal(&std::io::Error::other("secret")).to_string();
        assert_eq!(text, "500 Internal Server Error: the service failed; its log says why");
    }
}
