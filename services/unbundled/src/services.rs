//! The list of the system's services.

use std::io::Write as _;
use std::process::ExitCode;

use exchange_rate::Feed;
use web::ServiceDefinition;

/// All services, producers before their readers. Exchange-rate fetches rates from the feed if there is one.
pub fn all(feed: Option<Feed>) -> Vec<ServiceDefinition> {
    vec![exchange_rate::definition(feed), purchase::definition(), ledger::definition()]
}

/// Prints the name and the default port of each service, one service per line.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print(services: &[ServiceDefinition]) -> anyhow::Result<ExitCode> {
    for service in services {
        writeln!(std::io::stdout(), "{} {}", service.name(), service.port)?;
    }
    Ok(ExitCode::SUCCESS)
}
