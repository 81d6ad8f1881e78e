//! The server around a service's routes.
//!
//! Bounded: open connections, the bytes of bodies (`body.rs`), the time to send a head ([`HEAD_TIMEOUT`]) and a body
//! ([`crate::BODY_TIMEOUT`]), the time an idle connection and a stopping server stay. It never
//! handles signals: `main` stops it, `server.handle().stop(true)`, when all services may stop.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
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
use actix_web::web::{self, Data};
use actix_web::{App, Error};
use prometheus::Registry;
use telemetry::Traces;
use tracing_actix_web::TracingLogger;

use crate::body::BodyBudget;
use crate::log::RequestSpan;
use crate::metrics::{self, HttpMetrics};
use crate::{Api, Readiness, answer, closing};

/// Open connections per worker.
const MAX_CONNECTIONS: usize = 512;
/// Longer than the 90 s for which common clients keep an idle connection, so that they close it
/// first and never send into one that is just being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(95);
/// For the head of a connection's first request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// For swallowing what a client still sends after it was answered (a body too large).
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For requests in progress when the server stops.
const SHUTDOWN_TIMEOUT_S: u64 = 5;

/// What every service shows, whatever its business. Clones share it.
#[derive(Clone)]
pub struct Shell {
    /// The service's name, a field of its log lines.
    pub name: &'static str,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What `/readyz` tells.
    pub readiness: Readiness,
    /// Where its requests' spans go.
    pub traces: Traces,
    pub(crate) http: HttpMetrics,
    pub(crate) bodies: BodyBudget,
    /// Where it listens.
    pub(crate) address: Option<SocketAddr>,
}

impl Shell {
    /// A shell that records no spans; the registry gets the metrics of HTTP, of the process and of the build.
    ///
    /// # Errors
    /// When the registry already has these: one registry per service.
    pub fn new(name: &'static str, registry: Registry, readiness: Readiness) -> Result<Self, prometheus::Error> {
        let http = HttpMetrics::register(&registry)?;
        telemetry::register_process(&registry)?;
        metrics::register_build(&registry, name)?;
        let (traces, bodies) = (Traces::off(), BodyBudget::default());
        Ok(Self { name, registry, readiness, traces, http, bodies, address: None })
    }

    /// The same, recording spans; the registry gets what becomes of them.
    ///
    /// # Errors
    /// When the registry already has these.
    pub fn traced(self, traces: Traces) -> Result<Self, prometheus::Error> {
        traces.register(&self.registry)?;
        Ok(Self { traces, ..self })
    }
}

/// The whole application: the shell around the routes of `api`, whose handlers find `state`. For tests; [`serve`] does
/// the same on a port.
pub fn app<T: Clone + 'static>(
    shell: Shell,
    api: &Api,
    state: T,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<T>>,
        Error = Error,
        InitError = (),
    > + use<T>,
> {
    App::new()
        .app_data(shell)
        .app_data(Data::new(state))
        .configure(|config| api.configure(config))
        .default_service(web::to(answer::nothing_here))
        .wrap(from_fn(answer::as_problem))
        .wrap(TracingLogger::<RequestSpan>::new())
}

/// Starts to serve [`app`] on `workers` threads. The server is a future: it must be awaited, in
/// whatever task, to its end. It stops by its `handle()`: `stop(true)` lets requests in progress
/// finish. On Ctrl-C nothing happens here.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve<T>(shell: Shell, listener: TcpListener, workers: usize, api: Api, state: T) -> io::Result<Server>
where
    T: Clone + Send + 'static,
{
    let (service, address) = (shell.name, listener.local_addr()?);
    let shell = Shell { address: Some(address), ..shell };
    let builder = Server::build();
    let stopping = builder.graceful_shutdown_signal();
    // What actix-web's `HttpServer` does as well, but it shows nobody how a connection ended.
    let connections = move || {
        let (stopping, http) = (stopping.clone(), shell.http.clone());
        let app = app(shell.clone(), &api, state.clone()).into_factory();
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
            .on_connect_ext(|_: &TcpStream, connection| closing::transport(connection))
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

/// What ended a connection before its time. What is no HTTP, actix has answered with an empty 400 or 431. It also logs
/// all of this as errors, which [`telemetry`] leaves out: no client can fill the log.
fn failed(service: &str, http: &HttpMetrics, error: &DispatchError) {
    let cause: &dyn std::error::Error = error;
    match error {
        DispatchError::Parse(parse) => {
            let status = match parse {
                ParseError::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            http.count_unreadable(status);
            tracing::debug!(service, status = status.as_u16(), error = cause, "what came is no HTTP");
        }
        DispatchError::Io(_) | DispatchError::SlowRequestTimeout | DispatchError::DisconnectTimeout => {
            tracing::debug!(service, error = cause, "a connection broke off");
        }
        _ => tracing::error!(service, error = cause, "a connection failed"),
    }
}

/// How many connections a server with so many workers has open at most. Each is an open file.
pub fn connections_max(workers: usize) -> u64 {
    u64::try_from(workers.max(1).saturating_mul(MAX_CONNECTIONS)).unwrap_or(u64::MAX)
}

/// Why a service cannot have its address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else listens there.
    #[error(
        "port {} on {} is in use: stop what uses it or choose others with --base-port",
        address.port(), address.ip()
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Ports below 1024 mostly need a privilege.
    #[error(
        "port {} on {} is not allowed for this user: choose others with --base-port",
        address.port(), address.ip()
    )]
    NotAllowed {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No interface of this machine has it, or the system refuses for another reason.
    #[error("cannot listen on {address}")]
    Unusable {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes an address; port 0 is any free one. From now on clients can connect: they wait for
/// [`serve`].
///
/// # Errors
/// With a text for the user, see [`BindError`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => BindError::InUse { address, source },
        ErrorKind::PermissionDenied => BindError::NotAllowed { address, source },
        _ => BindError::Unusable { address, source },
    })
}
