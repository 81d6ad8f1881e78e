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

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    let Arguments { command } = Arguments::parse();
    // A server's errors are lines of its log; the operator's commands talk to people.
    let report = match &command {
        Command::Run(_) => telemetry::report,
        Command::Audit(_) | Command::Republish(_) | Command::Replay(_) | Command::Load(_) => print_error,
    };
    execute(command).unwrap_or_else(|error| {
        report(error.as_ref());
        ExitCode::FAILURE
    })
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    telemetry::init(telemetry::LogFormat::Auto)?;
    match &command {
        Command::Run(_) => run::allow_files()?,
        Command::Audit(_) | Command::Republish(_) | Command::Replay(_) | Command::Load(_) => {
            unix::allow_files(OWN_FILES, OWN_FILES)?;
        }
    }
    let system = actix_web::rt::System::new();
    match command {
        Command::Run(arguments) => system.block_on(run::run(arguments)),
        Command::Audit(arguments) => Ok(system.block_on(audit::audit(arguments))),
        Command::Republish(arguments) => system.block_on(republish::republish(arguments)),
        Command::Replay(replay) => system.block_on(replay::run(replay)),
        Command::Load(arguments) => system.block_on(load::run(arguments)),
    }
}

/// One line that says what is wrong.
fn print_error(error: &(dyn std::error::Error + 'static)) {
    let _unread = writeln!(std::io::stderr(), "error: {}", telemetry::chain(error));
}
