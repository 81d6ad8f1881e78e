//! A server and its operating system: signals, the limit of open files, standard streams that are closed or full,
//! invalid variables, read-only folders. Each is harmless, or leads to one clear error and an exit code that is not 0.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::start::three_free_ports;
use crate::cluster::harness::command;
use crate::scenarios::harness::{
    Addresses, Client, LocalSystem, LogEvent, assert_no_errors_logged, binary, end_with_signal, startup_error,
    unbundled_command, wait_until,
};

/// Options of setpriv(1) that drop the capabilities with which root ignores file permissions.
const DROP_CAPABILITIES: &str =
    "--bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search";

/// The two kinds of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// `unbundled run`: all services in one process.
    All,
    /// `ledger`: one service, which waits for its broker and its database.
    One,
}

const SERVERS: [Server; 2] = [Server::All, Server::One];

impl Server {
    /// The number of open files that it requires.
    fn files(self) -> u64 {
        match self {
            Self::All => 192,
            Self::One => 128,
        }
    }
}

/// A shell that prepares the environment and then replaces itself with a server.
struct Shell {
    command: Command,
    client: Client,
    /// The URL that responds with 200 when the server is up.
    health_url: String,
    folder: TempDir,
}

impl Shell {
    /// A shell that runs `setup`, and starts the server with these redirections.
    fn new(server: Server, setup: &str, redirections: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), three_free_ports());
        let client = Client::new(Addresses::from_port(port));
        let script = format!("{setup}\nexec \"$0\" \"$@\" {redirections}");
        let (program, arguments, health_url, like) = match server {
            Server::All => {
                let data = folder.path().join("data");
                let arguments = ["run", "--base-port", &port.to_string(), "--data", data.to_str().unwrap()];
                let health_url = format!("{}/readyz", client.addresses.ledger);
                ("unbundled", arguments.map(str::to_owned).to_vec(), health_url, unbundled_command(&[]))
            }
            Server::One => ("ledger", Vec::new(), format!("http://127.0.0.1:{port}/healthz"), command("ledger")),
        };
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(binary(program)).args(arguments).stdout(Stdio::null()).kill_on_drop(true);
        for (name, value) in like.as_std().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("DATABASE_URL", "postgres://a@127.0.0.1:1/ledger").env("AMQP_URL", "amqp://a:b@127.0.0.1:1/%2f");
        command.env("BIND", format!("127.0.0.1:{port}"));
        Self { command, client, health_url, folder }
    }

    /// Adds an environment variable.
    fn with(mut self, name: &str, value: &OsStr) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs a server that fails to start, and returns its error.
    async fn expect_startup_error(mut self) -> String {
        startup_error(&self.command.stdout(Stdio::piped()).output().await.unwrap())
    }

    /// Starts the server, and returns once it responds.
    async fn start(&mut self) -> Child {
        let mut child = self.command.spawn().unwrap();
        let (client, health_url) = (self.client.clone(), self.health_url.clone());
        wait_until("the server responds", async || {
            assert_eq!(child.try_wait().unwrap(), None, "the server ended");
            client
                .try_send(client.request(reqwest::Method::GET, &health_url))
                .await
                .ok()
                .filter(|response| response.status == 200)
        })
        .await;
        child
    }

    /// Starts the server, ends it with a signal, asserts that it exits with code 0, and returns its log.
    async fn run_until_signal(mut self, signal: &str) -> String {
        let log = self.folder.path().join("log");
        self.command.stderr(std::fs::File::create(&log).unwrap());
        let mut child = self.start().await;
        let status = end_with_signal(&mut child, signal).await;
        let log = std::fs::read_to_string(log).unwrap();
        assert_eq!(status.code(), Some(0), "{:?}: {log}", self.command);
        log
    }
}

#[tokio::test]
async fn each_termination_signal_ends_it_with_exit_code_0() {
    for server in SERVERS {
        for signal in ["TERM", "INT", "HUP"] {
            Shell::new(server, "", "").run_until_signal(signal).await;
        }
    }
}

