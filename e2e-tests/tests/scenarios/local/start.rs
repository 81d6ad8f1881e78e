//! A start with a wrong setting or a damaged file fails with one clear line.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use crate::scenarios::harness::{Client, LocalSystem, Process, run_to_end, startup_error};

/// The ports to choose from, below the range of ephemeral ports.
const PORTS: std::ops::Range<u16> = 21_000..29_000;

/// The first of three consecutive free ports.
pub fn three_free_ports() -> u16 {
    // Tests run concurrently, as processes or as threads: each starts its search at another port.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let block = (std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed)) % 2_000;
    let start = u16::try_from(block).unwrap() * 4;
    let free = |port: &u16| (0..3).all(|offset| TcpListener::bind(("127.0.0.1", port + offset)).is_ok());
    let mut all = PORTS.skip(usize::from(start)).chain(PORTS).step_by(4);
    all.find(free).expect("there are no three consecutive free ports")
}

/// Asserts that `unbundled` with these arguments fails with one error line that contains all of these words.
async fn assert_refused(arguments: &[&str], expected: &[&str]) {
    let output = run_to_end(arguments).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_server = arguments.first() == Some(&"run");
    let line = if is_server { startup_error(&output) } else { command_error(&stderr) };
    assert!(output.status.code().is_some_and(|code| code != 0), "{arguments:?}: {:?} {stderr}", output.status);
    for word in expected {
        assert!(line.contains(word), "the error of {arguments:?} does not contain {word}: {line}");
    }
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
}

/// The only error line of an operator command.
fn command_error(stderr: &str) -> String {
    let lines: Vec<_> = stderr.lines().filter(|line| !line.starts_with('{')).collect();
    let [line] = lines.as_slice() else { panic!("not exactly one line: {lines:#?}") };
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let local = LocalSystem::start().await;
    let data = local.data();
    assert_refused(&["run", "--base-port", "0", "--data", text(&data)], &[text(&data), "in use"]).await;
    assert_refused(&["audit", "--data", text(&data)], &[text(&data), "in use"]).await;
    local.finish().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for offset in 0..3 {
        let base = three_free_ports();
        let _taken = TcpListener::bind(("127.0.0.1", base + offset)).unwrap();
        let data = folder.path().join("data");
        let arguments = ["run", "--base-port", &base.to_string(), "--data", text(&data)];
        assert_refused(&arguments, &[&(base + offset).to_string(), "in use"]).await;
    }
    let arguments = ["run", "--base-port", "65534", "--data", text(folder.path())];
    assert_refused(&arguments, &["65534"]).await;
}

#[tokio::test]
async fn a_number_of_partitions_that_differs_from_the_stored_one_is_refused() {
    let mut local = LocalSystem::start().await;
    local.stop().await;
    let data = local.data();
    let with = |partitions: &'static str| ["run", "--base-port", "0", "--partitions", partitions];
    for partitions in ["3", "1", "64"] {
        let arguments = [&with(partitions) as &[_], &["--data", text(&data)]].concat();
        assert_refused(&arguments, &[&format!("2 partitions, not {partitions}")]).await;
    }
    let empty = tempfile::tempdir().unwrap();
    for partitions in ["0", "65"] {
        let arguments = [&with(partitions) as &[_], &["--data", text(empty.path())]].concat();
        assert_refused(&arguments, &[partitions, "1 to 64"]).await;
    }
    local.start_again(&["--partitions", "2"]).await;
    local.finish().await;
}

#[tokio::test]
async fn a_damaged_file_is_named_and_nothing_is_changed() {
    for damaged in ["exchange-rate.sqlite", "purchase.sqlite", "ledger.sqlite"] {
        let mut local = LocalSystem::start().await;
        local.stop().await;
        let (data, path) = (local.data(), local.data().join(damaged));
        let whole = fs::read(&path).unwrap();
        let mut header = whole.clone();
        header[..16].copy_from_slice(b"not a database!!");
        for bytes in [header, whole[..whole.len() / 2 + 100].to_vec(), whole[..50].to_vec(), b"x".repeat(5_000)] {
            fs::write(&path, &bytes).unwrap();
            assert_refused(&["run", "--base-port", "0", "--data", text(&data)], &[damaged]).await;
            assert_eq!(fs::read(&path).unwrap(), bytes, "{damaged} was changed");
        }
        fs::write(&path, &whole).unwrap();
        local.start_again(&[]).await;
        local.finish().await;
    }
}

