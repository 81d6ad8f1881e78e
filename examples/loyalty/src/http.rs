//! `GET /points/{customer}`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use contracts::{CustomerId, InvalidName};
use dataflow::Store;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Api, NotFound, Problem, Reading, UnprocessableContent, endpoints};

use crate::award::PointsRow;
use crate::service::SERVICE;

/// The state of the HTTP handlers. Clones share it.
#[derive(Clone)]
pub struct Points {
    /// The service's store, for reads.
    pub store: Store,
}

/// The points of a customer.
#[derive(Serialize, ToSchema)]
pub struct CustomerPoints {
    /// The customer.
    pub customer: CustomerId,
    /// One for each piece of a paid purchase.
    pub points: u64,
}

/// The HTTP API of the service. Its handlers take `Points` as application data.
pub fn api() -> Api {
    Api::new(SERVICE, "Awards points for paid purchases.", endpoints![get_points])
}

/// Shows the points of a customer.
#[utoipa::path(
    get, path = "/points/{customer}", tag = "points",
    params(("customer" = CustomerId, Path, description = "The customer.")),
    responses((status = 200, description = "The points.", body = CustomerPoints), NotFound, UnprocessableContent, Reading)
)]
pub async fn get_points(points: Data<Points>, request: HttpRequest) -> Result<Json<CustomerPoints>, Problem> {
    let row = points.store.get::<PointsRow>(&(customer_of(&request)?,)).await?;
    let row = row.ok_or_else(|| Problem::not_found("this customer has no points"))?;
    Ok(Json(CustomerPoints { customer: row.customer, points: row.total }))
}

/// The customer in the path.
///
/// # Errors
/// 422 if it is not a valid name.
pub fn customer_of(request: &HttpRequest) -> Result<CustomerId, Problem> {
    let invalid = |error: InvalidName| Problem::unprocessable(error.to_string()).of_parameter("customer");
    web::segment::decode(request, "customer")?.parse().map_err(invalid)
}
