//! An instance of a service.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Servers;
use crate::scenarios::harness::{
    Addresses, Client, LogEvent, Response, binary, remove_otel_variables, tail, wait_until,
};

/// The longest time that a stop may take, whatever the process is doing.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A process of a service, which runs or not. It is killed when dropped.
pub struct Instance {
    /// The name of the service, followed by `-2` for a second instance.
    pub name: String,
    service: &'static str,
    program: &'static str,
    port: u16,
    folder: PathBuf,
    child: Option<Child>,
    client: Client,
}

impl Instance {
    /// An instance that does not run yet.
    pub fn new(name: &str, service: &'static str, program: &'static str, port: u16, servers: &Servers) -> Self {
        let url = format!("http://{}:{port}", Ipv4Addr::LOCALHOST);
        let addresses = Addresses { exchange_rate: url.clone(), purchase: url.clone(), ledger: url };
        let (name, folder) = (name.to_owned(), servers.folder().to_owned());
        Self { name, service, program, port, folder, child: None, client: Client::new(addresses) }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        self.client.addresses.purchase.clone()
    }

    /// Starts the process with additional settings.
    pub fn launch(&mut self, servers: &Servers, settings: &[(&str, &str)]) {
        assert!(!self.is_running(), "{} runs already", self.name);
        let append = |path: PathBuf| std::fs::File::options().create(true).append(true).open(path).unwrap();
        let mut command = command(self.program);
        command.env("DATABASE_URL", servers.database_url(self.service)).env("AMQP_URL", servers.broker_url());
        command.env("STREAM_PREFIX", servers.stream_prefix());
        command.env("BIND", format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)).envs(settings.iter().copied());
        command.env("UNBUNDLED_LOCAL", servers.folder());
        command.stdout(append(self.path("out"))).stderr(append(self.path("log")));
        let child = command.spawn().unwrap();
        servers.watch(child.id().expect("a pid"));
        self.child = Some(child);
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    /// Whether the test has started the process and not ended it.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// `GET /readyz`; `None` if there is no response.
    pub async fn readyz(&self) -> Option<Response> {
        let request = self.client.request(reqwest::Method::GET, &format!("{}/readyz", self.url()));
        self.client.try_send(request.timeout(Duration::from_secs(2))).await.ok()
    }

    /// Returns once `/readyz` responds with 200.
    pub async fn wait_until_ready(&self) {
        let ready = async || self.readyz().await.filter(|response| response.status == 200).map(drop);
        wait_until(&format!("{} is ready", self.name), ready).await;
    }

    /// Returns once `/readyz` responds with 503 and this reason.
    pub async fn wait_until_not_ready(&self, reason: &str) {
        let has_reason = |response: &Response| response.status == 503 && response.problem().detail.contains(reason);
        let not_ready = async || self.readyz().await.filter(has_reason).map(drop);
        wait_until(&format!("{} is not ready because of: {reason}", self.name), not_ready).await;
    }

    /// Sends a signal, such as `STOP`, to the process.
    pub async fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().and_then(Child::id).expect("the process has ended by itself").to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid]).status().await.unwrap();
        assert!(sent.success(), "kill -s {signal} {}", self.name);
    }

    /// Kills the process with SIGKILL, and waits for its end.
    pub async fn kill(&mut self) {
        self.child.take().expect("the process is not running").kill().await.unwrap();
    }

    /// Sends SIGTERM, and asserts that the process exits with code 0 in time.
    pub async fn stop(&mut self) {
        let signaled = Instant::now();
        self.signal("TERM").await;
        self.wait_until_stopped(signaled).await;
    }

    /// Waits for the end of the process, and asserts that it exits with code 0 in time, counted from `signaled`.
    pub async fn wait_until_stopped(&mut self, signaled: Instant) {
        let mut child = self.child.take().expect("the process is not running");
        let left = STOP_TIMEOUT.saturating_sub(signaled.elapsed());
        let ended = timeout(left, child.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("SIGTERM did not end {} in {STOP_TIMEOUT:?}", self.name));
        assert_eq!(ended.unwrap().code(), Some(0), "{}", self.name);
        let events = LogEvent::parse_all(&self.stdout());
        assert!(events.last().is_some_and(|event| event.message() == "stopped"), "{}: {events:?}", self.name);
        eprintln!("{} stopped {:?} after SIGTERM", self.name, signaled.elapsed());
    }

    /// All output to stdout.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.path("out")).unwrap_or_default()
    }

    /// The end of the log.
    pub fn log_tail(&self) -> String {
        format!("{}: {}", self.name, tail(&self.path("log")))
    }

    /// The whole log.
    pub fn full_log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Whether the log contains a text.
    pub fn has_logged(&self, text: &str) -> bool {
        self.full_log().contains(text)
    }
}

/// The command of the release binary of a service, without environment variables that would be settings.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(binary(program));
    for setting in ["DATABASE_URL", "AMQP_URL", "BIND", "PARTITIONS", "STREAM_PREFIX", "BACKLOG_BYTES_MAX"] {
        command.env_remove(setting);
    }
    remove_otel_variables(&mut command);
    command.env_remove("HTTP_WORKERS").env_remove("RUST_LOG").stdin(Stdio::null()).kill_on_drop(true);
    command
}
