//! `GET /copies`.

use actix_web::web::{Data, Json};
use chrono::Utc;
use contracts::LocalCopy;

use super::Purchases;

/// The local copies and their ages.
///
/// A purchase is priced with the copy of the rates: no other service is asked.
#[utoipa::path(
    get, path = "/copies", tag = "copies", operation_id = "list_copies",
    responses((status = 200, description = "The copies.", body = [LocalCopy]))
)]
pub async fn get(purchases: Data<Purchases>) -> Json<Vec<LocalCopy>> {
    Json(vec![purchases.copy.view(Utc::now())])
}
