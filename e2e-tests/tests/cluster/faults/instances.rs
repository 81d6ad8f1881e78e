//! Two instances of a service: one is active, the other is on standby and takes over.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Cluster, Database, Programs, services};
use crate::scenarios::harness::{Load, assert_no_errors_logged, wait_until};

/// The longest time until the other instance serves clients.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// The maximum number of partitions.
const PARTITIONS: (&str, &str) = ("PARTITIONS", "64");
/// The maximum number of connections of all instances of a service to its database, whatever the number of partitions.
const CONNECTIONS: i64 = 40;
/// The reason why an instance on standby is not ready.
const STANDBY: &str = "another instance of this service is active";

/// A route of each service.
const ROUTES: [(&str, &str); 3] = [("exchange-rate", "/rates"), ("purchase", "/copies"), ("ledger", "/trial-balance")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_instances_started_together_one_is_active_and_the_other_takes_over_when_it_stops() {
    let mut cluster = Cluster::on_shared_servers(Programs::unbundled()).await;
    let services = services();
    let seconds: Vec<_> = services.iter().map(|service| cluster.add_second_instance(service)).collect();
    for (service, second) in services.iter().zip(&seconds) {
        cluster.launch(service, &[]);
        cluster.launch(second, &[]);
    }
    for (service, second) in services.iter().zip(&seconds) {
        let active = wait_until(&format!("one {service} is ready"), async || active(&mut cluster, service).await).await;
        let other = if active == *service { second.clone() } else { (*service).to_owned() };
        cluster.instance(&other).wait_until_not_ready(STANDBY).await;
        assert_eq!(cluster.instance(&active).readyz().await.unwrap().status, 200);

        let url = cluster.instance(&other).url();
        let route = ROUTES.iter().find(|(of, _)| of == service).map(|(_, route)| *route).unwrap();
        let refused = cluster.client.get(&format!("{url}{route}")).await.expect_status(503);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        cluster.client.get(&format!("{url}/anything")).await.expect_status(404);
        let metrics = cluster.client.get(&format!("{url}/metrics")).await.expect_status(200).body;
        let counted = format!("http_requests_total{{method=\"GET\",route=\"{route}\",status=\"503\"}} 1\n");
        assert!(metrics.contains(&counted), "{metrics}");

        cluster.instance(&active).stop().await;
        let stopped = Instant::now();
        cluster.instance(&other).wait_until_ready().await;
        eprintln!("{other} took over {:?} after {active} had ended", stopped.elapsed());
        assert!(stopped.elapsed() < TAKEOVER_MAX);
        // The client talks to the first instances, so they have to be the active ones from here on.
        if active == *service {
            cluster.launch(service, &[]);
            cluster.instance(service).wait_until_not_ready(STANDBY).await;
            cluster.instance(second).stop().await;
            cluster.instance(service).wait_until_ready().await;
        }
    }
    let mut load = Load::prepare(&cluster.client, 5).await;
    let received = load.send(&cluster.client).finish().await;
    load.record(received);
    load.assert_all_have_outcomes(&cluster.client).await;
    load.assert_one_effect_each(&cluster.client).await;
    cluster.finish().await;
}

/// The name of the instance of a service that is ready.
async fn active(cluster: &mut Cluster, service: &str) -> Option<String> {
    for name in [service.to_owned(), format!("{service}-2")] {
        let response = cluster.instance(&name).readyz().await;
        if response.is_some_and(|response| response.status == 200) {
            return Some(name);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_service_suspended_in_a_commit_is_replaced_and_commits_nothing_more() {
    suspend_in_a_commit("purchase", "accept/0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_suspended_in_a_commit_is_replaced_and_commits_nothing_more() {
    suspend_in_a_commit("ledger", "post/0").await;
}

/// Suspends the active instance within a commit. The other instance has to take over, and the suspended one must not
/// commit when it continues.
async fn suspend_in_a_commit(service: &'static str, owner: &str) {
    let mut cluster = Cluster::start_on_shared_servers().await;
    let second = cluster.add_second_instance(service);
    cluster.launch(&second, &[]);
    cluster.instance(&second).wait_until_not_ready(STANDBY).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let second_client = cluster.client_for_second(service);
    let mut sending = load.keep_sending(&[cluster.client.clone(), second_client.clone()]);
    sending.wait_for_batches(BATCHES).await;

    let (mut database, mut other) = (cluster.database(service).await, cluster.database(service).await);
    let backend = hang_in_a_commit(&mut database, &mut other, service, owner).await;
    cluster.instance(service).signal("STOP").await;
    let stopped = Instant::now();
    // The database continues with the transaction, and then waits for the next statement, which does not come.
    other.run("ROLLBACK").await;
    let open = format!("SELECT state FROM pg_stat_activity WHERE pid = {backend} AND state = 'idle in transaction'");
    wait_until("a transaction is open", async || database.texts(&open).await.pop()).await;

    cluster.instance(&second).wait_until_ready().await;
    let took = stopped.elapsed();
    eprintln!("{second} took over {took:?} after {service} was suspended");
    assert!(took < TAKEOVER_MAX, "{second} took over after {took:?}");
    sending.wait_for_batches(BATCHES).await;
    let epochs = database.epochs().await;

    cluster.instance(service).signal("CONT").await;
    cluster.instance(service).wait_until_not_ready(STANDBY).await;
    cluster.client = second_client;
    let test = FaultTest { cluster, load, sending };
    let mut cluster = test.assert_recovery_except(&[service]).await;
    for name in [service, second.as_str()] {
        assert_no_errors_logged(name, &cluster.instance(name).full_log());
    }
    assert_eq!(database.epochs().await, epochs, "the suspended instance has claimed owners");
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_purchase_service_is_replaced_by_the_instance_on_standby() {
    let mut cluster = Cluster::start_on_shared_servers().await;
    let second = cluster.add_second_instance("purchase");
    cluster.launch(&second, &[]);
    cluster.instance(&second).wait_until_not_ready(STANDBY).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let second_client = cluster.client_for_second("purchase");
    let mut sending = load.keep_sending(&[cluster.client.clone(), second_client.clone()]);
    sending.wait_for_batches(BATCHES).await;
    cluster.instance("purchase").kill().await;
    let killed = Instant::now();
    cluster.instance(&second).wait_until_ready().await;
    assert!(killed.elapsed() < TAKEOVER_MAX, "{second} took over after {:?}", killed.elapsed());
    cluster.client = second_client;
    FaultTest { cluster, load, sending }.assert_recovery().await.finish().await;
}

/// Postgres allows 100 connections in total, which is its default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_64_partitions_connections_are_few_and_a_killed_service_is_replaced_as_fast() {
    let mut cluster = Cluster::not_started().await;
    cluster.servers.start().await;
    cluster.start_all(&[PARTITIONS]).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let mut sending = load.keep_sending(&[cluster.client.clone()]);
    sending.wait_for_batches(BATCHES).await;
    for service in ["ledger", "purchase"] {
        let second = cluster.add_second_instance(service);
        cluster.launch(&second, &[]);
        cluster.instance(&second).wait_until_not_ready(STANDBY).await;
        sending.wait_for_batches(BATCHES).await;
        assert_few_connections(&cluster, service).await;
        cluster.instance(service).kill().await;
        let killed = Instant::now();
        cluster.instance(&second).wait_until_ready().await;
        let took = killed.elapsed();
        eprintln!("{second} took over {took:?} after {service} was killed");
        assert!(took < TAKEOVER_MAX, "{second} took over after {took:?}");
        assert_few_connections(&cluster, service).await;
        // The load goes to the first instance, so it has to become active again.
        cluster.launch(service, &[]);
        cluster.instance(service).wait_until_not_ready(STANDBY).await;
        cluster.instance(&second).stop().await;
        cluster.instance(service).wait_until_ready().await;
    }
    FaultTest { cluster, load, sending }.assert_recovery().await.finish().await;
}

/// Asserts that all instances of a service together have few connections.
async fn assert_few_connections(cluster: &Cluster, service: &str) {
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{service}: %'");
    let count = cluster.database(service).await.number(&count).await;
    eprintln!("{service} has {count} connections");
    assert!(count <= CONNECTIONS, "{service} has {count} connections");
}

/// In each round the active instance is suspended, the other one takes over, and the suspended one continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ledgers_suspended_in_turn_take_over_from_each_other() {
    let mut cluster = Cluster::start_on_shared_servers().await;
    let second = cluster.add_second_instance("ledger");
    cluster.launch(&second, &[]);
    cluster.instance(&second).wait_until_not_ready(STANDBY).await;
    let load = Load::prepare(&cluster.client, 0).await;
    let mut sending = load.keep_sending(&[cluster.client.clone()]);
    let mut names = ["ledger", second.as_str()];
    for _ in 0..4 {
        sending.wait_for_batches(BATCHES).await;
        let [active, other] = names;
        cluster.instance(active).signal("STOP").await;
        let stopped = Instant::now();
        cluster.instance(other).wait_until_ready().await;
        let took = stopped.elapsed();
        assert!(took < TAKEOVER_MAX, "{other} took over after {took:?}");
        cluster.instance(active).signal("CONT").await;
        cluster.instance(active).wait_until_not_ready(STANDBY).await;
        names = [other, active];
    }
    FaultTest { cluster, load, sending }.assert_recovery_except(&[&second]).await.finish().await;
}

/// Makes a commit of the owner wait for a locked row, and returns the process id of the waiting Postgres backend.
async fn hang_in_a_commit(database: &mut Database, other: &mut Database, service: &str, owner: &str) -> String {
    other.run(&format!("BEGIN; SELECT * FROM owners WHERE owner = '{owner}' FOR UPDATE")).await;
    let waits = format!(
        "SELECT pid::text FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = '{service}: owner' AND wait_event_type = 'Lock'"
    );
    let waiting = wait_until("a commit waits", async || database.texts(&waits).await.pop());
    timeout(Duration::from_secs(2), waiting).await.expect("no commit waits for the locked row in time")
}
