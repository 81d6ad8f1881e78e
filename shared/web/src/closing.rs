//! Requests that follow the last request of a connection are not executed (RFC 9112 §9.6). A client that sends
//! `Connection: close` does not expect them to be executed and may send them again on another connection. actix-web
//! itself would execute every pipelined request.

use std::cell::Cell;

use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::http::ConnectionType;
use actix_web::{HttpResponse, ResponseError as _};

use crate::Problem;

/// The state of a connection: whether its last request has arrived.
#[derive(Default)]
struct Closing(Cell<bool>);

/// Starts to track a new connection.
pub(crate) fn track(connection: &mut Extensions) {
    connection.insert(Closing::default());
}

/// The response to a request that follows the last one of its connection. `None`: the request must be executed.
pub(crate) fn too_late(request: &ServiceRequest) -> Option<HttpResponse> {
    let Closing(closing) = request.conn_data()?;
    let is_last = request.head().connection_type() == ConnectionType::Close;
    if !closing.replace(closing.get() || is_last) {
        return None;
    }
    let detail = "an earlier request has closed this connection: send this one on another connection";
    let mut response = Problem::bad_request(detail).error_response();
    response.head_mut().set_connection_type(ConnectionType::Close);
    Some(response)
}
