//! A server among its system: signals, open files, streams that are closed or full, variables and folders of no use.
//! Each is harmless, or one clear error and a code that is not 0.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::start::three_free_ports;
use crate::cluster::harness::command;
use crate::scenarios::harness::{
    Addresses, Client, LocalSystem, LogEvent, assert_no_errors_logged, binary, signal, startup_error, unbundled,
    wait_until,
};

/// As root, permissions of files count only without these.
const AS_ANYBODY: &str = "--bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search";

/// All services in one process, or one on its own that waits for its engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    All,
    One,
}

const SERVERS: [Server; 2] = [Server::All, Server::One];

impl Server {
    /// The files it may need at least.
    fn files(self) -> u64 {
        match self {
            Self::All => 192,
            Self::One => 128,
        }
    }
}

/// A server that a shell becomes.
struct Shell {
    command: Command,
    client: Client,
    up: String,
    folder: TempDir,
}

impl Shell {
    /// The shell runs `setup`, and redirects the server's streams.
    fn new(server: Server, setup: &str, redirected: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), three_free_ports());
        let client = Client::new(Addresses::from_port(port));
        let script = format!("{setup}\nexec \"$0\" \"$@\" {redirected}");
        let (program, arguments, up, like) = match server {
            Server::All => {
                let data = folder.path().join("data");
                let arguments = ["run", "--base-port", &port.to_string(), "--data", data.to_str().unwrap()];
                let up = format!("{}/readyz", client.addresses.ledger);
                ("unbundled", arguments.map(str::to_owned).to_vec(), up, unbundled_command(&[]))
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
        Self { command, client, up, folder }
    }

    /// With this variable.
    fn with(mut self, name: &str, value: &OsStr) -> Self {
        self.command.env(name, value);
        self
    }

    /// Why it ends at once.
    async fn refused(mut self) -> String {
        startup_error(&self.command.stdout(Stdio::piped()).output().await.unwrap())
    }

    /// Starts it, and returns once it answers.
    async fn start(&mut self) -> Child {
        let mut child = self.command.spawn().unwrap();
        let (client, up) = (self.client.clone(), self.up.clone());
        wait_until("it answers", async || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            client
                .try_send(client.request(reqwest::Method::GET, &up))
                .await
                .ok()
                .filter(|response| response.status == 200)
        })
        .await;
        child
    }

    /// It comes up, and ends well; what it has logged.
    async fn lives(mut self, ended_by: &str) -> String {
        let log = self.folder.path().join("log");
        self.command.stderr(std::fs::File::create(&log).unwrap());
        let mut child = self.start().await;
        let status = end_with_signal(&mut child, ended_by).await;
        let log = std::fs::read_to_string(log).unwrap();
        assert_eq!(status.code(), Some(0), "{:?}: {log}", self.command);
        log
    }
}

#[tokio::test]
async fn each_signal_that_asks_it_to_end_ends_it_well() {
    for server in SERVERS {
        for signal in ["TERM", "INT", "HUP"] {
            Shell::new(server, "", "").lives(signal).await;
        }
    }
}

#[tokio::test]
async fn under_nohup_a_closed_terminal_does_not_end_it() {
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
async fn too_few_open_files_are_an_error_that_names_how_many_it_needs() {
    for server in SERVERS {
        let needed = server.files();
        for allowed in [20, 64, needed - 1] {
            let why = Shell::new(server, &format!("ulimit -n {allowed}"), "").refused().await;
            for word in [format!("may open {allowed} files"), format!("ulimit -n {needed}")] {
                assert!(why.contains(&word), "{why}");
            }
        }
        // What it names is enough, and a limit that it may raise does not hinder it.
        for setup in [format!("ulimit -n {needed}"), "ulimit -S -n 20".to_owned()] {
            Shell::new(server, &setup, "").lives("TERM").await;
        }
    }
}

#[tokio::test]
async fn streams_that_are_closed_or_full_are_harmless() {
    for server in SERVERS {
        for redirected in ["<&-", ">&-", ">/dev/full", "<&- >&-"] {
            assert_no_errors_logged(redirected, &Shell::new(server, "", redirected).lives("TERM").await);
        }
        for redirected in ["2>&-", "2>/dev/full", "<&- >&- 2>&-", ">/dev/full 2>&1"] {
            Shell::new(server, "", redirected).lives("TERM").await;
        }
    }
}

#[tokio::test]
async fn a_reader_that_has_gone_is_harmless() {
    for server in SERVERS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut shell = Shell::new(server, "", "");
        shell.command.stdout(writer.try_clone().unwrap());
        assert_no_errors_logged("its reader has gone", &shell.lives("TERM").await);
        let mut shell = Shell::new(server, "", "");
        shell.command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = shell.start().await;
        assert_eq!(end_with_signal(&mut child, "TERM").await.code(), Some(0), "{server:?}");
    }
}

#[tokio::test]
async fn a_variable_of_no_use_is_refused_by_its_name_or_harmless() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    for server in SERVERS {
        for (name, value) in [
            ("RUST_LOG", b"info,sqlx=loud".as_slice()),
            ("RUST_LOG", b"\xff"),
            (endpoint, b"nowhere"),
            (endpoint, b"\xff"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", b"ftp://127.0.0.1"),
        ] {
            let why = Shell::new(server, "", "").with(name, OsStr::from_bytes(value)).refused().await;
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
            assert_no_errors_logged(name, &shell.with(name, OsStr::new(value)).lives("TERM").await);
        }
    }
}

#[tokio::test]
async fn an_argument_that_a_service_does_not_know_is_a_line_of_its_log_too() {
    let Output { status, stderr, .. } = command("ledger").arg("--nonsense").output().await.unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    let events = LogEvent::parse_all(&stderr);
    assert!(status.code() == Some(2) && events.len() == 1 && events[0].message().contains("--nonsense"), "{stderr}");
}

#[tokio::test]
async fn a_command_of_the_operator_s_says_what_it_lacks_too() {
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
async fn a_folder_that_may_only_be_read_is_refused_by_its_name() {
    let mut local = LocalSystem::start().await;
    local.stop().await;
    let (data, empty) = (local.data(), tempfile::tempdir().unwrap());
    for folder in [data.as_path(), empty.path()] {
        set_mode(folder, "a-w").await;
        let run = ["run", "--base-port", "0", "--data", folder.to_str().unwrap()];
        let why = startup_error(&as_anybody(&run).await);
        set_mode(folder, "u+w").await;
        assert!(why.contains(folder.to_str().unwrap()), "{why}");
    }
    local.start_again(&[]).await;
    local.finish().await;
}

/// Runs `unbundled` to its end as somebody for whom permissions count.
async fn as_anybody(arguments: &[&str]) -> Output {
    let script = "if [ \"$(id -u)\" = 0 ]; then exec setpriv $AS_ANYBODY \"$0\" \"$@\"; fi; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(binary("unbundled")).args(arguments);
    shell.env("AS_ANYBODY", AS_ANYBODY).kill_on_drop(true).output().await.unwrap()
}

async fn set_mode(folder: &Path, mode: &str) {
    assert!(Command::new("chmod").args(["-R", mode]).arg(folder).status().await.unwrap().success());
}
