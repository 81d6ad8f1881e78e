//! SIGKILL: no response is lost or changes, and nothing has two effects.

use crate::scenarios::harness::{Load, LocalSystem, Random, run_until_logged};

/// The number of batches of the load.
const BATCHES: usize = 60;
/// The number of times that the process is killed.
const KILLS: usize = 5;
/// The seed that selects the moments of the kills. The test must pass with any seed.
const SEED: u64 = 0x0B5E_55ED;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_five_times_under_load_it_continues_and_nothing_is_lost_or_done_twice() {
    let (mut local, mut random) = (LocalSystem::start().await, Random(SEED));
    let mut load = Load::prepare(&local.client, BATCHES).await;
    for kill in 0..KILLS {
        // Each round starts with batches that are new, and continues with batches that already have a response.
        let mut sending = load.send_from(&local.client, kill * BATCHES / KILLS);
        let batches = 1 + usize::try_from(random.below(BATCHES as u64 / 2)).unwrap();
        sending.wait_for_batches(batches).await;
        local.kill().await;
        load.record(sending.finish().await);
        eprintln!("kill {kill} of seed {SEED:#x} after {batches} batches: {} answered", load.answered_count());

        local.start_again(&[]).await;
        load.assert_nothing_lost(&local.client).await;
    }
    let received = load.send(&local.client).finish().await;
    assert_eq!(received.len(), load.len());
    load.record(received);
    load.assert_nothing_lost(&local.client).await;
    load.assert_one_effect_each(&local.client).await;
    local.finish().await;
}

#[tokio::test]
async fn killed_during_the_import_of_the_built_in_history_it_imports_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // The import starts when the first service listens.
    run_until_logged(&["run", "--base-port", "0", "--data", data.to_str().unwrap()], "listening").await;
    let local = LocalSystem::start_on(folder, &[]).await;
    let quote = local.client.rate_at("EUR/GBP", "2010-12-01T12:00:00Z".parse().unwrap()).await.expect_status(200);
    assert_eq!(quote.json::<contracts::RateQuote>().rate, "0.8393");
    local.finish().await;
}
