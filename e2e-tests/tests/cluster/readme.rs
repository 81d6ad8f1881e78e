//! Runs the commands of docs/guide.md that need a cluster, in a folder and on ports of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::harness::{Ports, cluster_lock, services};
use crate::scenarios::harness::{assert_no_errors_logged, binary, code_blocks};
use crate::scenarios::local::start::three_free_ports;

/// A script that runs the lines of a file, each of which has to succeed, and copies the logs.
const RUN_ALL: &str = r#"
trap 'make down; make clean-local' EXIT
while IFS= read -r line; do
  printf '%s\n' "$line"
  bash -euo pipefail -c "$line" </dev/null || { echo "failed: $line"; exit 1; }
done <"$1"
cp "$UNBUNDLED_LOCAL"/log/*.log* "$2"
"#;
/// The size limit of a log, so small that every log is rotated.
const LOG_BYTES_MAX: u64 = 1_500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The commands of the section about the cluster, except `make down`.
fn lines(page: &str) -> String {
    let from = page.find("## On RabbitMQ and Postgres").expect("README.md has no such section");
    let section = page[from..].split("\n## ").next().unwrap();
    let bin = binary("unbundled").parent().unwrap().display().to_string();
    let lines = code_blocks(section, "sh").concat().replace("target/release", &bin);
    // At the end the services run that the commands have killed.
    format!("{}make up\nmake status\n", lines.replace("make down", "true"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_for_the_cluster_works_as_printed_and_logs_are_rotated_json() {
    let _lock = cluster_lock().await;
    let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::free());
    let (commands, logs, local) =
        (folder.path().join("commands"), folder.path().join("logs"), folder.path().join("local"));
    fs::write(&commands, lines(&fs::read_to_string(root().join("docs/guide.md")).unwrap())).unwrap();
    fs::create_dir(&logs).unwrap();
    let base = three_free_ports();
    let bin = relative(binary("unbundled").parent().unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-c", RUN_ALL, "run-all"]).args([&commands, &logs]).current_dir(root()).stdin(Stdio::null());
    for (name, value) in [
        ("UNBUNDLED_LOCAL", local.display().to_string()),
        ("RABBITMQ_PORT", ports.rabbitmq.to_string()),
        ("RABBITMQ_DIST_PORT", ports.distribution.to_string()),
        ("EPMD_PORT", ports.epmd.to_string()),
        ("POSTGRES_PORT", ports.postgres.to_string()),
        ("BASE_PORT", base.to_string()),
        ("UNBUNDLED_EXCHANGE_RATE_URL", format!("http://127.0.0.1:{base}")),
        ("UNBUNDLED_PURCHASE_URL", format!("http://127.0.0.1:{}", base + 1)),
        ("UNBUNDLED_LEDGER_URL", format!("http://127.0.0.1:{}", base + 2)),
        ("UNBUNDLED_BIN", binary("unbundled").parent().unwrap().display().to_string()),
        ("LOG_BYTES_MAX", LOG_BYTES_MAX.to_string()),
        // `make` must not build anything, because the binaries exist.
        ("MAKEFLAGS", format!("-- CARGO=true BIN={bin}")),
    ] {
        shell.env(name, value);
    }
    let done = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
    let printed = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(done.status.success() && !printed.contains("failed: "), "{printed}");
    assert!(!local.exists(), "make clean-local left something");
    for service in services() {
        let log = |extension: &str| fs::read_to_string(logs.join(format!("{service}.log{extension}")));
        let files: Vec<_> = ["", ".1", ".2"].into_iter().filter_map(|extension| log(extension).ok()).collect();
        assert!(files.len() > 1, "the log of {service} was not rotated");
        for text in files.iter().filter(|text| !text.is_empty()) {
            let longest = text.lines().map(str::len).max().unwrap_or_default();
            assert!(text.len() <= usize::try_from(LOG_BYTES_MAX).unwrap() + longest + 1, "{service}: {}", text.len());
            assert_no_errors_logged(service, text);
        }
    }
}

/// The path of a folder relative to the root of the repository.
fn relative(folder: &Path) -> String {
    let output = Command::new("realpath").arg("--relative-to").args([&root(), folder]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
