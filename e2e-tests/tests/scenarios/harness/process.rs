//! `unbundled` as a child process.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::Addresses;

/// The last line of the banner begins with this.
const BANNER_END: &str = "Ctrl-C stops it";
/// A start that takes longer has failed. (How long one takes is measured, not asserted: machines differ.)
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A stop may take this long, whatever is being done (FAULTS 12).
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A command that ends by itself takes less than this.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// `unbundled run` that has printed its banner. Dropped, it is killed.
pub struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// All it printed until it was ready.
    pub banner: String,
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
    /// What it printed at its end.
    pub stdout: String,
}

impl Process {
    /// Starts `unbundled run` with these arguments and variables, its log appended to a file, and waits for its
    /// banner.
    pub async fn start(arguments: &[&str], variables: &[(&str, &Path)], log: &Path) -> Self {
        let log_file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = unbundled(&["run"]);
        command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let started = Instant::now();
        let banner = timeout(START_TIMEOUT, read_banner(&mut stdout)).await.expect("no banner in time");
        assert!(banner.contains(BANNER_END), "`unbundled run` ended before it was ready:\n{banner}{}", tail(log));
        eprintln!("ready {:?} after the start", started.elapsed());
        let addresses = Addresses::of_banner(&banner);
        Self { child, stdout, banner, addresses }
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
        let pid = self.child.id().expect("it has ended by itself").to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().await.unwrap();
        assert!(sent.success());
        let status = timeout(STOP_TIMEOUT, self.child.wait()).await.expect("SIGTERM did not end it in time").unwrap();
        let took = asked.elapsed();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).await.unwrap();
        Ended { code: status.code(), took, stdout: rest }
    }
}

async fn read_banner(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut banner = String::new();
    while !banner.contains(BANNER_END) && stdout.read_line(&mut banner).await.unwrap() > 0 {}
    banner
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

fn unbundled(arguments: &[&str]) -> Command {
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
