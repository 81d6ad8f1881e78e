//! What comes on a connection after its last request is not executed (RFC 9112 §9.6): a client that says `close` does not
//! expect it to be, and may send it again elsewhere. actix-web itself would work off whatever has been pipelined.

use std::cell::Cell;

use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::http::ConnectionType;
use actix_web::{HttpResponse, ResponseError as _};

use crate::Problem;

/// Whether the last request of a connection has come.
#[derive(Default)]
struct Closing(Cell<bool>);

/// Of a new connection.
pub(crate) fn transport(connection: &mut Extensions) {
    connection.insert(Closing::default());
}

/// The answer to a request that comes too late; none to one that is to be executed.
pub(crate) fn too_late(request: &ServiceRequest) -> Option<HttpResponse> {
    let Closing(closing) = request.conn_data()?;
    let is_last = request.head().connection_type() == ConnectionType::Close;
    if !closing.replace(closing.get() || is_last) {
        return None;
    }
    let mut response =
        Problem::bad_request("the request before it was to be the last of this connection").error_response();
    response.head_mut().set_connection_type(ConnectionType::Close);
    Some(response)
}
