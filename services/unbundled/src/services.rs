//! The services of the system: the one place that lists them.

use std::io::Write as _;
use std::process::ExitCode;

use exchange_rate::Feed;
use web::ServiceDefinition;

/// All services, producers before their readers. Exchange-rate follows this feed if there is one.
pub fn all(feed: Option<Feed>) -> Vec<ServiceDefinition> {
    vec![exchange_rate::definition(feed), purchase::definition(), ledger::definition()]
}

/// Prints the name and the default port of each service, one service a line.
///
/// # Errors
/// When they cannot be printed.
pub(crate) fn print(services: &[ServiceDefinition]) -> anyhow::Result<ExitCode> {
    for service in services {
        writeln!(std::io::stdout(), "{} {}", service.name(), service.port)?;
    }
    Ok(ExitCode::SUCCESS)
}
