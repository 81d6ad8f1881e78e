//! `unbundled` and other commands as child processes.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{Addresses, LogEvent};

/// A start that takes longer has failed. Tests only print how long a start takes, because machines differ.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time that a stop may take, whatever the process is doing (FAULTS 12).
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a command that ends by itself.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// A process of `unbundled run` that is ready. It is killed when dropped.
pub struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The `ready` event that it printed.
    pub ready: LogEvent,
    /// The addresses of its services.
    pub addresses: Addresses,
}

/// How a process ended.
#[derive(Debug)]
pub struct Exit {
    /// The exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    /// The time from SIGTERM to the end.
    pub took: Duration,
    /// The messages that it printed after it was ready.
    pub stdout: String,
}

impl Process {
    /// Starts the `run` command of a program with these arguments and environment variables, appends its log to a file, and waits
    /// until it is ready.
    pub async fn start(program: &str, arguments: &[&str], variables: &[(&str, &Path)], log: &Path) -> Self {
        let log_file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = program_command(program, &["run"]);
        command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let started = Instant::now();
        let mut line = String::new();
        let read = timeout(START_TIMEOUT, stdout.read_line(&mut line)).await.expect("not ready in time");
        assert!(read.unwrap() > 0, "`{program} run` ended before it was ready:\n{}", tail(log));
        eprintln!("ready {:?} after the start", started.elapsed());
        let ready = LogEvent::parse(&line);
        let addresses = Addresses::from_ready_event(&ready);
        Self { child, stdout, ready, addresses }
    }

    /// Sends SIGKILL, and waits for the end.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn terminate(mut self) -> Exit {
        let signaled = Instant::now();
        let status = end_with_signal(&mut self.child, "TERM").await;
        let took = signaled.elapsed();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).await.unwrap();
        let messages: Vec<_> = LogEvent::parse_all(&rest).iter().map(|event| event.message().to_owned()).collect();
        Exit { code: status.code(), took, stdout: messages.join("\n") }
    }
}

/// Ends a process with a signal, such as `TERM`, and returns its exit status.
///
/// # Panics
/// If it does not end in time.
pub async fn end_with_signal(child: &mut Child, signal: &str) -> ExitStatus {
    let pid = child.id().expect("the process has ended by itself").to_string();
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid]).status().await.unwrap();
    assert!(sent.success());
    let ended = timeout(STOP_TIMEOUT, child.wait()).await;
    ended.unwrap_or_else(|_| panic!("SIG{signal} did not end the process in time")).unwrap()
}

/// Runs `unbundled` with these arguments until a line of its log contains `text`, and then sends SIGKILL.
///
/// # Panics
/// If it ends before that.
pub async fn run_until_logged(arguments: &[&str], text: &str) {
    let mut child = unbundled_command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        let read = timeout(START_TIMEOUT, log.read_line(&mut line)).await.expect("no log line in time").unwrap();
        assert!(read > 0, "{arguments:?} ended before it logged {text:?}");
    }
    child.kill().await.unwrap();
}

/// Runs `unbundled` with these arguments to its end.
///
/// # Panics
/// If it does not end in time.
pub async fn run_to_end(arguments: &[&str]) -> Output {
    run_to_end_with(arguments, &[]).await
}

/// Like [`run_to_end`], with additional environment variables.
///
/// # Panics
/// If it does not end in time.
pub async fn run_to_end_with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    run_program_to_end("unbundled", arguments, variables).await
}

/// Like [`run_to_end_with`], with another program than `unbundled`.
///
/// # Panics
/// If it does not end in time.
pub async fn run_program_to_end(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = program_command(program, arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output();
    timeout(COMMAND_TIMEOUT, output).await.unwrap_or_else(|_| panic!("{arguments:?} did not end in time")).unwrap()
}

/// The command `unbundled` with these arguments, without environment variables that would be settings.
pub fn unbundled_command(arguments: &[&str]) -> Command {
    program_command("unbundled", arguments)
}

fn program_command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary(program));
    command.args(arguments).env_remove("RUST_LOG").env_remove("UNBUNDLED_FOLDER").kill_on_drop(true);
    remove_otel_variables(&mut command);
    command
}

/// Removes the `OTEL_…` variables of the environment, because tests set their own.
pub fn remove_otel_variables(command: &mut Command) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("OTEL_")).for_each(|name| {
        command.env_remove(name);
    });
    // The OTLP receivers of tests are on this machine.
    command.env("NO_PROXY", "127.0.0.1");
}

/// The path of a release binary.
///
/// # Panics
/// If it was not built.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("UNBUNDLED_BIN").map(PathBuf::from);
    let folder = folder.expect("UNBUNDLED_BIN is not set: `make e2e` builds the release and sets it to target/release");
    let binary = folder.join(name);
    assert!(binary.is_file(), "there is no {}: `make release` builds it", binary.display());
    binary
}

/// The last 30 lines of a log, for failure messages.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(30)..];
    format!("the end of its log:\n{}\n", last.join("\n"))
}
