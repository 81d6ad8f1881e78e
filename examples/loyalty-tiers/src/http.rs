//! `GET /points/{customer}` of the loyalty service, and `GET /tiers/{customer}`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use contracts::CustomerId;
use loyalty::http::{Points, customer_of};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Api, NotFound, Problem, Reading, UnprocessableContent, endpoints};

use crate::grant_tier::{Tier, TierRow};

/// The tier of a customer.
#[derive(Serialize, ToSchema)]
struct CustomerTier {
    /// The customer.
    customer: CustomerId,
    /// `silver` from 10 points, `gold` from 100.
    #[schema(value_type = String)]
    tier: Tier,
}

/// The HTTP API of the service. Its handlers take `Points` as application data.
pub fn api() -> Api {
    let endpoints = endpoints![loyalty::http::get_points, get_tier];
    Api::new(loyalty::SERVICE, "Awards points for paid purchases, and tiers for points.", endpoints)
}

/// Shows the tier of a customer.
#[utoipa::path(
    get, path = "/tiers/{customer}", tag = "tiers",
    params(("customer" = CustomerId, Path, description = "The customer.")),
    responses((status = 200, description = "The tier.", body = CustomerTier), NotFound, UnprocessableContent, Reading)
)]
async fn get_tier(points: Data<Points>, request: HttpRequest) -> Result<Json<CustomerTier>, Problem> {
    let row = points.store.get::<TierRow>(&(customer_of(&request)?,)).await?;
    let row = row.ok_or_else(|| Problem::not_found("this customer has no tier"))?;
    Ok(Json(CustomerTier { customer: row.customer, tier: row.tier }))
}
