//! `unbundled republish`: makes a service publish its journal to the broker again.
//!
//! The command only stores a note. The service itself publishes: at once if it is running, otherwise after its next
//! start. Readers drop the frames that they already have. This closes gaps that the broker caused by losing frames, and
//! costs nothing but time.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use dataflow::{Meta, Postgres};
use stage::{PartitionCount, Producer};
use web::ServiceDefinition;

/// The arguments of `unbundled republish`.
#[derive(Args)]
pub struct RepublishArguments {
    /// The database of the service that produces the streams.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database: String,
    /// The name of that service.
    #[arg(long)]
    service: String,
    /// Only this stream, for example `purchases`.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Only this producer, for example `post/1`.
    #[arg(long, value_name = "STAGE/PARTITION")]
    producer: Option<Producer>,
}

/// Stores the note, and prints what will be published again.
///
/// # Errors
/// When the database does not respond, belongs to another service, or contains nothing to publish.
pub async fn republish(arguments: RepublishArguments, services: &[ServiceDefinition]) -> anyhow::Result<ExitCode> {
    let RepublishArguments { database: url, service, stream, producer } = arguments;
    let seen = Postgres::look(&url).await?;
    let seen = seen.ok_or_else(|| anyhow::anyhow!("the database is empty: no service has ever used it"))?;
    let partitions = PartitionCount::new(seen.partitions)
        .ok_or_else(|| anyhow::anyhow!("the database has {} partitions: 1 to 64 are possible", seen.partitions))?;
    let known = services.iter().find(|known| known.name() == service);
    let topology = &known.ok_or_else(|| anyhow::anyhow!("there is no service {service}"))?.topology;
    let service = topology.name;
    let database = Postgres::open(&url, Meta { service, partitions }, &topology.tables()).await?;
    let own = topology.streams.iter().filter(|own| stream.as_deref().is_none_or(|name| name == own.name));
    let journals = own.flat_map(|stream| stream.journals(partitions));
    let journals: Vec<_> =
        journals.filter(|(known, _)| producer.as_ref().is_none_or(|wanted| wanted == known)).collect();
    let rewound = database.republish(&journals).await?;
    anyhow::ensure!(!rewound.is_empty(), "nothing in the journal of {service} matches: there is nothing to publish");
    for (producer, target) in rewound {
        writeln!(std::io::stdout(), "{producer} publishes its journal for {target} again from the beginning")?;
    }
    Ok(ExitCode::SUCCESS)
}
