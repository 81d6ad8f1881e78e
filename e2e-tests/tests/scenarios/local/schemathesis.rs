//! Schemathesis sends valid and invalid requests, and compares the responses with the OpenAPI documents.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::timeout;

use crate::scenarios::harness::{LocalSystem, Namespace};

/// The timeout of a command. An installation takes seconds with a near package index, a run for all services about a
/// minute.
const TIMEOUT: Duration = Duration::from_secs(240);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs a command that has to succeed, and returns its stdout.
async fn output_of(command: &mut Command) -> String {
    let command = command.current_dir(root()).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(TIMEOUT, command.output()).await.expect("the command did not end in time").unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{stdout}{stderr}", command.as_std());
    stdout.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_conform_to_their_openapi_documents() {
    let program = output_of(&mut Command::new("infra/local/schemathesis.sh")).await;
    let local = LocalSystem::start().await;
    // The examples of the documents refer to this offer, and to this purchase and this return.
    let (client, namespace) = (&local.client, Namespace::new());
    client.put_priced_offer("lantern", "15.30", "GBP").await;
    let order = namespace.order("alice", "GBP", &["lantern"]);
    client.buy("my-first", &order).await.expect_status(201);
    client.bring_back("my-first", &order).await.expect_status(201);

    let started = Instant::now();
    for url in client.all_urls("/openapi.json") {
        let mut schemathesis = Command::new(program.trim());
        schemathesis.args(["--config-file", "e2e-tests/schemathesis/schemathesis.toml", "run", "--no-color", &url]);
        schemathesis.env("PYTHONPATH", "e2e-tests/schemathesis").env("PYTHONDONTWRITEBYTECODE", "1");
        eprintln!("{}", output_of(schemathesis.env("NO_PROXY", "127.0.0.1")).await);
    }
    eprintln!("tested in {:?}", started.elapsed());
    local.finish().await;
}
