use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Problem, Shell, parse};

/// The media type of newline-delimited JSON, in requests and responses.
pub const NDJSON: &str = "application/x-ndjson";

/// The longest time a body may take to arrive: a stalled client holds a connection and memory.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The bytes of all request bodies that a service holds at a time: eight batches or four files.
const BODIES_BYTES_MAX: usize = 64 << 20;
/// The bytes at the beginning of a body that do not count against the budget. They are few per connection, and so large
/// bodies cannot keep small ones out.
const FREE_BYTES: usize = 16 << 10;
/// The step in which a body takes bytes from the budget as it arrives.
const STEP_BYTES: usize = 64 << 10;
/// The first bytes of a gzip file (RFC 1952 §2.3.1). No accepted text begins with them.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The UTF-8 byte order mark, which some editors write before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// `Retry-After` while the budget is used up: a well-behaved body arrives within about a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The memory budget of a service for request bodies, in bytes. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct BodyBudget(Arc<Semaphore>);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BODIES_BYTES_MAX)))
    }
}

impl BodyBudget {
    /// Extends the permit of a body that has grown to `bytes`. It does not wait: without enough budget it fails.
    ///
    /// # Errors
    /// 429.
    fn grow(&self, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Problem> {
        let wanted = bytes.saturating_sub(FREE_BYTES).next_multiple_of(STEP_BYTES);
        let more = wanted - room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if more == 0 {
            return Ok(());
        }
        let busy = || Problem::busy(RETRY_AFTER);
        let more = u32::try_from(more).map_err(|_| busy())?;
        let more = self.0.clone().try_acquire_many_owned(more).map_err(|_| busy())?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }
}

/// A body and its permit. The permit returns to the budget when the last reference to the bytes is dropped.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the whole body. The body takes bytes from the service's budget as they arrive and returns them when the result
/// is dropped. `Content-Length` reserves nothing, so a client that only announces a large body keeps nobody out.
///
/// A body that is too long gets its response before it is read to the end. The server then discards the rest for a few
/// seconds, so that the client gets to read the response.
///
/// # Errors
/// 413 when the announced or the actual length exceeds `limit_bytes`; 415 when `Content-Encoding` says that the body is
/// compressed; 429 when the budget is used up; 408 after [`BODY_TIMEOUT`]; 400 when the body breaks off.
pub fn body(request: &HttpRequest, payload: Payload, limit_bytes: usize) -> LocalBoxFuture<'_, Result<Bytes, Problem>> {
    Box::pin(within_limits(request, payload, limit_bytes))
}

async fn within_limits(request: &HttpRequest, payload: Payload, limit_bytes: usize) -> Result<Bytes, Problem> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported("compressed bodies are not supported: send it without Content-Encoding"));
    }
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit_bytes) {
        return Err(Problem::too_large(limit_bytes, "bytes"));
    }
    // There is no budget when a test calls a handler without a shell.
    let budget = request.app_data().map(|shell: &Shell| &shell.bodies);
    let Ok(read) = tokio::time::timeout(BODY_TIMEOUT, arrived(payload, limit_bytes, budget)).await else {
        let detail = format!("the body took longer than {} s", BODY_TIMEOUT.as_secs());
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
    };
    read
}

async fn arrived(mut payload: Payload, limit_bytes: usize, budget: Option<&BodyBudget>) -> Result<Bytes, Problem> {
    let (mut bytes, mut room) = (BytesMut::new(), None);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("the body broke off or is damaged: send it again"))?;
        let length = bytes.len() + chunk.len();
        if length > limit_bytes {
            return Err(Problem::too_large(limit_bytes, "bytes"));
        }
        if let Some(budget) = budget {
            budget.grow(&mut room, length)?;
        }
        bytes.extend_from_slice(&chunk);
    }
    let bytes = bytes.freeze();
    Ok(match room {
        Some(room) => Bytes::from_owner(Held { bytes, _room: room }),
        None => bytes,
    })
}

/// Reads a JSON body: [`body`], then [`parse`].
///
/// # Errors
/// Those of both functions; also 415 when `Content-Type` is not JSON.
pub async fn json_body<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    limit_bytes: usize,
) -> Result<T, Problem> {
    parse(&json_text(request, payload, limit_bytes).await?)
}

/// Boxed, so that the reading of a body is compiled once, and not for each type of body.
fn json_text(
    request: &HttpRequest,
    payload: Payload,
    limit_bytes: usize,
) -> LocalBoxFuture<'_, Result<Bytes, Problem>> {
    Box::pin(text(request, payload, limit_bytes, &["application/json"]))
}

/// Reads a body of newline-delimited JSON. [`ndjson`] splits it into lines.
///
/// # Errors
/// As [`body`]; also 415 when `Content-Type` is neither NDJSON nor JSON.
pub fn ndjson_body(
    request: &HttpRequest,
    payload: Payload,
    limit_bytes: usize,
) -> LocalBoxFuture<'_, Result<Bytes, Problem>> {
    Box::pin(text(request, payload, limit_bytes, &[NDJSON, "application/ndjson", "application/json"]))
}

/// The lines that are not blank, each with its line number in the body, from 1. A leading byte order mark is skipped.
///
/// # Errors
/// 413 when there are more than `max_lines` such lines.
pub fn ndjson(body: &[u8], max_lines: usize) -> Result<impl Iterator<Item = (usize, &[u8])>, Problem> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let all = || (1..).zip(body.split(|&byte| byte == b'\n'));
    let mut filled = all().filter(|(_, line)| !line.trim_ascii().is_empty());
    if filled.nth(max_lines).is_some() {
        return Err(Problem::too_large(max_lines, "lines"));
    }
    Ok(all().filter(|(_, line)| !line.trim_ascii().is_empty()))
}

