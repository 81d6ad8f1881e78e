//! What a service serves: its routes, and the OpenAPI document that describes them.
//!
//! A handler says in `#[utoipa::path(…)]` where it is served and what it takes and answers. From a list of handlers
//! [`endpoints!`](crate::endpoints) makes both the document and the routes, and a service has no other way to add one:
//! what is served is described, and what is described is served.

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

/// The endpoints of handlers that `#[utoipa::path]` describes, for [`Api::new`](crate::Api::new).
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

/// A handler, made into a route for each thread that serves.
type Handler = fn() -> Route;

/// A handler and its description; [`endpoints!`](crate::endpoints) makes it.
pub struct Endpoint {
    description: OpenApi,
    handler: Handler,
}

impl Endpoint {
    /// What describes exactly this handler, and how it becomes a route.
    pub fn new(description: OpenApi, handler: Handler) -> Self {
        Self { description, handler }
    }
}

/// The routes of a service with their document. Clones are made for each thread that serves.
#[derive(Clone)]
pub struct Api {
    document: Bytes,
    own: Routes,
    shared: Routes,
}

/// What is served, by path.
type Routes = BTreeMap<String, Vec<(Method, Handler)>>;

impl Api {
    /// The endpoints of a service, and those that every service has.
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
        add_answers(&mut document);
        // Without the debug feature of utoipa nothing in a document can fail to be written.
        let document = document.to_pretty_json().unwrap_or_default() + "\n";
        Self { document: document.into(), own, shared }
    }

    /// The same, but this handler answers in place of the service's own.
    #[must_use]
    pub fn answered_by(mut self, handler: Handler) -> Self {
        self.own.values_mut().flatten().for_each(|(_, own)| *own = handler);
        self
    }

    /// The document, as `/openapi.json` serves it.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// Adds the routes. Those of one path are one resource, so that another method is answered with 405 and `Allow`.
    pub(crate) fn configure(&self, config: &mut ServiceConfig) {
        config.app_data(Data::new(page::Document(self.document.clone())));
        for (path, methods) in self.own.iter().chain(&self.shared) {
            let mut resource = web::resource(path.as_str());
            // `/purchases/batch` takes what it takes, and leaves the rest to `/purchases/{id}`.
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

/// Adds endpoints to the document; their routes.
fn add(endpoints: Vec<Endpoint>, document: &mut OpenApi) -> Routes {
    let mut routes = Routes::new();
    for Endpoint { description, handler } in endpoints {
        for (path, item) in &description.paths.paths {
            let methods = operations(item).flat_map(|(method, _)| taken(method));
            routes.entry(path.clone()).or_default().extend(methods.map(|method| (method, handler)));
        }
        document.merge(description);
    }
    routes
}

/// HEAD is taken wherever GET is (RFC 9110 §9.3.2): the same handler answers, and the server leaves the body out.
fn taken(method: Method) -> impl Iterator<Item = Method> {
    let head = (method == Method::GET).then_some(Method::HEAD);
    iter::once(method).chain(head)
}

/// Whether a template also takes what another, more special path does. (That one sorts first: `{` comes after letters.)
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

/// Adds the answers that the operations name, and what these are made of.
fn add_answers(document: &mut OpenApi) {
    let operations = document.paths.paths.values().flat_map(operations);
    let replies = operations.flat_map(|(_, operation)| operation.responses.responses.values());
    let named: Vec<_> = replies
        .filter_map(|answer| match answer {
            RefOr::Ref(reference) => Some(reference.ref_location.clone()),
            RefOr::T(_) => None,
        })
        .collect();
    let is_named = |name: &str| named.iter().any(|reference| reference.ends_with(&format!("/{name}")));
    let components = ComponentsBuilder::from(document.components.take().unwrap_or_default());
    let components = components.schema(Problem::name(), Problem::schema());
    let replies = responses::all().into_iter().filter(|(name, _)| is_named(name));
    document.components = Some(components.responses_from_iter(replies).build());
}
