//! Normal operation of a cluster logs no errors.

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Cluster, services};
use crate::scenarios::harness::{Load, LogEvent, assert_no_errors_logged};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_and_takeovers_by_other_instances_log_no_errors_and_no_lapin_events() {
    let mut cluster = Cluster::start_on_shared_servers().await;
    let client = cluster.client.clone();
    let load = Load::prepare(&client, 0).await;
    let mut second_client = client.clone();
    for service in services() {
        let second = cluster.add_second_instance(service);
        cluster.launch(&second, &[]);
        cluster.instance(&second).wait_until_not_ready("another instance of this service is active").await;
        let addresses = cluster.client_for_second(service).addresses;
        match service {
            "exchange-rate" => second_client.addresses.exchange_rate = addresses.exchange_rate,
            "purchase" => second_client.addresses.purchase = addresses.purchase,
            _ => second_client.addresses.ledger = addresses.ledger,
        }
    }
    let mut sending = load.keep_sending(&[client, second_client.clone()]);
    sending.wait_for_batches(BATCHES).await;
    for service in services() {
        cluster.instance(service).stop().await;
        cluster.instance(&format!("{service}-2")).wait_until_ready().await;
    }
    cluster.client = second_client;
    let mut cluster = FaultTest { cluster, load, sending }.assert_recovery().await;
    for service in services() {
        for name in [service.to_owned(), format!("{service}-2")] {
            let log = cluster.instance(&name).full_log();
            assert_no_errors_logged(&name, &log);
            let events = LogEvent::parse_all(&log);
            let of_lapin = events.iter().find(|event| event.text("target").starts_with("lapin"));
            assert!(of_lapin.is_none(), "{name}: {of_lapin:?}");
        }
    }
    cluster.finish().await;
}
