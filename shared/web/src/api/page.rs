//! The document, and a page that shows it. All that the page needs comes from here: it works without a network.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use utoipa_swagger_ui::Config;

use crate::Problem;

/// Where the page is.
const PAGE: &str = "/swagger-ui/";
/// The page may fetch from where it came from and nowhere else. It sets styles in its elements.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";

/// The document of the service, written once.
pub(super) struct Document(pub(super) Bytes);

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "service", operation_id = "get_document",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub(super) async fn document(document: Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}

/// Adds the page. It is for people: these two routes alone are in no document.
pub(super) fn configure(config: &mut ServiceConfig) {
    // Relative, so that it also works behind a prefix.
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
