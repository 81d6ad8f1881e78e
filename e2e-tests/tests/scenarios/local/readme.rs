//! The commands of README.md and docs/guide.md work as printed, with the responses that the pages show. `cluster/readme.rs` runs the
//! commands that need a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::process::Command;

use super::start::three_free_ports;
use crate::scenarios::harness::{Addresses, LocalSystem, Process, binary, code_blocks, curl_commands, matches_pattern};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// README.md, the guide and the costs.
pub fn readme() -> String {
    ["README.md", "docs/guide.md", "docs/costs.md"].map(|page| fs::read_to_string(root().join(page)).unwrap()).concat()
}

/// Replaces the addresses and the binary in a command by those of the test.
fn localize(command: &str, addresses: &Addresses) -> String {
    let with_binary = command.replace("target/release/unbundled", binary("unbundled").to_str().unwrap());
    with_binary
        .replace("http://", "")
        .replace("localhost:8081", addresses.exchange_rate.trim_start_matches("http://"))
        .replace("localhost:8082", addresses.purchase.trim_start_matches("http://"))
        .replace("localhost:8083", addresses.ledger.trim_start_matches("http://"))
}

async fn run(command: &str, folder: &Path) -> Output {
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(folder).env("RUST_LOG", "warn").kill_on_drop(true);
    shell.output().await.unwrap()
}

/// Runs a command that has to succeed, and returns its output.
async fn output_of(command: &str, folder: &Path) -> String {
    let Output { status, stdout, stderr } = run(command, folder).await;
    let printed = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{command}\n{printed}{}", String::from_utf8_lossy(&stderr));
    printed
}

/// The responses in a block. Each starts with a line that begins with `{`; other lines continue it.
fn expected_responses(block: &str) -> Vec<String> {
    let mut responses: Vec<String> = Vec::new();
    for line in block.lines() {
        match responses.last_mut() {
            Some(response) if !line.starts_with('{') => *response += line.trim(),
            Some(_) | None => responses.push(line.to_owned()),
        }
    }
    responses
}

/// The `curl` commands within lines of text.
fn inline_curl_commands(page: &str) -> Vec<String> {
    let begin = page.split("`curl ").skip(1);
    begin.map(|rest| format!("curl {}", rest.split('`').next().unwrap().replace("\\|", "|"))).collect()
}

#[tokio::test]
async fn each_curl_command_gets_the_response_that_is_shown() {
    let local = LocalSystem::start().await;
    let (page, folder) = (readme(), tempfile::tempdir().unwrap());
    let mut count = 0;
    for part in page.split("```sh\n").skip(1) {
        let commands = curl_commands(part.split("```").next().unwrap());
        if commands.is_empty() {
            continue;
        }
        let shown = expected_responses(&code_blocks(part, "json")[0]);
        assert_eq!(commands.len(), shown.len(), "each command needs a response: {commands:?} {shown:?}");
        for (command, shown) in commands.iter().zip(&shown) {
            let response = output_of(&localize(command, &local.client.addresses), folder.path()).await;
            assert!(matches_pattern(&response, shown), "{command}printed\n{response}\ninstead of\n{shown}");
        }
        count += commands.len();
    }
    for command in inline_curl_commands(&page) {
        assert!(!output_of(&localize(&command, &local.client.addresses), folder.path()).await.is_empty(), "{command}");
        count += 1;
    }
    assert_eq!(count, page.matches("curl -").count(), "README.md has a curl command that this test does not run");
    local.finish().await;
}

/// Goes through all lines of all blocks. A line of an unknown kind fails the test, so that no command is forgotten.
#[tokio::test]
async fn each_other_command_works_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join(".unbundled"), folder.path().join("log"));
    let port = three_free_ports();
    let first =
        Process::start("unbundled", &["--base-port", &port.to_string(), "--data", data.to_str().unwrap()], &[], &log)
            .await;
    let addresses = first.addresses.clone();
    assert_eq!(first.terminate().await.code, Some(0));
    let page = readme();
    for line in code_blocks(&page, "sh").iter().flat_map(|block| block.lines()) {
        let line = line.split(" #").next().unwrap().trim();
        let command = localize(line, &addresses);
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["make", target, ..] => {
                let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
                assert!(makefile.contains(&format!("\n{target}:")), "there is no {command}");
            }
            [_, "audit", ..] => {
                let report = output_of(&command, folder.path()).await;
                assert!(report.contains("clean: everything stored is what was derived"), "{report}");
            }
            ["sqlite3", file, ..] => {
                let query = command.split('\'').nth(1).unwrap();
                let file = SqliteConnectOptions::new().filename(folder.path().join(file));
                let mut file = SqliteConnection::connect_with(&file).await.unwrap();
                sqlx::query(query).fetch_all(&mut file).await.unwrap();
            }
            [_, "run", arguments @ .., "8"] => {
                let port = three_free_ports().to_string();
                let arguments = arguments.iter().map(|word| if *word == "9081" { &port } else { *word });
                let arguments: Vec<_> = arguments.chain(["8"]).collect();
                assert_eq!(Process::start("unbundled", &arguments, &[], &log).await.terminate().await.code, Some(0));
            }
            ["cargo", "test", "-p", package, module] => {
                let tests = root().join(package).join("tests").join(module.trim_end_matches("::"));
                assert!(tests.is_dir(), "there is no {}", tests.display());
            }
            [_, "replay", "retail" | "bookings", ..] | [_, "sweetspot", ..] => {
                // The command is right if all that it complains about is the missing file.
                let Output { status, stderr, .. } = run(&command, folder.path()).await;
                let stderr = String::from_utf8_lossy(&stderr);
                let is_missing = stderr.contains("No such file") || stderr.contains("not found");
                assert!(status.code() == Some(1) && is_missing, "{command}: {stderr}");
            }
            [word, ..] if word.starts_with("infra/local/") => {}
            [_, "load" | "republish", ..] => {}
            ["curl" | "-H" | "-d", ..] => {}
            _ => panic!("this test does not know how to run {line}"),
        }
    }
}