#[tokio::test]
async fn a_service_with_changed_data_is_named_with_what_to_do() {
    let mut local = LocalSystem::start().await;
    local.stop().await;
    let ledger = SqliteConnectOptions::new().filename(local.data().join("ledger.sqlite"));
    let mut ledger = SqliteConnection::connect_with(&ledger).await.unwrap();
    sqlx::query("UPDATE owners SET number = number + 1").execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
    let data = local.data();
    let arguments = ["run", "--base-port", "0", "--data", text(&data)];
    assert_refused(&arguments, &["ledger cannot start: ", "is not the one noted", "run `unbundled audit`"]).await;
}

#[tokio::test]
async fn a_missing_file_is_named_if_the_others_have_data() {
    let mut local = LocalSystem::start().await;
    local.stop().await;
    for lost in ["exchange-rate.sqlite", "purchase.sqlite", "ledger.sqlite"] {
        let path = local.data().join(lost);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_refused(&["run", "--base-port", "0", "--data", text(&local.data())], &[lost]).await;
        assert!(!path.exists(), "{lost} was created again");
        fs::write(&path, b"").unwrap();
        assert_refused(&["run", "--base-port", "0", "--data", text(&local.data())], &[lost]).await;
        fs::write(&path, &whole).unwrap();
    }
    local.start_again(&[]).await;
    local.finish().await;
}

#[tokio::test]
async fn an_interrupted_first_start_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/exchange-rate.sqlite"), b"").unwrap();
    LocalSystem::start_on(folder, &[]).await.finish().await;
}

#[tokio::test]
async fn a_path_that_cannot_be_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "a text").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert_refused(&["run", "--base-port", "0", "--data", text(&path)], &[text(&path)]).await;
        assert_refused(&["audit", "--data", text(&path)], &[text(&path)]).await;
    }
    assert_eq!(fs::read(&file).unwrap(), b"a text");
    let missing = folder.path().join("missing");
    assert_refused(&["audit", "--data", text(&missing)], &[text(&missing)]).await;
    assert!(!missing.exists(), "the audit created a folder");
}

#[tokio::test]
async fn bad_feed_settings_are_refused_with_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &'static str, value: &'static str| {
        ["run", "--base-port", "0", "--ecb-feed-url", "http://127.0.0.1/a.xml", name, value, "--data"]
    };
    for (arguments, expected) in [
        (with("--ecb-feed-interval-s", "0"), ["ECB_FEED_INTERVAL_S", "1 to 86400"]),
        (with("--ecb-feed-interval-s", "soon"), ["ECB_FEED_INTERVAL_S", "1 to 86400"]),
    ] {
        assert_refused(&[&arguments as &[_], &[text(folder.path())]].concat(), &expected).await;
    }
    for url in ["ftp://127.0.0.1/a.xml", "a.xml", "https://user:hidden@127.0.0.1/"] {
        let arguments = ["run", "--base-port", "0", "--ecb-feed-url", url, "--data", text(folder.path())];
        assert_refused(&arguments, &["ECB_FEED_URL", "an http or https URL"]).await;
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the data folder was used");
}

#[tokio::test]
async fn an_ephemeral_run_leaves_nothing() {
    let (parent, log) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let arguments = ["--ephemeral", "--base-port", "0"];
    let process = Process::start("unbundled", &arguments, &[("TMPDIR", parent.path())], log.path()).await;
    let client = Client::new(process.addresses.clone());
    client.put_priced_offer("lantern", "15.30", "GBP").await;
    assert_eq!(process.ready.text("data"), "a temporary folder");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    assert_eq!(process.terminate().await.code, Some(0));
    let left: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
