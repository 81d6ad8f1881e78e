//! `unbundled` with one more service: `unbundled-with-loyalty run` runs all of them in one process.

use std::process::ExitCode;

use web::ServiceDefinition;

fn main() -> ExitCode {
    unbundled::main(|feed| {
        let mut services: Vec<ServiceDefinition> = unbundled::services::all(feed);
        services.push(loyalty::definition());
        services
    })
}
