//! The HTTP server around the routes of a service.
//!
//! The server limits the number of open connections, the bytes of request bodies (`body.rs`), the time for sending a
//! head ([`HEAD_TIMEOUT`]) and a body ([`crate::BODY_TIMEOUT`]), the time of an idle connection, and the time for
//! stopping. It does not handle signals: `main` stops it with `server.handle().stop(true)`.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::{DispatchError, ParseError};
use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error};
use prometheus::Registry;
use telemetry::Traces;
use tracing_actix_web::TracingLogger;

use crate::body::BodyBudget;
use crate::log::RequestSpan;
use crate::metrics::{self, HttpMetrics};
use crate::{Api, Readiness, closing, error_response};

/// Open connections per worker.
const MAX_CONNECTIONS: usize = 512;
/// The lifetime of an idle connection. Common clients keep one for 90 s, so the client closes it first and never sends
/// into a connection that the server is closing.
const KEEP_ALIVE: Duration = Duration::from_secs(95);
/// The time for the head of the first request of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for discarding what a client still sends after its response (a body that is too large).
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for requests in progress when the server stops.
const SHUTDOWN_TIMEOUT_S: u64 = 5;

/// The parts of a service that do not depend on its business: metrics, readiness, traces. Clones share them.
#[derive(Clone)]
pub struct Shell {
    /// The name of the service, a field of its log lines.
    pub name: &'static str,
    /// The metrics that `/metrics` shows.
    pub registry: Registry,
    /// The readiness that `/readyz` shows.
    pub readiness: Readiness,
    /// The recorder of the spans of requests.
    pub traces: Traces,
    pub(crate) http: HttpMetrics,
    pub(crate) bodies: BodyBudget,
    /// The address that the service listens on; `None` before [`serve`].
    pub(crate) address: Option<SocketAddr>,
}

impl Shell {
    /// A shell that records no spans. It registers the metrics of HTTP, of the process and of the build.
    ///
    /// # Errors
    /// When the registry already has these metrics: each service needs a registry of its own.
    pub fn new(name: &'static str, registry: Registry, readiness: Readiness) -> Result<Self, prometheus::Error> {
        let http = HttpMetrics::register(&registry)?;
        telemetry::register_process(&registry)?;
        metrics::register_build(&registry, name)?;
        let (traces, bodies) = (Traces::off(), BodyBudget::default());
        Ok(Self { name, registry, readiness, traces, http, bodies, address: None })
    }

    /// Enables the recording of spans and registers the metrics of spans.
    ///
    /// # Errors
    /// When the registry already has these metrics.
    pub fn traced(self, traces: Traces) -> Result<Self, prometheus::Error> {
        traces.register(&self.registry)?;
        Ok(Self { traces, ..self })
    }
}

/// The state of a service's handlers, without its type: so the server is compiled once, and not for each service.
#[derive(Clone)]
pub struct State(Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>);

impl State {
    /// A state that handlers access as [`Data<T>`].
    pub fn of<T: Clone + Send + Sync + 'static>(state: T) -> Self {
        Self(Arc::new(move |config| {
            config.app_data(Data::new(state.clone()));
        }))
    }
}

/// The whole application: the shell around the routes of `api`, whose handlers can access `state`. Tests call it
/// directly; [`serve`] serves the same application on a port.
pub fn app(
    shell: Shell,
    api: &Api,
    state: &State,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(shell)
        .configure(|config| state.0(config))
        .configure(|config| api.configure(config))
        .default_service(web::to(error_response::not_found))
        .wrap(from_fn(error_response::as_problem))
        .wrap(TracingLogger::<RequestSpan>::new())
}

/// Serves [`app`] on `workers` threads. The returned server is a future that some task must await to its end. Its
/// `handle()` stops it: `stop(true)` lets requests in progress finish. The server ignores Ctrl-C.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(shell: Shell, listener: TcpListener, workers: usize, api: Api, state: State) -> io::Result<Server> {
    let (service, address) = (shell.name, listener.local_addr()?);
    let shell = Shell { address: Some(address), ..shell };
    let builder = Server::build();
    let stopping = builder.graceful_shutdown_signal();
    // actix-web's `HttpServer` does the same, but does not report how a connection ended.
    let connections = move || {
        let (stopping, http) = (stopping.clone(), shell.http.clone());
        let app = app(shell.clone(), &api, &state).into_factory();
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .local_addr(address)
            .tcp_nodelay(true)
            .on_connect_ext(|_: &TcpStream, connection| closing::track(connection))
            .finish(map_config(app.map_err(|error| error.error_response()), |()| AppConfig::default()))
            .tcp()
            .map_err(move |error| failed(service, &http, &error))
    };
    let server = builder
        .workers(workers.max(1))
        .max_concurrent_connections(MAX_CONNECTIONS)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
        .disable_signals()
        .listen(service, listener, connections)?
        .run();
    tracing::info!(service, %address, "listening");
    Ok(server)
}

/// Logs and counts an error that ended a connection. actix has already rejected input that is not HTTP with an empty
/// 400 or 431. It also logs all these errors, but [`telemetry`] drops those log lines, so clients cannot fill the log.
fn failed(service: &str, http: &HttpMetrics, error: &DispatchError) {
    let cause: &dyn std::error::Error = error;
    match error {
        DispatchError::Parse(parse) => {
            let status = match parse {
                ParseError::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            http.count_unreadable(status);
            tracing::debug!(service, status = status.as_u16(), error = cause, "rejected input that is not HTTP");
        }
        DispatchError::Io(_) | DispatchError::SlowRequestTimeout | DispatchError::DisconnectTimeout => {
            tracing::debug!(service, error = cause, "a connection broke off");
        }
        _ => tracing::error!(service, error = cause, "a connection failed"),
    }
}

/// The largest number of open connections of a server with this many workers. Each one is an open file.
pub fn connections_max(workers: usize) -> u64 {
    u64::try_from(workers.max(1).saturating_mul(MAX_CONNECTIONS)).unwrap_or(u64::MAX)
}

/// Why a service cannot listen on its address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens on it.
    #[error(
        "port {} on {} is in use: stop the program that uses it, or choose other ports with --base-port",
        address.port(), address.ip()
    )]
    InUse {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The user may not listen on the port: ports below 1024 mostly need a privilege.
    #[error(
        "this user may not listen on port {} on {}: choose other ports with --base-port",
        address.port(), address.ip()
    )]
    NotAllowed {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// No interface of this machine has the address, or the system refuses it for another reason.
    #[error("cannot listen on {address}")]
    Unusable {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Listens on an address; port 0 is any free port. Clients can connect from now on, but get no response before
/// [`serve`].
///
/// # Errors
/// [`BindError`], with a text for the user.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => BindError::InUse { address, source },
        ErrorKind::PermissionDenied => BindError::NotAllowed { address, source },
        _ => BindError::Unusable { address, source },
    })
}
