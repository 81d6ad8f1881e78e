//! The RabbitMQ and Postgres servers of a cluster: its own, managed with the scripts in `infra/local`, or those that all
//! tests share.

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
use crate::cluster::postgres::Databases;
use crate::cluster::rabbitmq::shared_broker;
use crate::scenarios::harness::tail;

/// The timeout of a script, long enough for a busy machine.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(90);
/// A script that ends all processes and removes the folder when its stdin is closed, which happens when the test ends
/// or is killed. It kills an instance only if the environment of the process names the folder. Its argument is the
/// folder of the scripts, if the servers belong to the test.
const GUARD: &str = r#"
read -r _
while read -r pid; do
  if grep -qzxF "UNBUNDLED_LOCAL=$UNBUNDLED_LOCAL" "/proc/$pid/environ" 2>/dev/null; then kill -KILL "$pid"; fi
done <"$UNBUNDLED_LOCAL/instances"
[ -n "$1" ] || exec rm -rf "$UNBUNDLED_LOCAL"
if read -r pid <"$UNBUNDLED_LOCAL/postgres/data/postmaster.pid"; then kill -CONT "$pid" $(pgrep -P "$pid"); fi
"$1/rabbitmq.sh" kill; "$1/rabbitmq.sh" stop; "$1/postgres.sh" stop; "$1/postgres.sh" wipe
rm -rf "$UNBUNDLED_LOCAL"
"#;

/// A broker and a database server, with a folder of the test. Servers of the test's own, their data, the databases on
/// shared ones, and the folder are gone when this is dropped.
pub struct Servers {
    folder: TempDir,
    kind: Kind,
    /// The names of the services.
    services: Vec<String>,
    /// The file with the process ids of the instances, for the guard.
    instances: Mutex<File>,
    guard: Child,
    /// The stdin of the guard. Closing it starts the cleanup.
    guard_stdin: Option<ChildStdin>,
}

/// Whose servers they are.
enum Kind {
    /// The test's own: the variables of the scripts that manage them.
    Own(Vec<(&'static str, String)>),
    /// Those of all tests: the databases of this test, whose prefix is also that of its streams.
    Shared(Databases),
}

impl Servers {
    /// Servers of the test's own, which do not run yet.
    pub fn own(services: &[&str]) -> Self {
        let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::free());
        let variables = vec![
            ("UNBUNDLED_LOCAL", folder.path().to_str().unwrap().to_owned()),
            ("RABBITMQ_PORT", ports.rabbitmq.to_string()),
            ("RABBITMQ_DIST_PORT", ports.distribution.to_string()),
            ("EPMD_PORT", ports.epmd.to_string()),
            ("POSTGRES_PORT", ports.postgres.to_string()),
            ("POSTGRES_CONNECTIONS", "100".to_owned()),
        ];
        Self::new(folder, Kind::Own(variables), services)
    }

    /// The running servers that all tests share, with databases and streams of the test's own. The test must not stop
    /// them.
    pub async fn shared(services: &[&str]) -> Self {
        let databases = Databases::new();
        for service in services {
            databases.url(&database_name(service)).await;
        }
        Self::new(tempfile::tempdir().unwrap(), Kind::Shared(databases), services)
    }

    fn new(folder: TempDir, kind: Kind, services: &[&str]) -> Self {
        let instances = Mutex::new(File::create(folder.path().join("instances")).unwrap());
        let mut guard = Command::new("bash");
        guard.args(["-c", GUARD, "guard"]).env("UNBUNDLED_LOCAL", folder.path()).process_group(0);
        if let Kind::Own(variables) = &kind {
            guard.arg(scripts()).envs(variables.iter().cloned());
        }
        let quiet = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut guard = quiet.spawn().unwrap();
        let guard_stdin = guard.stdin.take();
        let services = services.iter().map(|service| (*service).to_owned()).collect();
        Self { folder, kind, services, instances, guard, guard_stdin }
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
        let databases: Vec<_> = self.services.iter().map(|service| database_name(service)).collect();
        let create: Vec<_> = ["create"].into_iter().chain(databases.iter().map(String::as_str)).collect();
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
        command.args(arguments).envs(self.variables().iter().cloned()).stdin(Stdio::null());
        let done = timeout(SCRIPT_TIMEOUT, command.output()).await;
        let done: Output = done.unwrap_or_else(|_| panic!("{script} {arguments:?} did not end in time")).unwrap();
        let (printed, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{script} {arguments:?}: {printed}{errors}");
        printed.into_owned()
    }

    /// The URL of the database of a service.
    pub fn database_url(&self, service: &str) -> String {
        let name = database_name(service);
        match &self.kind {
            Kind::Own(_) => {
                format!("postgres://unbundled:unbundled@127.0.0.1:{}/{name}", self.variable("POSTGRES_PORT"))
            }
            Kind::Shared(databases) => databases.url_of(&name),
        }
    }

    /// The URL of the broker.
    pub fn broker_url(&self) -> String {
        match &self.kind {
            Kind::Own(_) => format!("amqp://unbundled:unbundled@127.0.0.1:{}/%2f", self.variable("RABBITMQ_PORT")),
            Kind::Shared(_) => shared_broker(),
        }
    }

    /// The start of the names of all streams.
    pub fn stream_prefix(&self) -> &str {
        match &self.kind {
            Kind::Own(_) => "unbundled",
            Kind::Shared(databases) => &databases.prefix,
        }
    }

    fn variables(&self) -> &[(&'static str, String)] {
        match &self.kind {
            Kind::Own(variables) => variables,
            Kind::Shared(_) => panic!("this test does not own its servers"),
        }
    }

    fn variable(&self, name: &str) -> &str {
        self.variables().iter().find(|(variable, _)| *variable == name).map_or("", |(_, value)| value)
    }

    /// The ends of the logs of both servers, if they belong to the test.
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
