//! The program `unbundled`: all services in one process, and the operator's commands. It takes any list of services.

pub mod services;

mod audit;
mod data;
mod republish;
mod run;
mod sweetspot;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use exchange_rate::Feed;
use operator_client::address_arguments;
use web::ServiceDefinition;

/// The number of open files that an operator's command needs.
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
    /// Derive all data of a data folder, or of databases, again and compare it with the stored data.
    Audit(audit::AuditArguments),
    /// Make a service on RabbitMQ publish its journal again.
    Republish(republish::RepublishArguments),
    /// Send real data through the HTTP API of a running system.
    #[command(subcommand)]
    Replay(replay::Replay),
    /// Send synthetic purchases to a running system and measure how fast it accepts and settles them.
    Load(load::LoadArguments),
    /// Play real bookings under 25 different terms, and print what each of them costs.
    Sweetspot(replay::SweetspotArguments),
    /// List the services of the system: name and default port, one per line.
    Services,
}

/// Returns the services of a system, producers before their readers. Exchange-rate fetches rates from the feed if there
/// is one.
pub type Services = fn(Option<Feed>) -> Vec<ServiceDefinition>;

/// Runs the command of this process on a system of these services.
#[must_use]
pub fn main(services: Services) -> ExitCode {
    web::use_ring();
    let known = services(None);
    let names = names(&known);
    let of_replay = address_arguments(&names, &replay::SERVICES);
    let command = Arguments::command()
        .mut_subcommand("audit", |audit| audit.args(audit::database_arguments(&known)))
        .mut_subcommand("load", |load| load.args(address_arguments(&names, &names)))
        .mut_subcommand("replay", |replay| replay.mut_subcommands(|data| data.args(of_replay.clone())))
        .mut_subcommand("republish", |republish| {
            republish.mut_arg("service", |service| service.value_parser(names.clone()))
        });
    let matches = command.get_matches();
    let Arguments { command } = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // A server reports errors in its log; an operator's command prints them.
    let report = match &command {
        Command::Run(_) => telemetry::report,
        Command::Audit(_)
        | Command::Republish(_)
        | Command::Replay(_)
        | Command::Load(_)
        | Command::Sweetspot(_)
        | Command::Services => print_error,
    };
    execute(command, innermost(&matches), services).unwrap_or_else(|error| {
        report(error.as_ref());
        ExitCode::FAILURE
    })
}

/// The arguments of the subcommand.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, matches)| innermost(matches))
}

fn names(services: &[ServiceDefinition]) -> Vec<&'static str> {
    services.iter().map(ServiceDefinition::name).collect()
}

fn execute(command: Command, matches: &ArgMatches, services: Services) -> anyhow::Result<ExitCode> {
    // The systems of a sweet spot come and go; what they log is of interest only to who asks for it.
    if !matches!(command, Command::Sweetspot(_)) || std::env::var_os("RUST_LOG").is_some() {
        telemetry::init(telemetry::LogFormat::Auto)?;
    }
    let known = services(None);
    let clients = || operator_client::Services::of(&names(&known), matches);
    match &command {
        Command::Run(_) => run::raise_file_limit(known.len())?,
        Command::Sweetspot(arguments) => run::raise_file_limit(known.len() * arguments.at_once())?,
        Command::Audit(_) | Command::Republish(_) | Command::Replay(_) | Command::Load(_) | Command::Services => {
            unix::raise_file_limit(OWN_FILES, OWN_FILES)?;
        }
    }
    let system = actix_web::rt::System::new();
    match command {
        Command::Run(arguments) => system.block_on(run::run(arguments, services)),
        Command::Audit(arguments) => {
            let databases = audit::database_urls(matches, &known);
            Ok(system.block_on(audit::audit(arguments, databases, &known)))
        }
        Command::Republish(arguments) => system.block_on(republish::republish(arguments, &known)),
        Command::Replay(replay) => system.block_on(replay::run(replay, clients()?)),
        Command::Load(arguments) => system.block_on(load::run(arguments, clients()?)),
        Command::Sweetspot(arguments) => system.block_on(sweetspot::sweetspot(arguments, services)),
        Command::Services => services::print(&known),
    }
}

/// Prints the error and its causes in one line.
fn print_error(error: &(dyn std::error::Error + 'static)) {
    let _unread = writeln!(std::io::stderr(), "error: {}", telemetry::error_chain(error));
}
