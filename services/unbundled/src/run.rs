//! `unbundled run`: all services in one process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use dataflow::{Store, Transport, Wakeups};
use exchange_rate::FeedSettings;
use telemetry::{TraceSettings, Traces};
use unix::{Signals, TooFewFiles};
use web::{RunningService, ServiceDefinition, ServiceSetup};

use crate::data::DataFolder;

/// The number of HTTP threads per service.
const WORKERS: usize = 2;
/// The number of open files of each service without clients: databases, and the queues of their threads.
const OWN_FILES_EACH: u64 = 64;
/// How long the services may take to become ready before the start fails.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The interval between two checks whether they are ready.
const READY_INTERVAL: Duration = Duration::from_millis(5);

/// The arguments of `unbundled run`.
#[derive(Args)]
pub struct RunArguments {
    /// Where to keep the data.
    #[arg(long, value_name = "DIR", default_value = ".unbundled", env = "UNBUNDLED_FOLDER")]
    data: PathBuf,
    /// Keep the data in a temporary folder and delete it at the end.
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// The port of the first service; the others take the next ones. 0 for any free ports.
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    base_port: u16,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// The number of partitions of each stream in a new data folder.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<u16>,
    #[command(flatten)]
    feed: FeedSettings,
}

/// Lets this process open the files it needs.
///
/// # Errors
/// [`TooFewFiles`].
pub fn raise_file_limit(services: usize) -> Result<(), TooFewFiles> {
    let own = OWN_FILES_EACH * services as u64;
    unix::raise_file_limit(own, own + services as u64 * web::connections_max(WORKERS))
}

/// Runs until Ctrl-C, SIGTERM or SIGHUP.
///
/// # Errors
/// When it cannot start.
pub async fn run(arguments: RunArguments, services: crate::Services) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let definitions = services(arguments.feed.check()?);
    let settings = TraceSettings::of_environment()?;
    let temporary = if arguments.ephemeral { Some(tempfile::tempdir().context("no temporary folder")?) } else { None };
    let path = temporary.as_ref().map_or(arguments.data.as_path(), |folder| folder.path());
    let mut listeners = Vec::new();
    for offset in 0..definitions.len() {
        listeners.push(web::bind(SocketAddr::new(arguments.bind, port(arguments.base_port, offset)?))?);
    }
    let mut signals = Signals::receive()?;
    let folder = DataFolder::take(path)?;
    let partitions = folder.partitions(arguments.partitions, &definitions).await?;
    let stores = folder.open(partitions, &definitions).await?;
    let (mut running, mut traces) = (Vec::new(), BTreeMap::new());
    for definition in &definitions {
        traces.insert(definition.name(), Traces::start(definition.name(), &settings)?);
    }
    let started_or_stopped = tokio::select! {
        result = start(&definitions, listeners, &stores, &traces, &mut running) => result.map(|()| true),
        () = signals.shutdown_requested() => Ok(false),
    };
    if let Ok(true) = started_or_stopped {
        let folder = if arguments.ephemeral { "a temporary folder".to_owned() } else { path.display().to_string() };
        let addresses: Vec<_> = running.iter().map(address).collect();
        let took = started.elapsed();
        telemetry::announce(&banner(&addresses, &folder, took), || {
            let list: Vec<_> = addresses.iter().map(|(name, address)| format!("{name} {address}")).collect();
            tracing::info!(services = list.join(", "), data = folder, ?took, "ready");
        });
        signals.shutdown_requested().await;
    }
    tokio::select! {
        () = stop(running, traces) => {}
        () = signals.interrupted() => bail!("stopped at once by a second signal; nothing that got a response is lost"),
    }
    started_or_stopped?;
    telemetry::announce("stopped\n", || tracing::info!("stopped"));
    Ok(ExitCode::SUCCESS)
}

/// Starts the services and waits until all are ready.
///
/// # Errors
/// When one of them cannot start. `running` then has those that did.
pub async fn start(
    definitions: &[ServiceDefinition],
    listeners: Vec<TcpListener>,
    stores: &BTreeMap<&'static str, Store>,
    traces: &BTreeMap<&'static str, Traces>,
    running: &mut Vec<RunningService>,
) -> anyhow::Result<()> {
    let transport = Transport::Journals(stores.clone(), Wakeups::default());
    for (listener, definition) in listeners.into_iter().zip(definitions) {
        let name = definition.name();
        let Some(store) = stores.get(name).cloned() else { bail!("{name} has no store") };
        let (transport, traces) = (transport.clone(), traces.get(name).cloned().unwrap_or_default());
        let setup = ServiceSetup { store, transport, listener, workers: WORKERS, traces };
        let started = definition.start(setup).await;
        running.push(started.with_context(|| format!("{name} cannot start"))?);
    }
    ready(running).await
}

/// Stops the services, then sends the rest of their traces.
pub async fn stop(services: Vec<RunningService>, traces: BTreeMap<&'static str, Traces>) {
    RunningService::stop(services).await;
    Traces::stop(traces.into_values().collect()).await;
}

fn port(base: u16, offset: usize) -> anyhow::Result<u16> {
    if base == 0 {
        return Ok(0);
    }
    let port = u16::try_from(offset).ok().and_then(|offset| base.checked_add(offset));
    port.with_context(|| format!("--base-port {base} leaves too few ports for all services"))
}

async fn ready(services: &[RunningService]) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let missing: Vec<_> = services.iter().flat_map(|service| service.readiness().missing()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if started.elapsed() > READY_TIMEOUT {
            let reasons: Vec<_> = missing.into_iter().map(|(_, why)| why).collect();
            bail!("not ready after {} s: {}", READY_TIMEOUT.as_secs(), reasons.join("; "));
        }
        tokio::time::sleep(READY_INTERVAL).await;
    }
}

/// The name of a service and its URL.
pub fn address(service: &RunningService) -> (&'static str, String) {
    (service.name(), format!("http://{}", service.address()))
}

/// The addresses of all services, and three commands to try.
fn banner(addresses: &[(&'static str, String)], folder: &str, took: Duration) -> String {
    let of = |service| addresses.iter().find(|(name, _)| *name == service).map_or("", |(_, address)| address);
    let (purchase, ledger) = (of(purchase::SERVICE), of(ledger::SERVICE));
    let list: String = addresses.iter().map(|(name, address)| format!("  {name:<13}  {address}\n")).collect();
    format!(
        r#"Unbundled is ready after {took:.1?}; its data is in {folder}.

{list}
Three things to try, in another terminal:

  1. Offer something for 15.30 pounds.
     curl -X PUT {purchase}/offers/lantern -H 'Content-Type: application/json' \
       -d '{{"price":{{"amount":"15.30","currency":"GBP"}}}}'

  2. Buy three of them in euros, and wait until the purchase is settled. Sent again, it stays one purchase.
     curl -X POST {purchase}/purchases -H 'Content-Type: application/json' \
       -H 'Idempotency-Key: my-first' -H 'Prefer: wait=5' \
       -d '{{"customer":"alice","pay_in":"EUR","lines":[{{"sku":"lantern","quantity":3}}],"occurred_at":"2026-10-30T12:00:00Z"}}'

  3. Check that the books balance in both currencies.
     curl {ledger}/trial-balance

Ctrl-C stops it. Started again, it continues where it stopped.
"#
    )
}
