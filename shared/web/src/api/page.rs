//! The OpenAPI document, and a Swagger UI page that shows it. The service serves all files of the page itself, so the
//! page works without internet access.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use utoipa_swagger_ui::Config;

use crate::Problem;

/// The path of the page.
const PAGE: &str = "/swagger-ui/";
/// `Content-Security-Policy`: the page loads only from its own origin. It needs inline styles.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";

/// The OpenAPI document of the service, serialized once.
pub(super) struct Document(pub(super) Bytes);

/// The OpenAPI document of this service.
#[utoipa::path(
    get, path = "/openapi.json", tag = "service", operation_id = "get_document",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub(super) async fn document(document: Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}

/// Adds the page. It is for people: its two routes are the only ones that the document leaves out.
pub(super) fn configure(config: &mut ServiceConfig) {
    // A relative URL, so that the page also works behind a path prefix.
    let settings = Config::new(["../openapi.json"]).use_base_layout().validator_url("none");
    config
        .app_data(Data::new(settings))
        .service(web::resource("/docs").route(web::get().to(redirect)).route(web::head().to(redirect)))
        .service(web::resource(format!("{PAGE}{{file:.*}}")).route(web::get().to(asset)).route(web::head().to(asset)));
}

async fn redirect() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, PAGE)).finish()
}

async fn asset(file: Path<String>, settings: Data<Config<'static>>) -> Result<HttpResponse, Problem> {
    let settings: Arc<Config<'static>> = settings.into_inner();
    let found = utoipa_swagger_ui::serve(&file, settings).map_err(|error| Problem::internal(&*error))?;
    let found = found.ok_or_else(|| Problem::not_found("there is nothing at this path"))?;
    let mut response = HttpResponse::Ok();
    if found.gzpipped {
        response.insert_header(header::ContentEncoding::Gzip);
    }
    response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    Ok(response.content_type(found.content_type).body(found.bytes.into_owned()))
}
