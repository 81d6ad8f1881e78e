//! `unbundled sweetspot`: a new system on a temporary folder for each cell, in this process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use replay::{Cell, Sweetspot, SweetspotArguments, Terms};
use tempfile::TempDir;
use unix::Signals;
use web::RunningService;

use crate::data::DataFolder;
use crate::run::{address, start, stop};

/// With one partition, everything must equal the sequential model.
const PARTITIONS: u16 = 1;

/// Measures all cells and prints the result.
///
/// # Errors
/// When it cannot finish. Nothing is left in the temporary folder.
pub async fn sweetspot(arguments: SweetspotArguments, services: crate::Services) -> anyhow::Result<ExitCode> {
    let sweetspot = Sweetspot::read(arguments).await?;
    let mut signals = Signals::receive()?;
    let cells = stream::iter(sweetspot.cells()).map(|terms| measured(&sweetspot, terms, services));
    let cells = cells.buffered(sweetspot.at_once()).try_collect::<Vec<_>>();
    let cells = tokio::select! {
        cells = cells => cells?,
        () = signals.shutdown_requested() => bail!("stopped before all cells were measured"),
    };
    sweetspot.finish(cells)
}

async fn measured(sweetspot: &Sweetspot, terms: Terms, services: crate::Services) -> anyhow::Result<Cell> {
    let system = System::start(services).await?;
    let addresses: Vec<_> = system.running.iter().map(address).collect();
    let cell = match operator_client::Services::at(&addresses) {
        Ok(clients) => sweetspot.measure(terms, &clients).await,
        Err(error) => Err(error.into()),
    };
    stop(system.running, BTreeMap::new()).await;
    cell
}

/// A running system. Its data are removed with it.
struct System {
    running: Vec<RunningService>,
    _lock: DataFolder,
    _folder: TempDir,
}

impl System {
    async fn start(services: crate::Services) -> anyhow::Result<Self> {
        let definitions = services(None);
        let temporary = tempfile::tempdir().context("no temporary folder")?;
        let folder = DataFolder::take(temporary.path())?;
        let partitions = folder.partitions(Some(PARTITIONS), &definitions).await?;
        let stores = folder.open(partitions, &definitions).await?;
        let any_port = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let listeners = definitions.iter().map(|_| web::bind(any_port)).collect::<Result<Vec<_>, _>>()?;
        let mut running = Vec::new();
        if let Err(error) = start(&definitions, listeners, &stores, &BTreeMap::new(), &mut running).await {
            stop(running, BTreeMap::new()).await;
            return Err(error);
        }
        Ok(Self { running, _lock: folder, _folder: temporary })
    }
}
