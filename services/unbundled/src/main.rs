//! `unbundled`: all services in one process, and the operator's commands.

mod addresses;
mod audit;
mod data;
mod load;
mod replay;
mod republish;
mod run;
mod service;
mod trial_balance;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Run(run::RunArguments),
    /// Derive everything in a data folder, or in three databases, again and compare it with what is stored.
    Audit(audit::AuditArguments),
    /// Let a service on RabbitMQ publish its journal once more.
    Republish(republish::RepublishArguments),
    /// Send real data through the HTTP API of a running system.
    #[command(subcommand)]
    Replay(replay::Replay),
    /// Send made-up purchases to a running system for a while and measure how fast it takes and settles them.
    Load(load::LoadArguments),
}

fn main() -> ExitCode {
    web::use_ring();
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::init(telemetry::LogFormat::Auto) {
        return failed(&error);
    }
    let system = actix_web::rt::System::new();
    let result = match arguments.command {
        Command::Run(arguments) => system.block_on(run::run(arguments)),
        Command::Audit(arguments) => Ok(system.block_on(audit::audit(arguments))),
        Command::Republish(arguments) => system.block_on(republish::republish(arguments)),
        Command::Replay(replay) => system.block_on(replay::run(replay)),
        Command::Load(arguments) => system.block_on(load::run(arguments)),
    };
    result.unwrap_or_else(|error| failed(error.as_ref()))
}

/// One line that says what is wrong.
fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {}", telemetry::chain(error));
    ExitCode::FAILURE
}