#[tokio::test]
async fn under_nohup_sighup_stays_ignored() {
    for server in SERVERS {
        let mut shell = Shell::new(server, "trap '' HUP", "");
        let mut child = shell.start().await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "{server:?}: {status}");
        assert_eq!(end_with_signal(&mut child, "TERM").await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_limit_of_too_few_open_files_is_an_error_with_the_required_number() {
    for server in SERVERS {
        let needed = server.files();
        for allowed in [20, 64, needed - 1] {
            let why = Shell::new(server, &format!("ulimit -n {allowed}"), "").expect_startup_error().await;
            for word in [format!("may open {allowed} files"), format!("ulimit -n {needed}")] {
                assert!(why.contains(&word), "{why}");
            }
        }
        // The number in the error is enough, and the server raises a soft limit by itself.
        for setup in [format!("ulimit -n {needed}"), "ulimit -S -n 20".to_owned()] {
            Shell::new(server, &setup, "").run_until_signal("TERM").await;
        }
    }
}

#[tokio::test]
async fn standard_streams_that_are_closed_or_full_are_harmless() {
    for server in SERVERS {
        for redirections in ["<&-", ">&-", ">/dev/full", "<&- >&-"] {
            assert_no_errors_logged(redirections, &Shell::new(server, "", redirections).run_until_signal("TERM").await);
        }
        for redirections in ["2>&-", "2>/dev/full", "<&- >&- 2>&-", ">/dev/full 2>&1"] {
            Shell::new(server, "", redirections).run_until_signal("TERM").await;
        }
    }
}

#[tokio::test]
async fn an_output_pipe_without_a_reader_is_harmless() {
    for server in SERVERS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut shell = Shell::new(server, "", "");
        shell.command.stdout(writer.try_clone().unwrap());
        assert_no_errors_logged("stdout without a reader", &shell.run_until_signal("TERM").await);
        let mut shell = Shell::new(server, "", "");
        shell.command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = shell.start().await;
        assert_eq!(end_with_signal(&mut child, "TERM").await.code(), Some(0), "{server:?}");
    }
}

#[tokio::test]
async fn an_invalid_variable_is_refused_by_name_or_harmless() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    for server in SERVERS {
        for (name, value) in [
            ("RUST_LOG", b"info,sqlx=loud".as_slice()),
            ("RUST_LOG", b"\xff"),
            (endpoint, b"nowhere"),
            (endpoint, b"\xff"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", b"ftp://127.0.0.1"),
        ] {
            let why = Shell::new(server, "", "").with(name, OsStr::from_bytes(value)).expect_startup_error().await;
            assert!(why.contains(name), "{name}={value:?}: {why}");
        }
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_HEADERS", "=,nonsense"),
            ("OTEL_RESOURCE_ATTRIBUTES", "=,,nonsense"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "never"),
            ("OTEL_TRACES_SAMPLER", "nonsense"),
            ("OTEL_SERVICE_NAME", " "),
        ] {
            let shell = Shell::new(server, "", "").with(endpoint, OsStr::new("http://127.0.0.1:1"));
            assert_no_errors_logged(name, &shell.with(name, OsStr::new(value)).run_until_signal("TERM").await);
        }
    }
}

#[tokio::test]
async fn an_unknown_argument_of_a_service_is_reported_in_its_log() {
    let Output { status, stderr, .. } = command("ledger").arg("--nonsense").output().await.unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    let events = LogEvent::parse_all(&stderr);
    assert!(status.code() == Some(2) && events.len() == 1 && events[0].message().contains("--nonsense"), "{stderr}");
}

#[tokio::test]
async fn an_operator_command_also_reports_too_few_open_files() {
    let mut shell = Command::new("sh");
    let audit = shell.args(["-c", "ulimit -n 20; exec \"$0\" audit"]).arg(binary("unbundled"));
    let Output { status, stderr, .. } = audit.output().await.unwrap();
    assert_eq!(status.code(), Some(1), "{status:?}");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.starts_with("error: this process may open 20 files"), "{stderr}");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_an_error() {
    let mut local = LocalSystem::start().await;
    local.stop().await;
    let mut shell = Command::new("sh");
    let audit = shell.args(["-c", "exec \"$0\" audit --data \"$1\" >/dev/full"]).arg(binary("unbundled"));
    let Output { status, stderr, .. } = audit.arg(local.data()).env("RUST_LOG", "error").output().await.unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(2) && stderr.starts_with("error: the report cannot be written"), "{stderr}");
}

#[tokio::test]
async fn a_read_only_folder_is_refused_by_name() {
    let mut local = LocalSystem::start().await;
    local.stop().await;
    let (data, empty) = (local.data(), tempfile::tempdir().unwrap());
    for folder in [data.as_path(), empty.path()] {
        set_mode(folder, "a-w").await;
        let run = ["run", "--base-port", "0", "--data", folder.to_str().unwrap()];
        let why = startup_error(&run_without_privileges(&run).await);
        set_mode(folder, "u+w").await;
        assert!(why.contains(folder.to_str().unwrap()), "{why}");
    }
    local.start_again(&[]).await;
    local.finish().await;
}

/// Runs `unbundled` to its end as a user to whom file permissions apply.
async fn run_without_privileges(arguments: &[&str]) -> Output {
    let script = "if [ \"$(id -u)\" = 0 ]; then exec setpriv $DROP_CAPABILITIES \"$0\" \"$@\"; fi; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(binary("unbundled")).args(arguments);
    shell.env("DROP_CAPABILITIES", DROP_CAPABILITIES).kill_on_drop(true).output().await.unwrap()
}

async fn set_mode(folder: &Path, mode: &str) {
    assert!(Command::new("chmod").args(["-R", mode]).arg(folder).status().await.unwrap().success());
}
