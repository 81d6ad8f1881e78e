//! All services in one process, and the operator's commands, for a system of any services.

pub mod services;

mod addresses;
mod audit;
mod data;
mod load;
mod replay;
mod republish;
mod run;
mod service;
mod trial_balance;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use exchange_rate::Feed;
use web::ServiceDefinition;

/// Files that an operator's command has open.
const OWN_FILES: u64 = 128;

/// Chapter 12 of Designing Data-Intensive Applications as a running system.
#[derive(Parser)]
#[command(name = "unbundled", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all services in this process, on one data folder.
    #[command(after_help = telemetry::HELP)]
    Run(run::RunArguments),
    /// Derive everything in a data folder, or in the databases of all services, again and compare it with what is stored.
    Audit(audit::AuditArguments),
    /// Let a service on RabbitMQ publish its journal once more.
    Republish(republish::RepublishArguments),
    /// Send real data through the HTTP API of a running system.
    #[command(subcommand)]
    Replay(replay::Replay),
    /// Send made-up purchases to a running system for a while and measure how fast it takes and settles them.
    Load(load::LoadArguments),
    /// List the services of the system: name and default port, one a line.
    Services,
}

/// The services of a system; exchange-rate follows this feed if there is one. Producers come before their readers.
pub type Services = fn(Option<Feed>) -> Vec<ServiceDefinition>;

/// Runs the command of this process on a system of these services.
#[must_use]
pub fn main(services: Services) -> ExitCode {
    web::use_ring();
    let known = services(None);
    let command = Arguments::command()
        .mut_subcommand("audit", |audit| audit.args(audit::database_arguments(&known)))
        .mut_subcommand("republish", |republish| {
            let names: Vec<_> = known.iter().map(ServiceDefinition::name).collect();
            republish.mut_arg("service", |service| service.value_parser(names))
        });
    let matches = command.get_matches();
    let Arguments { command } = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // A server's errors are lines of its log; the operator's commands talk to people.
    let report = match &command {
        Command::Run(_) => telemetry::report,
        Command::Audit(_) | Command::Republish(_) | Command::Replay(_) | Command::Load(_) | Command::Services => {
            print_error
        }
    };
    let databases = matches.subcommand_matches("audit").and_then(|audit| audit::database_urls(audit, &known));
    execute(command, services, databases).unwrap_or_else(|error| {
        report(error.as_ref());
        ExitCode::FAILURE
    })
}

fn execute(
    command: Command,
    services: Services,
    databases: Option<Vec<(&'static str, String)>>,
) -> anyhow::Result<ExitCode> {
    telemetry::init(telemetry::LogFormat::Auto)?;
    let known = services(None);
    match &command {
        Command::Run(_) => run::allow_files(known.len())?,
        Command::Audit(_) | Command::Republish(_) | Command::Replay(_) | Command::Load(_) | Command::Services => {
            unix::allow_files(OWN_FILES, OWN_FILES)?;
        }
    }
    let system = actix_web::rt::System::new();
    match command {
        Command::Run(arguments) => system.block_on(run::run(arguments, services)),
        Command::Audit(arguments) => Ok(system.block_on(audit::audit(arguments, databases, &known))),
        Command::Republish(arguments) => system.block_on(republish::republish(arguments, &known)),
        Command::Replay(replay) => system.block_on(replay::run(replay)),
        Command::Load(arguments) => system.block_on(load::run(arguments)),
        Command::Services => services::print(&known),
    }
}

/// One line that says what is wrong.
fn print_error(error: &(dyn std::error::Error + 'static)) {
    let _unread = writeln!(std::io::stderr(), "error: {}", telemetry::chain(error));
}
