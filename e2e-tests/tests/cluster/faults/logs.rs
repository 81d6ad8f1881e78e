//! What is normal on a cluster is no error in anybody's log.

use super::{BATCHES, Scene};
use crate::cluster::harness::{Cluster, SERVICES};
use crate::scenarios::harness::{Event, Load, is_calm};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_and_take_overs_by_other_instances_log_no_error_and_nothing_twice() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client.clone();
    let load = Load::prepare(&client, 0).await;
    let mut of_second = client.clone();
    for service in SERVICES {
        let second = cluster.second(service);
        cluster.launch(&second, &[]);
        cluster.instance(&second).is_not_ready("another instance of this service is active").await;
        let url = cluster.client_of_second(service);
        match service {
            "exchange-rate" => of_second.at.exchange_rate = url.at.exchange_rate,
            "purchase" => of_second.at.purchase = url.at.purchase,
            _ => of_second.at.ledger = url.at.ledger,
        }
    }
    let mut sending = load.keep_sending(&[client, of_second.clone()]);
    sending.goes_on(BATCHES).await;
    for service in SERVICES {
        cluster.instance(service).stop().await;
        cluster.instance(&format!("{service}-2")).is_ready().await;
    }
    cluster.client = of_second;
    let mut cluster = Scene { cluster, load, sending }.all_is_well().await;
    for service in SERVICES {
        for name in [service.to_owned(), format!("{service}-2")] {
            let log = cluster.instance(&name).whole_log();
            is_calm(&name, &log);
            let events = Event::all(&log);
            let of_libraries = events.iter().find(|event| event.text("target").starts_with("lapin"));
            assert!(of_libraries.is_none(), "{name}: {of_libraries:?}");
        }
    }
    cluster.finish().await;
}
