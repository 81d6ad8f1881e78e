//! Whatever answers with an error, the client gets a problem: also where actix itself replies. Only what is no HTTP
//! (a head that cannot be parsed, or is too large) never comes here: actix refuses it with an empty 400 or 431.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};

use crate::{Problem, closing};

/// What no route takes.
pub(crate) async fn nothing_here() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("there is nothing at this path"))
}

/// Middleware: turns error answers without a body, or in plain text, into problems, and refuses what comes too late.
pub(crate) async fn as_problem<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if let Some(refusal) = closing::too_late(&request) {
        return Ok(request.into_response(refusal.map_into_right_body()));
    }
    let response = next.call(request).await?;
    let (status, headers) = (response.status(), response.headers());
    let is_error = status.is_client_error() || status.is_server_error();
    let media_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    if !is_error || media_type.is_some_and(|media_type| !media_type.starts_with(b"text/plain")) {
        return Ok(response.map_into_left_body());
    }
    let allow = headers.get(header::ALLOW).cloned();
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method",
        StatusCode::NOT_FOUND => "there is nothing at this path",
        other if other.is_client_error() => "the request cannot be understood",
        _ => "the service failed",
    };
    let mut problem = Problem::new(status, detail).error_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(response.into_response(problem.map_into_right_body()))
}
