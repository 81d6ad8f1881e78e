//! The maximum number of partitions in one process.

use crate::scenarios::harness::{Load, LocalSystem};

/// The limit of open files is commonly 1,024, and client connections need some of them.
const FILES: f64 = 900.0;

#[tokio::test]
async fn with_64_partitions_all_is_settled_and_few_files_are_open() {
    let mut local = LocalSystem::start_on(tempfile::tempdir().unwrap(), &["--partitions", "64"]).await;
    let mut load = Load::prepare(&local.client, 20).await;
    load.record(load.send(&local.client).finish().await);
    load.assert_all_have_outcomes(&local.client).await;
    load.assert_one_effect_each(&local.client).await;
    let [of_process, ..] = local.client.metrics().await;
    let files = of_process.sum("process_open_fds", &[]);
    eprintln!("{files} files are open");
    assert!(files < FILES, "{files} files are open");

    local.kill().await;
    local.start_again(&[]).await;
    load.assert_nothing_lost(&local.client).await;
    local.finish().await;
}