/// Reads a body that must have one of these media types, or none, and must not be compressed.
async fn text(request: &HttpRequest, payload: Payload, limit_bytes: usize, allowed: &[&str]) -> Result<Bytes, Problem> {
    media_type(request, allowed)?;
    let body = body(request, payload, limit_bytes).await?;
    match body.starts_with(GZIP) {
        true => Err(unsupported("the body is compressed with gzip, which is not supported: send it uncompressed")),
        false => Ok(body),
    }
}

fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

fn media_type(request: &HttpRequest, allowed: &[&str]) -> Result<(), Problem> {
    let fits = match request.mime_type() {
        Ok(None) => true,
        Ok(Some(mime)) => {
            allowed.contains(&mime.essence_str()) && mime.get_param("charset").is_none_or(|charset| charset == "utf-8")
        }
        Err(_) => false,
    };
    if fits { Ok(()) } else { Err(unsupported(format!("send the body as Content-Type: {}", allowed[0]))) }
}

#[cfg(test)]
mod tests {
    use actix_web::rt::System;
    use actix_web::test::{TestRequest, init_service, try_call_service};
    use actix_web::{App, HttpResponse, web};

    use super::*;

    async fn take(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
        let number: u32 = json_body(&request, payload, 8).await?;
        Ok(HttpResponse::Ok().json(number))
    }

    async fn take_lines(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
        let body = ndjson_body(&request, payload, 64).await?;
        Ok(HttpResponse::Ok().json(ndjson(&body, 2)?.count()))
    }

    async fn take_any(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
        Ok(HttpResponse::Ok().body(body(&request, payload, 8).await?))
    }

    fn check(request: TestRequest, expected: u16) {
        let status = System::new().block_on(async {
            let app = App::new().route("/one", web::post().to(take)).route("/many", web::post().to(take_lines));
            let app = init_service(app.route("/any", web::post().to(take_any))).await;
            try_call_service(&app, request.to_request()).await.unwrap().status()
        });
        assert_eq!(status.as_u16(), expected);
    }

    fn post(body: &'static str) -> TestRequest {
        TestRequest::post().uri("/one").set_payload(body)
    }

    #[test]
    fn a_body_up_to_the_limit_is_taken() {
        check(post("12345678"), 200);
        check(post(" 12345678"), 413);
        check(post("1"), 200);
    }

    #[test]
    fn an_announced_length_beyond_the_limit_is_refused() {
        check(post("1").insert_header((header::CONTENT_LENGTH, 9)), 413);
        check(post("1").insert_header((header::CONTENT_LENGTH, 8)), 200);
    }

    #[test]
    fn a_json_body_of_another_media_type_is_refused() {
        for (media_type, expected) in [
            ("application/json", 200),
            ("application/json; charset=UTF-8", 200),
            ("Application/JSON", 200),
            ("application/json; charset=latin1", 415),
            ("application/x-www-form-urlencoded", 415),
            ("application/x-ndjson", 415),
            ("nonsense", 415),
        ] {
            check(post("1").insert_header((header::CONTENT_TYPE, media_type)), expected);
        }
    }

    #[test]
    fn a_compressed_body_is_refused_with_or_without_content_encoding() {
        let any = || TestRequest::post().uri("/any").set_payload("1");
        for post in [any(), post("1"), TestRequest::post().uri("/many").set_payload("1")] {
            check(post.insert_header((header::CONTENT_ENCODING, "gzip")), 415);
        }
        check(any().insert_header((header::CONTENT_ENCODING, "identity")), 200);
        check(any().insert_header((header::CONTENT_ENCODING, "Identity")), 200);
        let packed: &[u8] = &[0x1f, 0x8b, 8, 0];
        check(TestRequest::post().uri("/one").set_payload(packed), 415);
        check(TestRequest::post().uri("/many").set_payload(packed), 415);
    }

    #[test]
    fn ndjson_has_several_media_types() {
        let post = || TestRequest::post().uri("/many").set_payload("1\n2\n");
        check(post(), 200);
        for (media_type, expected) in
            [("application/x-ndjson", 200), ("application/ndjson", 200), ("application/json", 200), ("text/plain", 415)]
        {
            check(post().insert_header((header::CONTENT_TYPE, media_type)), expected);
        }
    }

    #[test]
    fn blank_lines_keep_their_numbers_but_do_not_count() {
        let check = |body: &str, max_lines, expected: Option<&[(usize, &str)]>| {
            let found = ndjson(body.as_bytes(), max_lines)
                .map(|lines| lines.map(|(number, line)| (number, str::from_utf8(line).unwrap())).collect());
            let expected = expected.map(<[_]>::to_vec).ok_or(Problem::too_large(max_lines, "lines"));
            assert_eq!(found, expected);
        };
        check("", 2, Some(&[]));
        check("a", 2, Some(&[(1, "a")]));
        check("\na\r\n \t\r\n\nb\n", 2, Some(&[(2, "a\r"), (5, "b")]));
        check("\u{feff}a\nb", 2, Some(&[(1, "a"), (2, "b")]));
        check("\u{feff}\na\n\u{feff}b", 2, Some(&[(2, "a"), (3, "\u{feff}b")]));
        check("a\nb\nc", 2, None);
        check("a\nb\n\n\n", 2, Some(&[(1, "a"), (2, "b")]));
    }
}
