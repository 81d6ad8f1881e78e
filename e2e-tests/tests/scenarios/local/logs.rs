//! Without a terminal all output is JSON and normal operation logs no errors; log rotation.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::scenarios::harness::{Load, LocalSystem, assert_no_errors_logged, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_some_work_and_a_stop_log_no_error() {
    let mut local = LocalSystem::start_empty().await;
    let mut load = Load::prepare(&local.client, 5).await;
    let received = load.send(&local.client).finish().await;
    load.record(received);
    load.assert_all_have_outcomes(&local.client).await;
    local.stop().await;
    assert_no_errors_logged("all services", &local.full_log());
    local.start_again(&[]).await;
    local.finish().await;
}

/// Writes a text to a rotated log with files of at most this many bytes, and returns the files, the oldest first.
async fn rotated(text: &str, bytes_max: usize) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/rotate.sh");
    let mut rotate = Command::new(script);
    rotate.arg(&log).env("LOG_BYTES_MAX", bytes_max.to_string()).stdin(Stdio::piped());
    let mut rotate = rotate.spawn().unwrap();
    let mut input = rotate.stdin.take().unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    input.write_all(format!("{first}\n").as_bytes()).await.unwrap();
    wait_until("the first line is in the log, before the input ends", async || {
        fs::read_to_string(&log).is_ok_and(|log| log.starts_with(first)).then_some(())
    })
    .await;
    input.write_all(rest.as_bytes()).await.unwrap();
    drop(input);
    assert!(rotate.wait().await.unwrap().success());
    let names = ["log.2", "log.1", "log"].map(|name| folder.path().join(name));
    names.into_iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[tokio::test]
async fn a_rotated_log_has_whole_lines_in_three_files_and_loses_only_the_oldest_lines() {
    let lines = |count: usize| (0..count).map(|line| format!("line {line:6}\n")).collect::<String>();
    let text = lines(20_000) + "cut off";
    for (bytes_max, file_count) in [(1_000_000, 1), (200_000, 2), (100_000, 3)] {
        let files = rotated(&text, bytes_max).await;
        assert_eq!((files.len(), files.concat() == text), (file_count, true), "{bytes_max}");
        assert!(files.iter().all(|file| file.len() <= bytes_max + 12), "{bytes_max}");
    }
    let files = rotated(&text, 1_000).await;
    assert!(files.len() == 3 && text.ends_with(&files.concat()), "{files:?}");
    assert!(files.iter().all(|file| file.starts_with("line ")), "a line is cut: {files:?}");
}
