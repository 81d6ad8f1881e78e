//! `unbundled run`: all services in one process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use dataflow::{Store, Transport, Wakeups};
use exchange_rate::{Feed, FeedSettings};
use telemetry::{TraceSettings, Traces};
use unix::{Signals, TooFewFiles};
use web::{RunningService, ServiceSetup};

use crate::data::DataFolder;

/// Threads that answer HTTP, per service.
const WORKERS: usize = 2;
/// Files that three services have open without any client: databases, and the queues of their threads.
const OWN_FILES: u64 = 192;
/// How long the services may take to get ready before that is reported.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to look whether they are.
const READY_INTERVAL: Duration = Duration::from_millis(5);

/// What can be set.
#[derive(Args)]
pub struct RunArguments {
    /// Where to keep the data.
    #[arg(long, value_name = "DIR", default_value = ".unbundled", env = "UNBUNDLED_FOLDER")]
    data: PathBuf,
    /// Keep the data in a temporary folder and delete it at the end.
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// The port of exchange-rate; purchase and ledger take the next two. 0: any that are free.
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    base_port: u16,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// How many partitions the streams of a new data folder get.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<u16>,
    #[command(flatten)]
    feed: FeedSettings,
}

/// Lets this process open the files it needs.
///
/// # Errors
/// [`TooFewFiles`].
pub fn allow_files() -> Result<(), TooFewFiles> {
    unix::allow_files(OWN_FILES, OWN_FILES + 3 * web::connections_max(WORKERS))
}

/// Runs until Ctrl-C, SIGTERM or SIGHUP.
///
/// # Errors
/// When it cannot start.
pub async fn run(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let feed = arguments.feed.check()?;
    let settings = TraceSettings::of_environment()?;
    let temporary = if arguments.ephemeral { Some(tempfile::tempdir().context("no temporary folder")?) } else { None };
    let path = temporary.as_ref().map_or(arguments.data.as_path(), |folder| folder.path());
    let mut listeners = Vec::new();
    for offset in 0..3 {
        listeners.push(web::bind(SocketAddr::new(arguments.bind, port(arguments.base_port, offset)?))?);
    }
    let mut signals = Signals::receive()?;
    let folder = DataFolder::take(path)?;
    let partitions = folder.partitions(arguments.partitions).await?;
    let stores = folder.open(partitions).await?;
    let (mut services, mut traces) = (Vec::new(), BTreeMap::new());
    for (name, _) in in_order(&stores) {
        traces.insert(name, Traces::start(name, &settings)?);
    }
    let started_or_stopped = tokio::select! {
        result = start(listeners, &stores, feed.as_ref(), &traces, &mut services) => result.map(|()| true),
        () = signals.asked_to_end() => Ok(false),
    };
    if let Ok(true) = started_or_stopped {
        let folder = if arguments.ephemeral { "a temporary folder".to_owned() } else { path.display().to_string() };
        let at = |name| address(&services, name);
        let (rates, purchase, ledger) = (at(exchange_rate::SERVICE), at(purchase::SERVICE), at(ledger::SERVICE));
        let took = started.elapsed();
        telemetry::announce(&banner(&rates, &purchase, &ledger, &folder, took), || {
            tracing::info!(exchange_rate = rates, purchase, ledger, data = folder, ?took, "ready");
        });
        signals.asked_to_end().await;
    }
    tokio::select! {
        () = stop(services, traces) => {}
        () = signals.interrupted() => bail!("stopped at once, as asked for again; nothing that was answered is lost"),
    }
    started_or_stopped?;
    telemetry::announce("stopped\n", || tracing::info!("stopped"));
    Ok(ExitCode::SUCCESS)
}

/// Starts the services and waits until all can do their work.
async fn start(
    listeners: Vec<TcpListener>,
    stores: &BTreeMap<&'static str, Store>,
    feed: Option<&Feed>,
    traces: &BTreeMap<&'static str, Traces>,
    services: &mut Vec<RunningService>,
) -> anyhow::Result<()> {
    let transport = Transport::Journals(stores.clone(), Wakeups::default());
    for (listener, (name, store)) in listeners.into_iter().zip(in_order(stores)) {
        let (store, transport) = (store.clone(), transport.clone());
        let traces = traces.get(name).cloned().unwrap_or_default();
        let setup = ServiceSetup { store, transport, listener, workers: WORKERS, traces };
        let running = match name {
            exchange_rate::SERVICE => exchange_rate::start(setup, feed.cloned()).await,
            purchase::SERVICE => purchase::start(setup).await,
            ledger::SERVICE => ledger::start(setup).await,
            _ => bail!("nothing starts {name}"),
        };
        services.push(running.with_context(|| format!("{name} cannot start"))?);
    }
    ready(services).await
}

/// Stops the services, then sends what is left of their traces.
async fn stop(services: Vec<RunningService>, traces: BTreeMap<&'static str, Traces>) {
    RunningService::stop(services).await;
    Traces::stop(traces.into_values().collect()).await;
}

fn port(base: u16, offset: u16) -> anyhow::Result<u16> {
    if base == 0 {
        return Ok(0);
    }
    base.checked_add(offset).with_context(|| format!("--base-port {base} leaves no room for three ports"))
}

/// The stores in the order of the ports.
fn in_order<'a>(stores: &'a BTreeMap<&'static str, Store>) -> impl Iterator<Item = (&'static str, &'a Store)> {
    crate::data::services().into_iter().filter_map(|(name, _)| Some((name, stores.get(name)?)))
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

/// Where a service listens.
fn address(services: &[RunningService], name: &str) -> String {
    let service = services.iter().find(|service| service.name() == name);
    service.map_or_else(String::new, |service| format!("http://{}", service.address()))
}

/// Where everything is, and three things to try.
fn banner(rates: &str, purchase: &str, ledger: &str, folder: &str, took: Duration) -> String {
    format!(
        r#"Unbundled is ready after {took:.1?}; its data is in {folder}.

  exchange-rate  {rates}
  purchase       {purchase}
  ledger         {ledger}

Three things to try, in another terminal:

  1. Offer something for 15.30 pounds.
     curl -X PUT {purchase}/offers/lantern -H 'Content-Type: application/json' \
       -d '{{"price":{{"amount":"15.30","currency":"GBP"}}}}'

  2. Buy three of them in euros, and wait until it is settled. Send it again: it stays one purchase.
     curl -X POST {purchase}/purchases -H 'Content-Type: application/json' \
       -H 'Idempotency-Key: my-first' -H 'Prefer: wait=5' \
       -d '{{"customer":"alice","pay_in":"EUR","lines":[{{"sku":"lantern","quantity":3}}],"occurred_at":"2026-10-30T12:00:00Z"}}'

  3. See that the books balance in both currencies.
     curl {ledger}/trial-balance

Ctrl-C stops it; started again, it goes on where it was.
"#
    )
}
