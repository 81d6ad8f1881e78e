//! `kill -9`: nothing that was answered is lost or changed, and nothing has two effects.

use crate::scenarios::harness::{Load, LocalSystem, Random, run_until_logged};

/// Batches of the whole load.
const BATCHES: usize = 60;
/// How often it is killed.
const KILLS: usize = 5;
/// Which moments are drawn; any seed must do.
const SEED: u64 = 0x0B5E_55ED;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_five_times_under_load_it_goes_on_and_nothing_is_lost_or_done_twice() {
    let (mut local, mut random) = (LocalSystem::start().await, Random(SEED));
    let mut load = Load::prepare(&local.client, BATCHES).await;
    for kill in 0..KILLS {
        // Each time it begins with others that are new, and comes to those that were answered already.
        let mut sending = load.send_from(&local.client, kill * BATCHES / KILLS);
        let batches = 1 + usize::try_from(random.below(BATCHES as u64 / 2)).unwrap();
        sending.wait_for_batches(batches).await;
        local.kill().await;
        load.record(sending.finish().await);
        eprintln!("kill {kill} of seed {SEED:#x} after {batches} batches: {} answered", load.answered_count());

        local.start_again(&[]).await;
        load.assert_nothing_lost(&local.client).await;
    }
    let told = load.send(&local.client).finish().await;
    assert_eq!(told.len(), load.len());
    load.record(told);
    load.assert_nothing_lost(&local.client).await;
    load.assert_one_effect_each(&local.client).await;
    local.finish().await;
}

#[tokio::test]
async fn killed_while_the_built_in_history_is_imported_it_imports_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // The first service listens: the import begins now.
    run_until_logged(&["run", "--base-port", "0", "--data", data.to_str().unwrap()], "listening").await;
    let local = LocalSystem::start_on(folder, &[]).await;
    let quote = local.client.rate_at("EUR/GBP", "2010-12-01T12:00:00Z".parse().unwrap()).await.expect_status(200);
    assert_eq!(quote.json::<contracts::RateQuote>().rate, "0.8393");
    local.finish().await;
}
