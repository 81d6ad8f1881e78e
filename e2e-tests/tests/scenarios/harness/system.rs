//! A system to test: one of its own, or the one that the environment names.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use super::process::tail;
use super::{Addresses, Client, Ended, Process, checks, run_to_end};

/// A system that a black-box scenario talks to.
pub struct System {
    /// To talk to it.
    pub client: Client,
    own: Option<Local>,
}

impl System {
    /// The one that the environment names, or a new one.
    pub async fn start() -> Self {
        if let Some(addresses) = Addresses::of_environment() {
            let client = Client::new(addresses);
            for readyz in client.everywhere("/readyz") {
                client.get(&readyz).await.is(200);
            }
            return Self { client, own: None };
        }
        let own = Local::start().await;
        Self { client: own.client.clone(), own: Some(own) }
    }

    /// The checks at the end of every scenario.
    pub async fn finish(self) {
        match self.own {
            Some(local) => local.finish().await,
            None => checks::books_are_quiet(&self.client).await,
        }
    }
}

/// A system whose process and folder belong to the test.
pub struct Local {
    /// To talk to it; new after each start.
    pub client: Client,
    /// The running process.
    process: Option<Process>,
    folder: TempDir,
}

impl Local {
    /// On an empty folder.
    pub async fn start() -> Self {
        Self::start_on(tempfile::tempdir().unwrap(), &[]).await
    }

    /// On the folder `data` in a folder, with more arguments.
    pub async fn start_on(folder: TempDir, more: &[&str]) -> Self {
        Self::start_with(folder, more, &[]).await
    }

    /// On an empty folder, with these variables.
    pub async fn start_in(variables: &[(&str, &str)]) -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), &[], variables).await
    }

    async fn start_with(folder: TempDir, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let (data, log) = (folder.path().join("data"), folder.path().join("log"));
        let mut arguments = vec!["--data", data.to_str().unwrap()];
        if !more.contains(&"--base-port") {
            arguments.extend(["--base-port", "0"]);
        }
        arguments.extend(more);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, Path::new(*value))).collect();
        let process = Process::start(&arguments, &variables, &log).await;
        Self { client: Client::new(process.addresses.clone()), process: Some(process), folder }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.process.take().expect("it runs").kill().await;
    }

    /// SIGTERM.
    pub async fn terminate(&mut self) -> Ended {
        self.process.take().expect("it runs").terminate().await
    }

    /// SIGTERM, which has to end it well.
    pub async fn stop(&mut self) {
        let ended = self.terminate().await;
        assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "stopped"), "{ended:?} {}", self.log());
    }

    /// Starts it again on the same folder, with more arguments.
    pub async fn start_again(&mut self, more: &[&str]) {
        assert!(self.process.is_none(), "it still runs");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        *self = Self::start_on(folder, more).await;
    }

    /// `unbundled audit` on the folder of a stopped system.
    pub async fn audit(&self) -> Output {
        run_to_end(&["audit", "--data", self.data().to_str().unwrap()]).await
    }

    /// All of the log.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The end of the log.
    pub fn log(&self) -> String {
        tail(&self.folder.path().join("log"))
    }

    /// The checks at the end of every scenario.
    pub async fn finish(mut self) {
        checks::books_are_quiet(&self.client).await;
        self.stop().await;
        let audit = self.audit().await;
        let (stdout, stderr) = (String::from_utf8_lossy(&audit.stdout), String::from_utf8_lossy(&audit.stderr));
        assert_eq!(audit.status.code(), Some(0), "the audit found something: {stdout}{stderr}");
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
