//! The RabbitMQ and Postgres servers of a cluster, managed with the scripts in `infra/local`.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::Ports;
use crate::scenarios::harness::tail;

/// The timeout of a script, long enough for a busy machine.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(90);
/// A script that ends all processes and removes the folder when its stdin is closed, which happens when the test ends
/// or is killed. It kills an instance only if the environment of the process names the folder.
const GUARD: &str = r#"
read -r _
while read -r pid; do
  if grep -qzxF "UNBUNDLED_LOCAL=$UNBUNDLED_LOCAL" "/proc/$pid/environ" 2>/dev/null; then kill -KILL "$pid"; fi
done <"$UNBUNDLED_LOCAL/instances"
if read -r pid <"$UNBUNDLED_LOCAL/postgres/data/postmaster.pid"; then kill -CONT "$pid" $(pgrep -P "$pid"); fi
"$1/rabbitmq.sh" kill; "$1/rabbitmq.sh" stop; "$1/postgres.sh" stop; "$1/postgres.sh" wipe
rm -rf "$UNBUNDLED_LOCAL"
"#;

/// A broker and a database server. They and their folder are gone when this is dropped.
pub struct Servers {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    /// The names of the databases.
    databases: Vec<String>,
    /// The file with the process ids of the instances, for the guard.
    instances: Mutex<File>,
    guard: Child,
    /// The stdin of the guard. Closing it starts the cleanup.
    guard_stdin: Option<ChildStdin>,
}

impl Servers {
    /// Servers that do not run yet.
    pub fn new(ports: &Ports, services: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let instances = Mutex::new(File::create(folder.path().join("instances")).unwrap());
        let variables = vec![
            ("UNBUNDLED_LOCAL", folder.path().to_str().unwrap().to_owned()),
            ("RABBITMQ_PORT", ports.rabbitmq.to_string()),
            ("RABBITMQ_DIST_PORT", ports.distribution.to_string()),
            ("EPMD_PORT", ports.epmd.to_string()),
            ("POSTGRES_PORT", ports.postgres.to_string()),
        ];
        let mut guard = Command::new("bash");
        guard.args(["-c", GUARD, "guard"]).arg(scripts()).envs(variables.iter().cloned()).process_group(0);
        let quiet = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut guard = quiet.spawn().unwrap();
        let guard_stdin = guard.stdin.take();
        let databases = services.iter().map(|service| database_name(service)).collect();
        Self { folder, variables, databases, instances, guard, guard_stdin }
    }

    /// The folder with all data and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Registers a process that the guard kills if it still runs at the end of the test.
    pub fn watch(&self, pid: u32) {
        writeln!(self.instances.lock().unwrap(), "{pid}").unwrap();
    }

    /// Starts both servers, waits until they respond, and creates the databases of the services.
    pub async fn start(&self) {
        tokio::join!(self.rabbitmq(&["start"]), self.start_postgres());
    }

    /// Starts Postgres, waits until it responds, and creates the databases of the services.
    pub async fn start_postgres(&self) {
        self.postgres(&["start"]).await;
        let create: Vec<_> = ["create"].into_iter().chain(self.databases.iter().map(String::as_str)).collect();
        self.postgres(&create).await;
    }

    /// Runs `rabbitmq.sh`, and returns its output.
    pub async fn rabbitmq(&self, arguments: &[&str]) -> String {
        self.script("rabbitmq.sh", arguments).await
    }

    /// Sends a signal, such as `STOP`, to the broker.
    pub async fn signal_broker(&self, signal: &str) {
        let file = self.folder().join("run/rabbitmq.pid");
        let send = "read -r pid <\"$1\" && kill -s \"$0\" \"$pid\"";
        let sent = tokio::process::Command::new("bash").args(["-c", send, signal]).arg(file).status().await.unwrap();
        assert!(sent.success(), "kill -s {signal}");
    }

    /// Sends a signal, such as `STOP`, to every process of Postgres.
    pub async fn signal_postgres(&self, signal: &str) {
        let send = "read -r pid <postgres/data/postmaster.pid && kill -s \"$0\" \"$pid\" $(pgrep -P \"$pid\")";
        let mut shell = tokio::process::Command::new("bash");
        let sent = shell.args(["-c", send, signal]).current_dir(self.folder()).status().await.unwrap();
        assert!(sent.success(), "kill -s {signal}");
    }

    /// Saves the data of the stopped broker.
    pub async fn save_broker_disk(&self) {
        self.shell("cp -a rabbitmq/data kept").await;
    }

    /// Restores the saved data of the stopped broker.
    pub async fn restore_broker_disk(&self) {
        self.shell("rm -r rabbitmq/data && mv kept rabbitmq/data").await;
    }

    async fn shell(&self, command: &str) {
        let mut shell = tokio::process::Command::new("sh");
        let done = shell.args(["-c", command]).current_dir(self.folder()).status().await.unwrap();
        assert!(done.success(), "{command}");
    }

    /// Runs `postgres.sh`, and returns its output.
    pub async fn postgres(&self, arguments: &[&str]) -> String {
        self.script("postgres.sh", arguments).await
    }

    async fn script(&self, script: &str, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(scripts().join(script));
        command.args(arguments).envs(self.variables.iter().cloned()).stdin(Stdio::null());
        let done = timeout(SCRIPT_TIMEOUT, command.output()).await;
        let done: Output = done.unwrap_or_else(|_| panic!("{script} {arguments:?} did not end in time")).unwrap();
        let (printed, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{script} {arguments:?}: {printed}{errors}");
        printed.into_owned()
    }

    /// The URL of the database of a service.
    pub fn database_url(&self, service: &str) -> String {
        let (port, name) = (self.variable("POSTGRES_PORT"), database_name(service));
        format!("postgres://unbundled:unbundled@127.0.0.1:{port}/{name}")
    }

    /// The URL of the broker.
    pub fn broker_url(&self) -> String {
        format!("amqp://unbundled:unbundled@127.0.0.1:{}/%2f", self.variable("RABBITMQ_PORT"))
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.iter().find(|(variable, _)| *variable == name).map_or("", |(_, value)| value)
    }

    /// The ends of the logs of both servers.
    pub fn logs(&self) -> String {
        let log = |name: &str| format!("{name}: {}", tail(&self.folder().join("log").join(name)));
        format!("{}{}", log("rabbitmq.log"), log("postgres.log"))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.guard_stdin.take());
        let _ended = self.guard.wait();
    }
}

fn database_name(service: &str) -> String {
    service.replace('-', "_")
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local").canonicalize().unwrap()
}
