//! `unbundled` with loyalty and tiers: `unbundled-with-tiers run` runs all services in one process.

use std::process::ExitCode;

use web::ServiceDefinition;

fn main() -> ExitCode {
    unbundled::main(|feed| {
        let mut services: Vec<ServiceDefinition> = unbundled::services::all(feed);
        services.push(loyalty_tiers::definition());
        services
    })
}
