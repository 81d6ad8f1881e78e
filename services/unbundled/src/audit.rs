//! `unbundled audit`: everything is derived again from what was recorded and compared with what is stored, in a
//! data folder or in the databases; then the invariants that the services declare are checked: money is conserved,
//! every purchase has its outcome.

mod databases;
mod report;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use dataflow::audit::{Audit, Finding, Report, Watch};
use dataflow::{Meta, Sqlite, Store, StoreError};
use operator_client::Progress;
use stage::{PartitionCount, Stream};
use web::ServiceDefinition;

use self::databases::NotAudited;
use crate::data::DataFolder;

pub use databases::{arguments as database_arguments, urls as database_urls};

/// The exit code when something is wrong with the data.
const FOUND: u8 = 1;
/// The exit code when the data could not be looked at.
const NOT_AUDITED: u8 = 2;

/// What can be set.
#[derive(Args)]
pub struct AuditArguments {
    /// The data folder of a stopped system.
    #[arg(long, value_name = "DIR", default_value = ".unbundled", env = "UNBUNDLED_FOLDER")]
    data: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The result of an audit of the whole system.
#[derive(Debug, Default)]
pub struct Audited {
    /// What was derived again, and all findings.
    pub report: Report,
    /// How long it took.
    pub took: Duration,
}

/// Audits a data folder, or the databases of all services. 0: clean, 1: something is wrong, 2: it could not be audited.
pub async fn audit(
    arguments: AuditArguments,
    databases: Option<Vec<(&'static str, String)>>,
    services: &[ServiceDefinition],
) -> ExitCode {
    let started = Instant::now();
    let audited = match databases {
        Some(urls) => of_databases(&urls, services).await,
        None => of_folder(&arguments, services).await,
    };
    match audited {
        Ok(mut audited) => {
            audited.took = started.elapsed();
            let text = if arguments.json { report::json(&audited) } else { report::text(&audited) };
            match std::io::stdout().write_all(text.as_bytes()).context("the report cannot be written") {
                Ok(()) if audited.report.findings.is_empty() => ExitCode::SUCCESS,
                Ok(()) => ExitCode::from(FOUND),
                Err(error) => not_audited(error.as_ref()),
            }
        }
        Err(error) => not_audited(error.as_ref()),
    }
}

fn not_audited(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    crate::print_error(error);
    ExitCode::from(NOT_AUDITED)
}

/// Audits the stores of all services: of the files of a stopped system, or of a simulation. Findings are
/// no error.
///
/// # Errors
/// [`StoreError`] when a store does not answer.
pub async fn everything(stores: Vec<Store>, services: &[ServiceDefinition]) -> Result<Audited, StoreError> {
    let progress = Progress::auditing();
    let watch = Watch::new(move |far| progress.audited(far.done, far.of, far.what, far.facts));
    let streams: Vec<&Stream> = services.iter().flat_map(|service| service.topology.streams).copied().collect();
    let mut audit = Audit::watched(&streams, stores, watch).await?;
    services.iter().for_each(|service| service.topology.audit(&mut audit));
    Ok(Audited { report: audit.finish().await?, ..Audited::default() })
}

async fn of_databases(urls: &[(&'static str, String)], services: &[ServiceDefinition]) -> anyhow::Result<Audited> {
    let stores = match databases::at_one_moment(urls).await {
        Err(NotAudited::Store { service, source: StoreError::Damaged(what) }) => {
            let mut audited = Audited::default();
            audited.report.find(Finding { service, place: "database".to_owned(), what });
            return Ok(audited);
        }
        stores => stores?,
    };
    let audited = everything(stores.clone(), services).await?;
    for store in stores {
        store.close().await;
    }
    Ok(audited)
}

async fn of_folder(arguments: &AuditArguments, services: &[ServiceDefinition]) -> anyhow::Result<Audited> {
    let path = &arguments.data;
    anyhow::ensure!(path.is_dir(), "there is no data folder {}: choose one with --data", path.display());
    let there = services.iter().any(|service| path.join(format!("{}.sqlite", service.name())).exists());
    anyhow::ensure!(there, "{} holds no data: choose a data folder with --data", path.display());
    let folder = DataFolder::take_to_read(path)?;
    let mut report = Report::default();
    let mut stores = Vec::new();
    let partitions = partitions(&folder, services, &mut report).await?;
    for service in services.iter().map(ServiceDefinition::name) {
        let file = folder.file(service);
        let store = match partitions {
            Some(_) if !file.exists() => Err(StoreError::Damaged(format!("{} is missing", file.display()))),
            Some(partitions) => Sqlite::open_to_read(&file, Meta { service, partitions }).await,
            None => continue,
        };
        stores.extend(found(service, store, &mut report)?.map(Store::from));
    }
    let audited = if report.findings.is_empty() {
        everything(stores.clone(), services).await?
    } else {
        Audited { report, ..Audited::default() }
    };
    for store in stores {
        store.close().await;
    }
    Ok(audited)
}

/// The number of partitions that the files were created for, from the first one that has it.
async fn partitions(
    folder: &DataFolder,
    services: &[ServiceDefinition],
    report: &mut Report,
) -> Result<Option<PartitionCount>, StoreError> {
    for service in services.iter().map(ServiceDefinition::name) {
        let seen = found(service, Sqlite::look(&folder.file(service)).await, report)?.flatten();
        let stored = seen.map(|seen| seen.partitions);
        let Some(stored) = stored else { continue };
        let what = format!("meta.partitions is {stored}: 1 to 64 are possible");
        let count = PartitionCount::new(stored).ok_or(StoreError::Damaged(what));
        if let Some(count) = found(service, count, report)? {
            return Ok(Some(count));
        }
    }
    Ok(None)
}

/// What was read; what is damaged is a finding.
fn found<T>(service: &'static str, read: Result<T, StoreError>, report: &mut Report) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Damaged(what)) => {
            report.find(Finding { service, place: "database".to_owned(), what });
            Ok(None)
        }
        Err(error @ StoreError::Unavailable(_)) => Err(error),
    }
}
