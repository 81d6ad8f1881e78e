//! What is normal on a cluster is no error in anybody's log.

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Cluster, SERVICES};
use crate::scenarios::harness::{Load, LogEvent, assert_no_errors_logged};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_and_take_overs_by_other_instances_log_no_error_and_nothing_twice() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client.clone();
    let load = Load::prepare(&client, 0).await;
    let mut of_second = client.clone();
    for service in SERVICES {
        let second = cluster.add_second_instance(service);
        cluster.launch(&second, &[]);
        cluster.instance(&second).wait_until_not_ready("another instance of this service is active").await;
        let url = cluster.client_for_second(service);
        match service {
            "exchange-rate" => of_second.addresses.exchange_rate = url.addresses.exchange_rate,
            "purchase" => of_second.addresses.purchase = url.addresses.purchase,
            _ => of_second.addresses.ledger = url.addresses.ledger,
        }
    }
    let mut sending = load.keep_sending(&[client, of_second.clone()]);
    sending.wait_for_batches(BATCHES).await;
    for service in SERVICES {
        cluster.instance(service).stop().await;
        cluster.instance(&format!("{service}-2")).wait_until_ready().await;
    }
    cluster.client = of_second;
    let mut cluster = FaultTest { cluster, load, sending }.assert_recovery().await;
    for service in SERVICES {
        for name in [service.to_owned(), format!("{service}-2")] {
            let log = cluster.instance(&name).full_log();
            assert_no_errors_logged(&name, &log);
            let events = LogEvent::parse_all(&log);
            let of_libraries = events.iter().find(|event| event.text("target").starts_with("lapin"));
            assert!(of_libraries.is_none(), "{name}: {of_libraries:?}");
        }
    }
    cluster.finish().await;
}
