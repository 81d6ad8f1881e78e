//! SIGTERM: the process stops in time and prints `stopped`, and no response is lost.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::scenarios::harness::{Load, LocalSystem, connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_under_load_it_exits_with_0_in_time_and_no_response_is_lost() {
    let mut local = LocalSystem::start().await;
    let mut load = Load::prepare(&local.client, 60).await;
    let mut sending = load.send(&local.client);
    sending.wait_for_batches(5).await;
    let ended = local.terminate().await;
    assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "stopped"), "{ended:?}");
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    load.record(sending.finish().await);
    eprintln!("stopped in {:?} after responses for {} purchases", ended.took, load.answered_count());
    assert!(load.answered_count() < load.len(), "the load had ended before it was stopped");

    local.start_again(&[]).await;
    load.assert_nothing_lost(&local.client).await;
    let received = load.send(&local.client).finish().await;
    assert_eq!(received.len(), load.len());
    load.record(received);
    load.assert_one_effect_each(&local.client).await;
    local.finish().await;
}

#[tokio::test]
async fn unfinished_uploads_do_not_delay_the_stop() {
    let mut local = LocalSystem::start().await;
    let addresses = local.client.addresses.clone();
    let mut open = Vec::new();
    for (base, path, bytes) in [
        (&addresses.exchange_rate, "/rates/import", 16 << 20),
        (&addresses.purchase, "/purchases/batch", 8 << 20),
        (&addresses.ledger, "/transfers", 4 << 10),
    ] {
        let mut stream = connect(base).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: unbundled\r\nIdempotency-Key: upload\r\nExpect: 100-continue\r\n\
             Content-Length: {bytes}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The request is in progress once the service has asked for the body.
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        open.push(stream);
    }
    local.stop().await;
    drop(open);
    local.start_again(&[]).await;
    local.finish().await;
}

#[tokio::test]
async fn a_restart_continues_with_the_same_data_on_the_same_ports() {
    let mut local = LocalSystem::start().await;
    let mut load = Load::prepare(&local.client, 5).await;
    let received = load.send(&local.client).finish().await;
    load.record(received);
    for round in 0..3 {
        local.stop().await;
        let port = super::start::three_free_ports();
        // The second start uses the same ports, while some connections of the first are still being closed.
        for _ in 0..2 {
            local.start_again(&["--base-port", &port.to_string()]).await;
            assert_eq!(local.client.addresses.ledger, format!("http://127.0.0.1:{}", port + 2), "round {round}");
            load.assert_nothing_lost(&local.client).await;
            load.assert_one_effect_each(&local.client).await;
            local.stop().await;
        }
        local.start_again(&[]).await;
    }
    local.finish().await;
}
