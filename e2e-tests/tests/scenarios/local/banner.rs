//! At a terminal `unbundled run` prints a banner, whose commands work as printed.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use contracts::{Offer, Purchase, Status, TrialBalance};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::readme::readme;
use super::start::three_free_ports;
use crate::scenarios::harness::{
    Addresses, Client, assert_balances, binary, code_blocks, curl_commands, matches_pattern, money, unbundled_command,
    wait_until_books_settle,
};

/// The start of the last line of the banner.
const BANNER_END: &str = "Ctrl-C stops it";
/// The timeout for a start or a stop.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a command in a shell, and parses its output as JSON.
fn run<T: serde::de::DeserializeOwned>(command: &str) -> T {
    let Output { status, stdout, stderr } = Command::new("sh").args(["-c", command]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command}{status}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{command}{error}: {stdout}"))
}

#[tokio::test]
async fn the_three_commands_of_the_banner_work_as_printed_and_ctrl_c_ends_the_process() {
    let (folder, port) = (tempfile::tempdir().unwrap(), three_free_ports());
    let data = folder.path().join("data");
    // script(1) provides a terminal.
    let line = format!("exec {} run --base-port {port} --data {}", binary("unbundled").display(), data.display());
    let mut script = tokio::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    for (name, _) in unbundled_command(&[]).as_std().get_envs().filter(|(_, value)| value.is_none()) {
        script.env_remove(name);
    }
    let mut script = script.spawn().unwrap();
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
    let mut banner = String::new();
    while !banner.contains(BANNER_END) {
        let read = timeout(TIMEOUT, screen.read_line(&mut banner)).await.expect("the banner did not appear in time");
        assert!(read.unwrap() > 0, "the process ended: {banner}");
    }
    assert!(banner.contains(data.to_str().unwrap()) && !banner.contains("{\"timestamp\""), "{banner}");

    let commands = curl_commands(&banner);
    let [offer, purchase, books] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!(run::<Offer>(offer).terms.price.to_string(), "15.30 GBP");
    let bought: Purchase = run(purchase);
    let shown = code_blocks(&readme(), "json")[0].lines().map(str::trim).collect::<String>();
    let response = Command::new("sh").args(["-c", purchase]).output().unwrap().stdout;
    assert!(matches_pattern(&String::from_utf8_lossy(&response), &shown), "README.md shows {shown}");
    assert_eq!((bought.status, bought.total), (Status::Settled, Some(money("45.90 GBP"))));
    let charged = bought.charged.unwrap();
    assert_eq!(charged.currency().to_string(), "EUR");
    assert_eq!(run::<Purchase>(purchase), bought, "a retry is the same purchase");
    let client = Client::new(Addresses::from_port(port));
    assert_balances(&client, bought.customer.as_str(), &[("EUR", &format!("-{}", charged.amount()))]).await;
    let books: TrialBalance = run(books);
    assert_eq!(books.keys().map(ToString::to_string).collect::<Vec<_>>(), ["EUR", "GBP"]);
    wait_until_books_settle(&client).await;

    keyboard.write_all(b"\x03").await.unwrap();
    let mut rest = String::new();
    timeout(TIMEOUT, screen.read_to_string(&mut rest)).await.expect("Ctrl-C did not end the process").unwrap();
    assert_eq!(script.wait().await.unwrap().code(), Some(0), "{rest}");
    assert!(rest.trim_end().ends_with("stopped"), "{rest}");
}

#[tokio::test]
async fn at_a_terminal_an_error_is_one_plain_line() {
    let line = format!("exec {} run --base-port 65534", binary("unbundled").display());
    let mut script = tokio::process::Command::new("script");
    let output = script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.starts_with("error: --base-port 65534") && printed.trim().lines().count() == 1, "{printed}");
}
