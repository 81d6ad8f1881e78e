//! The lifecycle of a service's process.

use std::io::{self, IsTerminal as _};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use dataflow::{Store, StoreError, Streams, Transport};
use telemetry::{BadTraceSetting, InitError, TraceSettings, Traces};
use tokio::time::sleep;
use unix::{Signals, TooFewFiles};
use web::{RunningService, ServiceDefinition, ServiceSetup, StartError};

use crate::configuration::{BadSetting, Configuration, Settings};
use crate::leadership::Leadership;
use crate::standby::Standby;

/// How long to wait before a failed start is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The exit code after invalid arguments.
const USAGE: u8 = 2;
/// Files that a service has open without any client: connections to its database and broker, and queues of its threads.
const OWN_FILES: u64 = 128;

/// One service in its own process, on RabbitMQ and Postgres.
#[derive(Parser)]
#[command(version, after_help = telemetry::HELP)]
struct Arguments<Own: Args> {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    own: Own,
}

/// Stands for the extra settings of a service that has none.
#[derive(Args)]
struct NoOwn {}

/// The reason why a process ended on its own.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Log(#[from] InitError),
    #[error(transparent)]
    Files(#[from] TooFewFiles),
    #[error(transparent)]
    Setting(#[from] BadSetting),
    #[error(transparent)]
    Traces(#[from] BadTraceSetting),
    #[error("cannot listen on {address}: set BIND to another address and port, or stop what uses it")]
    Listen {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the database cannot be used")]
    Database(#[from] StoreError),
    #[error("{service} cannot start")]
    Start {
        service: &'static str,
        #[source]
        source: StartError,
    },
    #[error("signals cannot be received")]
    Signals(#[from] std::io::Error),
}

/// Runs a service until SIGTERM, SIGHUP or Ctrl-C.
#[must_use]
pub fn main(service: ServiceDefinition) -> ExitCode {
    main_with(service.name(), |NoOwn {}| Ok(service))
}

/// Runs a service that has its own settings besides the common ones, until SIGTERM, SIGHUP or Ctrl-C.
#[must_use]
pub fn main_with<Own: Args>(
    name: &'static str,
    service: impl FnOnce(Own) -> Result<ServiceDefinition, BadSetting>,
) -> ExitCode {
    web::use_ring();
    let command = Arguments::<Own>::command().name(name);
    let arguments = command.try_get_matches().and_then(|matches| Arguments::<Own>::from_arg_matches(&matches));
    let Arguments { settings, own } = match arguments {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && !io::stderr().is_terminal() => {
            telemetry::report(&error);
            return ExitCode::from(USAGE);
        }
        Err(error) => error.exit(),
    };
    match start(service, own, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Checks everything that can be checked immediately, then runs the service.
fn start<Own>(
    service: impl FnOnce(Own) -> Result<ServiceDefinition, BadSetting>,
    own: Own,
    settings: &Settings,
) -> Result<(), Failed> {
    telemetry::init(telemetry::LogFormat::Auto)?;
    let service = service(own)?;
    let configuration = Configuration::check(settings, service.name(), service.port)?;
    unix::raise_file_limit(OWN_FILES, OWN_FILES + web::connections_max(configuration.workers))?;
    actix_web::rt::System::new().block_on(run(&service, &configuration))
}

async fn run(service: &ServiceDefinition, configuration: &Configuration) -> Result<(), Failed> {
    telemetry::announce(&format!("{}\n{configuration}", service.name()), || configuration.log(service.name()));
    let traces = Traces::start(service.name(), &TraceSettings::of_environment()?)?;
    let address = configuration.bind;
    let listener = TcpListener::bind(address).map_err(|source| Failed::Listen { address, source })?;
    let mut signals = Signals::receive()?;
    loop {
        let standby = Standby::start(service.name(), (service.api)(), listener.try_clone()?);
        let standby = standby.map_err(|source| Failed::Start { service: service.name(), source })?;
        let leadership = tokio::select! {
            leadership = Leadership::wait(service, configuration, &standby) => Some(leadership?),
            () = signals.shutdown_requested() => None,
        };
        standby.stop().await;
        let Some(mut leadership) = leadership else { break };
        let listener = listener.try_clone()?;
        let ended = serve(service, configuration, listener, &traces, &mut leadership, &mut signals).await?;
        leadership.end().await;
        if ended == Ended::ShutDown {
            break;
        }
    }
    Traces::stop(vec![traces]).await;
    telemetry::announce("stopped\n", || tracing::info!(service = service.name(), "stopped"));
    Ok(())
}

/// Serves until a shutdown is requested, or until another instance becomes active.
async fn serve(
    service: &ServiceDefinition,
    configuration: &Configuration,
    listener: TcpListener,
    traces: &Traces,
    leadership: &mut Leadership,
    signals: &mut Signals,
) -> Result<Ended, Failed> {
    let transport = Transport::Broker(Streams {
        broker: configuration.broker.clone(),
        database: Arc::new(leadership.database.clone()),
        streams: service.topology.streams,
        backlog_bytes_max: configuration.backlog_bytes_max,
    });
    let (store, workers, traces) = (Store::from(leadership.database.clone()), configuration.workers, traces.clone());
    let running = tokio::select! {
        running = service.start(ServiceSetup { store, transport, listener, workers, traces }) => running,
        () = leadership.lost() => return Ok(Ended::Replaced),
        () = signals.shutdown_requested() => return Ok(Ended::ShutDown),
    };
    let running = match running {
        Ok(running) => running,
        Err(error) if error.is_transient() => {
            tracing::warn!(why = telemetry::error_chain(&error), "the start failed and will be retried");
            sleep(RETRY_INTERVAL).await;
            return Ok(Ended::Replaced);
        }
        Err(source) => return Err(Failed::Start { service: service.name(), source }),
    };
    let database = running.readiness().require("database", "not checked yet");
    let ended = tokio::select! {
        () = leadership.watch(&database) => Ended::Replaced,
        () = running.fenced() => Ended::Replaced,
        () = signals.shutdown_requested() => Ended::ShutDown,
    };
    RunningService::stop(vec![running]).await;
    Ok(ended)
}

/// The reason why an instance is no longer active.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    ShutDown,
    /// Another instance is active, or may become active.
    Replaced,
}
