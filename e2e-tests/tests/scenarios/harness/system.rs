//! Systems under test: one that a test starts itself, or a running one from the environment.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use super::process::tail;
use super::{Addresses, Client, Exit, Process, checks, run_program_to_end};

/// A system for a black-box scenario.
pub struct System {
    /// A client of the system.
    pub client: Client,
    own: Option<LocalSystem>,
}

impl System {
    /// The running system whose addresses are in the environment, or a new one.
    pub async fn start() -> Self {
        if let Some(addresses) = Addresses::from_environment() {
            let client = Client::new(addresses);
            for readyz in client.all_urls("/readyz") {
                client.get(&readyz).await.expect_status(200);
            }
            return Self { client, own: None };
        }
        let own = LocalSystem::start().await;
        Self { client: own.client.clone(), own: Some(own) }
    }

    /// Checks the books; stops and audits the system if the test started it.
    pub async fn finish(self) {
        match self.own {
            Some(local) => local.finish().await,
            None => checks::wait_until_books_settle(&self.client).await,
        }
    }
}

/// A system with all services in one process, whose process and folder belong to the test.
pub struct LocalSystem {
    /// A client of the system. Each start makes a new one.
    pub client: Client,
    /// The process, if it runs.
    process: Option<Process>,
    program: &'static str,
    folder: TempDir,
}

impl LocalSystem {
    /// Starts a system on the [`prepared`] data.
    pub async fn start() -> Self {
        Self::start_on(prepared(), &[]).await
    }

    /// Starts a system on an empty folder.
    pub async fn start_empty() -> Self {
        Self::start_on(tempfile::tempdir().unwrap(), &[]).await
    }

    /// Starts a system with the subfolder `data` of `folder` and with additional arguments.
    pub async fn start_on(folder: TempDir, more: &[&str]) -> Self {
        Self::start_with("unbundled", folder, more, &[]).await
    }

    /// Starts a system on the [`prepared`] data, with these environment variables.
    pub async fn start_with_variables(variables: &[(&str, &str)]) -> Self {
        Self::start_with("unbundled", prepared(), &[], variables).await
    }

    /// Starts another program than `unbundled` on an empty folder.
    pub async fn start_program(program: &'static str) -> Self {
        Self::start_with(program, tempfile::tempdir().unwrap(), &[], &[]).await
    }

    async fn start_with(program: &'static str, folder: TempDir, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let (data, log) = (folder.path().join("data"), folder.path().join("log"));
        let mut arguments = vec!["--data", data.to_str().unwrap()];
        if !more.contains(&"--base-port") {
            arguments.extend(["--base-port", "0"]);
        }
        arguments.extend(more);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, Path::new(*value))).collect();
        let process = Process::start(program, &arguments, &variables, &log).await;
        Self { client: Client::new(process.addresses.clone()), process: Some(process), program, folder }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Sends SIGKILL, and waits for the end.
    pub async fn kill(&mut self) {
        self.process.take().expect("the process is not running").kill().await;
    }

    /// Sends SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> Exit {
        self.process.take().expect("the process is not running").terminate().await
    }

    /// Sends SIGTERM, and asserts that the process exits with code 0.
    pub async fn stop(&mut self) {
        let ended = self.terminate().await;
        assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "stopped"), "{ended:?} {}", self.log_tail());
    }

    /// Starts the stopped system again on the same folder, with additional arguments.
    pub async fn start_again(&mut self, more: &[&str]) {
        assert!(self.process.is_none(), "it still runs");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        *self = Self::start_with(self.program, folder, more, &[]).await;
    }

    /// The base URL of a service.
    pub fn url_of(&self, service: &str) -> String {
        Addresses::url_in(&self.process.as_ref().expect("the process is not running").ready, service)
    }

    /// Runs the `audit` command on the folder of the stopped system.
    pub async fn audit(&self) -> Output {
        run_program_to_end(self.program, &["audit", "--data", self.data().to_str().unwrap()], &[]).await
    }

    /// The whole log.
    pub fn full_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The end of the log.
    pub fn log_tail(&self) -> String {
        tail(&self.folder.path().join("log"))
    }

    /// Checks the books, stops the system, and asserts that the audit finds nothing.
    pub async fn finish(mut self) {
        checks::wait_until_books_settle(&self.client).await;
        self.stop().await;
        let audit = self.audit().await;
        let (stdout, stderr) = (String::from_utf8_lossy(&audit.stdout), String::from_utf8_lossy(&audit.stderr));
        assert_eq!(audit.status.code(), Some(0), "the audit found something: {stdout}{stderr}");
    }
}

/// A folder whose subfolder `data` is a copy of the one that `UNBUNDLED_TEST_FOLDER` names, in which nothing happened but
/// the import of the built-in history. Without this variable, a new system has to import it.
fn prepared() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let Some(from) = std::env::var_os("UNBUNDLED_TEST_FOLDER") else { return folder };
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), data.join(file.file_name())).unwrap();
    }
    folder
}

impl Drop for LocalSystem {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}
