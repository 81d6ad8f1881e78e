//! Two instances of a service: one is active, the other waits, and takes over.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{BATCHES, Scene};
use crate::cluster::harness::{Cluster, Database, SERVICES};
use crate::scenarios::harness::{Load, is_calm, until};

/// Another instance is there for the clients after this time at most.
const TAKEOVER: Duration = Duration::from_secs(5);
/// As many partitions as there may be.
const PARTITIONS: (&str, &str) = ("PARTITIONS", "64");
/// Connections of a process to its database at most, whatever the number of partitions.
const CONNECTIONS: i64 = 40;
/// What one that waits says.
const OTHER: &str = "another instance of this service is active";

/// Something that each service serves.
const ROUTES: [(&str, &str); 3] = [("exchange-rate", "/rates"), ("purchase", "/copies"), ("ledger", "/trial-balance")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_started_at_once_one_is_active_and_the_other_takes_over_when_it_is_stopped() {
    let mut cluster = Cluster::start_without_engines().await;
    cluster.engines.start().await;
    let seconds = SERVICES.map(|service| cluster.second(service));
    for (service, second) in SERVICES.iter().zip(&seconds) {
        cluster.launch(service, &[]);
        cluster.launch(second, &[]);
    }
    for (service, second) in SERVICES.iter().zip(&seconds) {
        let active = until(&format!("one {service} is ready"), async || active(&mut cluster, service).await).await;
        let other = if active == *service { second.clone() } else { (*service).to_owned() };
        cluster.instance(&other).is_not_ready(OTHER).await;
        assert_eq!(cluster.instance(&active).readyz().await.unwrap().status, 200);

        let url = cluster.instance(&other).url();
        let route = ROUTES.iter().find(|(of, _)| of == service).map(|(_, route)| *route).unwrap();
        let refused = cluster.client.get(&format!("{url}{route}")).await.is(503);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        cluster.client.get(&format!("{url}/anything")).await.is(404);
        let metrics = cluster.client.get(&format!("{url}/metrics")).await.is(200).body;
        let counted = format!("http_requests_total{{method=\"GET\",route=\"{route}\",status=\"503\"}} 1\n");
        assert!(metrics.contains(&counted), "{metrics}");

        cluster.instance(&active).stop().await;
        let stopped = Instant::now();
        cluster.instance(&other).is_ready().await;
        eprintln!("{other} took over {:?} after {active} had ended", stopped.elapsed());
        assert!(stopped.elapsed() < TAKEOVER);
        // The first ones are the active ones from here on: the client talks to them.
        if active == *service {
            cluster.launch(service, &[]);
            cluster.instance(service).is_not_ready(OTHER).await;
            cluster.instance(second).stop().await;
            cluster.instance(service).is_ready().await;
        }
    }
    let mut load = Load::prepare(&cluster.client, 5).await;
    let told = load.send(&cluster.client).end().await;
    load.note(told);
    load.all_have_their_outcome(&cluster.client).await;
    load.each_had_one_effect(&cluster.client).await;
    cluster.finish().await;
}

/// Which of the two instances of a service is ready.
async fn active(cluster: &mut Cluster, service: &str) -> Option<String> {
    for name in [service.to_owned(), format!("{service}-2")] {
        let answer = cluster.instance(&name).readyz().await;
        if answer.is_some_and(|answer| answer.status == 200) {
            return Some(name);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_service_that_stands_still_in_a_commit_is_replaced_and_commits_nothing_more() {
    stands_still("purchase", "accept/0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_stands_still_in_a_commit_is_replaced_and_commits_nothing_more() {
    stands_still("ledger", "post/0").await;
}

async fn stands_still(service: &'static str, owner: &str) {
    let mut cluster = Cluster::start().await;
    let second = cluster.second(service);
    cluster.launch(&second, &[]);
    cluster.instance(&second).is_not_ready(OTHER).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let of_second = cluster.client_of_second(service);
    let mut sending = load.keep_sending(&[cluster.client.clone(), of_second.clone()]);
    sending.goes_on(BATCHES).await;

    let (mut database, mut other) = (cluster.database(service).await, cluster.database(service).await);
    let backend = hang_in_a_commit(&mut database, &mut other, service, owner).await;
    cluster.instance(service).signal("STOP").await;
    let stopped = Instant::now();
    // The server goes on, to where it waits for the next statement, which does not come.
    other.run("ROLLBACK").await;
    let open = format!("SELECT state FROM pg_stat_activity WHERE pid = {backend} AND state = 'idle in transaction'");
    until("a transaction is open", async || database.texts(&open).await.pop()).await;

    cluster.instance(&second).is_ready().await;
    let took = stopped.elapsed();
    eprintln!("{second} took over {took:?} after {service} stood still");
    assert!(took < TAKEOVER, "{second} took over after {took:?}");
    sending.goes_on(BATCHES).await;
    let epochs = database.epochs().await;

    cluster.instance(service).signal("CONT").await;
    cluster.instance(service).is_not_ready(OTHER).await;
    cluster.client = of_second;
    let scene = Scene { cluster, load, sending };
    let mut cluster = scene.all_is_well_but(&[service]).await;
    for name in [service, second.as_str()] {
        is_calm(name, &cluster.instance(name).whole_log());
    }
    assert_eq!(database.epochs().await, epochs, "somebody else has claimed");
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_purchase_service_is_replaced_by_the_one_that_waits() {
    let mut cluster = Cluster::start().await;
    let second = cluster.second("purchase");
    cluster.launch(&second, &[]);
    cluster.instance(&second).is_not_ready(OTHER).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let of_second = cluster.client_of_second("purchase");
    let mut sending = load.keep_sending(&[cluster.client.clone(), of_second.clone()]);
    sending.goes_on(BATCHES).await;
    cluster.instance("purchase").kill().await;
    let killed = Instant::now();
    cluster.instance(&second).is_ready().await;
    assert!(killed.elapsed() < TAKEOVER, "{second} took over after {:?}", killed.elapsed());
    cluster.client = of_second;
    Scene { cluster, load, sending }.all_is_well().await.finish().await;
}

/// On one Postgres that takes 100 connections in all, as it does by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_64_partitions_connections_are_few_and_whoever_is_killed_is_replaced_in_the_same_time() {
    let mut cluster = Cluster::start_without_engines().await;
    cluster.engines.start().await;
    cluster.start_all(&[PARTITIONS]).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let mut sending = load.keep_sending(&[cluster.client.clone()]);
    sending.goes_on(BATCHES).await;
    for service in ["ledger", "purchase"] {
        let second = cluster.second(service);
        cluster.launch(&second, &[]);
        cluster.instance(&second).is_not_ready(OTHER).await;
        sending.goes_on(BATCHES).await;
        few_connections(&cluster, service).await;
        cluster.instance(service).kill().await;
        let killed = Instant::now();
        cluster.instance(&second).is_ready().await;
        let took = killed.elapsed();
        eprintln!("{second} took over {took:?} after {service} was killed");
        assert!(took < TAKEOVER, "{second} took over after {took:?}");
        few_connections(&cluster, service).await;
        // Back to the first one, to whom the load is sent.
        cluster.launch(service, &[]);
        cluster.instance(service).is_not_ready(OTHER).await;
        cluster.instance(&second).stop().await;
        cluster.instance(service).is_ready().await;
    }
    Scene { cluster, load, sending }.all_is_well().await.finish().await;
}

/// Of all instances of a service together.
async fn few_connections(cluster: &Cluster, service: &str) {
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{service}: %'");
    let count = cluster.database(service).await.number(&count).await;
    eprintln!("{service} has {count} connections");
    assert!(count <= CONNECTIONS, "{service} has {count} connections");
}

/// Whoever is active stands still at some moment, the other takes over, and the first comes back; in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ledgers_that_stand_still_in_turn_take_over_from_each_other() {
    let mut cluster = Cluster::start().await;
    let second = cluster.second("ledger");
    cluster.launch(&second, &[]);
    cluster.instance(&second).is_not_ready(OTHER).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let mut sending = load.keep_sending(&[cluster.client.clone()]);
    let mut names = ["ledger", second.as_str()];
    for _ in 0..4 {
        sending.goes_on(BATCHES).await;
        let [active, other] = names;
        cluster.instance(active).signal("STOP").await;
        let stopped = Instant::now();
        cluster.instance(other).is_ready().await;
        let took = stopped.elapsed();
        assert!(took < TAKEOVER, "{other} took over after {took:?}");
        cluster.instance(active).signal("CONT").await;
        cluster.instance(active).is_not_ready(OTHER).await;
        names = [other, active];
    }
    Scene { cluster, load, sending }.all_is_well_but(&[&second]).await.finish().await;
}

/// Makes a commit of the owner wait for a row; returns the backend that waits.
async fn hang_in_a_commit(database: &mut Database, other: &mut Database, service: &str, owner: &str) -> String {
    other.run(&format!("BEGIN; SELECT * FROM owners WHERE owner = '{owner}' FOR UPDATE")).await;
    let waits = format!(
        "SELECT pid::text FROM pg_stat_activity WHERE application_name = '{service}: owner' AND wait_event_type = 'Lock'"
    );
    let look = until("a commit waits", async || database.texts(&waits).await.pop());
    timeout(Duration::from_secs(2), look).await.expect("the locked row was not written in time")
}
