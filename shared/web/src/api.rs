//! The routes of a service, and the OpenAPI document that describes them.
//!
//! The attribute `#[utoipa::path(…)]` of a handler declares its path, parameters and responses.
//! [`endpoints!`](crate::endpoints) builds both the document and the routes from one list of handlers. A service cannot
//! add a route in any other way, so the document and the routes always agree.

mod page;
mod responses;

use std::collections::BTreeMap;
use std::iter;

use actix_web::http::Method;
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{Route, guard};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ComponentsBuilder, Info, License, OpenApi, PathItem, Paths, RefOr};
use utoipa::{PartialSchema as _, ToSchema as _};

pub use responses::{
    BadRequest, Conflict, Failing, InternalServerError, NotFound, PayloadTooLarge, Reading, RequestTimeout,
    ServiceUnavailable, TooManyRequests, UnprocessableContent, UnsupportedMediaType, Writing,
};

use crate::{Problem, health, metrics};

/// Builds the list of endpoints for [`Api::new`](crate::Api::new) from handlers with the attribute `#[utoipa::path]`.
#[macro_export]
macro_rules! endpoints {
    ($($name:ident $(:: $rest:ident)*),+ $(,)?) => {
        vec![$({
            #[derive(utoipa::OpenApi)]
            #[openapi(paths($name $(:: $rest)*))]
            struct One;
            $crate::Endpoint::new(<One as utoipa::OpenApi>::openapi(), || actix_web::web::to($name $(:: $rest)*))
        }),+]
    };
}

/// Creates the route of a handler. Each worker thread calls it once.
type Handler = fn() -> Route;

/// A handler and its OpenAPI description. [`endpoints!`](crate::endpoints) creates it.
pub struct Endpoint {
    description: OpenApi,
    handler: Handler,
}

impl Endpoint {
    /// An endpoint from a document that describes exactly this handler, and the function that creates its route.
    pub fn new(description: OpenApi, handler: Handler) -> Self {
        Self { description, handler }
    }
}

/// The routes of a service and their OpenAPI document. Each worker thread gets a clone.
#[derive(Clone)]
pub struct Api {
    document: Bytes,
    own: Routes,
    shared: Routes,
}

/// Methods and their handlers, by path.
type Routes = BTreeMap<String, Vec<(Method, Handler)>>;

impl Api {
    /// The API of a service: its own endpoints and the ones that every service has.
    pub fn new(service: &str, description: &str, endpoints: Vec<Endpoint>) -> Self {
        let mut info = Info::new(service, env!("CARGO_PKG_VERSION"));
        info.description = Some(description.to_owned());
        let mut license = License::new(env!("CARGO_PKG_LICENSE"));
        license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
        info.license = Some(license);
        let mut document = OpenApi::new(info, Paths::new());
        let own = add(endpoints, &mut document);
        let shared = crate::endpoints![health::alive, health::ready, metrics::scrape, page::document];
        let shared = add(shared, &mut document);
        add_responses(&mut document);
        // Serialization cannot fail: only utoipa's debug feature adds fallible parts to a document.
        let document = document.to_pretty_json().unwrap_or_default() + "\n";
        Self { document: document.into(), own, shared }
    }

    /// Replaces the handlers of all of the service's own endpoints with this one. The shared endpoints stay.
    #[must_use]
    pub fn with_handler(mut self, handler: Handler) -> Self {
        self.own.values_mut().flatten().for_each(|(_, own)| *own = handler);
        self
    }

    /// The OpenAPI document in JSON, as `/openapi.json` serves it.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// Adds the routes. All methods of a path form one resource, so any other method gets 405 with `Allow`.
    pub(crate) fn configure(&self, config: &mut ServiceConfig) {
        config.app_data(Data::new(page::Document(self.document.clone())));
        for (path, methods) in self.own.iter().chain(&self.shared) {
            let mut resource = web::resource(path.as_str());
            // `/purchases/batch` handles only its own methods, so that the others reach `/purchases/{id}`.
            if self.own.keys().any(|other| covers(other, path)) {
                let any = methods.iter().fold(guard::Any(guard::fn_guard(|_| false)), |any, (method, _)| {
                    any.or(guard::Method(method.clone()))
                });
                resource = resource.guard(any);
            }
            for (method, handler) in methods {
                resource = resource.route(handler().method(method.clone()));
            }
            config.service(resource);
        }
        page::configure(config);
    }
}

/// Adds endpoints to the document and returns their routes.
fn add(endpoints: Vec<Endpoint>, document: &mut OpenApi) -> Routes {
    let mut routes = Routes::new();
    for Endpoint { description, handler } in endpoints {
        for (path, item) in &description.paths.paths {
            let methods = operations(item).flat_map(|(method, _)| with_head(method));
            routes.entry(path.clone()).or_default().extend(methods.map(|method| (method, handler)));
        }
        document.merge(description);
    }
    routes
}

/// The method, and HEAD if it is GET (RFC 9110 §9.3.2): the same handler serves both, and the server omits the body.
fn with_head(method: Method) -> impl Iterator<Item = Method> {
    let head = (method == Method::GET).then_some(Method::HEAD);
    iter::once(method).chain(head)
}

/// Whether a template also matches another, more specific path. The specific path sorts first: `{` comes after letters.
fn covers(template: &str, path: &str) -> bool {
    let fits = |(part, other): (&str, &str)| part.starts_with('{') || part == other;
    let same_length = template.split('/').count() == path.split('/').count();
    template != path && same_length && template.split('/').zip(path.split('/')).all(fits)
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// Adds the shared responses that operations refer to, and the schema of [`Problem`].
fn add_responses(document: &mut OpenApi) {
    let operations = document.paths.paths.values().flat_map(operations);
    let responses_used = operations.flat_map(|(_, operation)| operation.responses.responses.values());
    let named: Vec<_> = responses_used
        .filter_map(|response| match response {
            RefOr::Ref(reference) => Some(reference.ref_location.clone()),
            RefOr::T(_) => None,
        })
        .collect();
    let is_named = |name: &str| named.iter().any(|reference| reference.ends_with(&format!("/{name}")));
    let components = ComponentsBuilder::from(document.components.take().unwrap_or_default());
    let components = components.schema(Problem::name(), Problem::schema());
    let shared = responses::all().into_iter().filter(|(name, _)| is_named(name));
    document.components = Some(components.responses_from_iter(shared).build());
}
