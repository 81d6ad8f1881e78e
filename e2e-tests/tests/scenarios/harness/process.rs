//! `unbundled` as a child process.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{Addresses, Event};

/// A start that takes longer has failed. (How long one takes is measured, not asserted: machines differ.)
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A stop may take this long, whatever is being done (FAULTS 12).
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A command that ends by itself takes less than this.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// `unbundled run` that has said that it is ready. Dropped, it is killed.
pub struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub ready: Event,
    /// Where its services listen.
    pub addresses: Addresses,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none: a signal ended it.
    pub code: Option<i32>,
    /// From asking it to stop to its end.
    pub took: Duration,
    /// The messages of what it printed at its end.
    pub stdout: String,
}

impl Process {
    /// Starts `unbundled run` with these arguments and variables, its log appended to a file, and waits until it is
    /// ready.
    pub async fn start(arguments: &[&str], variables: &[(&str, &Path)], log: &Path) -> Self {
        let log_file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = unbundled(&["run"]);
        command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let started = Instant::now();
        let mut line = String::new();
        let read = timeout(START_TIMEOUT, stdout.read_line(&mut line)).await.expect("not ready in time");
        assert!(read.unwrap() > 0, "`unbundled run` ended before it was ready:\n{}", tail(log));
        eprintln!("ready {:?} after the start", started.elapsed());
        let ready = Event::of(&line);
        let addresses = Addresses::of_event(&ready);
        Self { child, stdout, ready, addresses }
    }

    /// `kill -9`; returns when it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and what came of it.
    ///
    /// # Panics
    /// When it has not ended in time.
    pub async fn terminate(mut self) -> Ended {
        let asked = Instant::now();
        let status = signal(&mut self.child, "TERM").await;
        let took = asked.elapsed();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).await.unwrap();
        let messages: Vec<_> = Event::all(&rest).iter().map(|event| event.message().to_owned()).collect();
        Ended { code: status.code(), took, stdout: messages.join("\n") }
    }
}

/// Ends a process with a signal, such as `TERM`; how it ended.
///
/// # Panics
/// When it has not ended in time.
pub async fn signal(child: &mut Child, signal: &str) -> ExitStatus {
    let pid = child.id().expect("it has ended by itself").to_string();
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid]).status().await.unwrap();
    assert!(sent.success());
    let ended = timeout(STOP_TIMEOUT, child.wait()).await;
    ended.unwrap_or_else(|_| panic!("SIG{signal} did not end it in time")).unwrap()
}

/// Runs `unbundled` with these arguments until a line of its log contains a text; then `kill -9`.
///
/// # Panics
/// When it ends before.
pub async fn run_until_logged(arguments: &[&str], text: &str) {
    let mut child = unbundled(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        let read = timeout(START_TIMEOUT, log.read_line(&mut line)).await.expect("it logs nothing").unwrap();
        assert!(read > 0, "{arguments:?} ended before it logged {text:?}");
    }
    child.kill().await.unwrap();
}

/// Runs `unbundled` with these arguments to its end.
///
/// # Panics
/// When it does not end.
pub async fn run_to_end(arguments: &[&str]) -> Output {
    run_to_end_with(arguments, &[]).await
}

/// The same with more variables.
///
/// # Panics
/// When it does not end.
pub async fn run_to_end_with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = unbundled(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output();
    timeout(COMMAND_TIMEOUT, output).await.unwrap_or_else(|_| panic!("{arguments:?} did not end")).unwrap()
}

/// `unbundled` with these arguments, and nothing of the environment that it could take for a setting.
pub fn unbundled(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("unbundled"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("UNBUNDLED_FOLDER").kill_on_drop(true);
    untraced(&mut command);
    command
}

/// Leaves out what the environment says about traces: tests say it themselves.
pub fn untraced(command: &mut Command) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("OTEL_")).for_each(|name| {
        command.env_remove(name);
    });
    // Receivers of tests are on this machine.
    command.env("NO_PROXY", "127.0.0.1");
}

/// A release binary.
///
/// # Panics
/// When it was not built.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("UNBUNDLED_BIN").map(PathBuf::from);
    let folder = folder.expect("UNBUNDLED_BIN is not set: `make e2e` builds the release and sets it to target/release");
    let binary = folder.join(name);
    assert!(binary.is_file(), "there is no {}: `make release` builds it", binary.display());
    binary
}

/// The end of a log, for a failure's text.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(30)..];
    format!("the end of its log:\n{}\n", shown.join("\n"))
}
