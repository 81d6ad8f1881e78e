//! Every error response is a problem (RFC 9457), also those that actix-web itself generates. The exception is input
//! that is not HTTP (a head that cannot be parsed, or is too large): actix rejects it with an empty 400 or 431.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};

use crate::{Problem, closing};

/// The default handler: 404 for a path that no route matches.
pub(crate) async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("there is nothing at this path"))
}

/// Middleware that turns error responses without a body, or with a plain-text body, into problems. It also rejects
/// requests that follow the last request of a connection (see [`closing`]).
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
        StatusCode::METHOD_NOT_ALLOWED => "this path does not support this method: see the header Allow",
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
