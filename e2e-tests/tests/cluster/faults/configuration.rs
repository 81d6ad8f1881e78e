//! Settings: a bad one ends the process with one line that says what to set; valid ones are logged without passwords.

use std::net::TcpListener;

use crate::cluster::harness::{Cluster, Ports, command, services};
use crate::scenarios::harness::{LogEvent, startup_error};

const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://shop:hidden@127.0.0.1:1/purchase");
const BROKER: (&str, &str) = ("AMQP_URL", "amqp://shop:hidden@127.0.0.1:1/%2f");

/// Asserts that a service with these settings fails with one error line that contains all of these words.
async fn assert_refused(service: &str, settings: &[(&str, &str)], expected: &[&str]) {
    let output = command(service).envs(settings.iter().copied()).output().await.unwrap();
    let error = startup_error(&output);
    for word in expected {
        assert!(error.contains(word), "the error of {service} {settings:?} does not contain {word}: {error}");
    }
    let printed = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&printed).contains("hidden"), "{service} {settings:?}");
}

#[tokio::test]
async fn a_bad_setting_is_named_with_what_to_set_and_without_the_password() {
    let port = Ports::next_free();
    let free = format!("127.0.0.1:{port}");
    for service in services() {
        let bind = ("BIND", free.as_str());
        assert_refused(service, &[BROKER, bind], &["DATABASE_URL is not set", "postgres://"]).await;
        assert_refused(service, &[DATABASE, bind], &["AMQP_URL is not set", "amqp://"]).await;
        let wrong = ("AMQP_URL", "http://shop:hidden@127.0.0.1/");
        assert_refused(service, &[DATABASE, wrong, bind], &["AMQP_URL cannot be used", "amqp://"]).await;
        let wrong = ("DATABASE_URL", "shop:hidden@127.0.0.1");
        assert_refused(service, &[wrong, BROKER, bind], &["DATABASE_URL cannot be used", "postgres://"]).await;
        assert_refused(service, &[DATABASE, BROKER, ("BIND", "8082")], &["BIND cannot be used"]).await;
        assert_refused(service, &[DATABASE, BROKER, bind, ("PARTITIONS", "0")], &["PARTITIONS", "1 to 64"]).await;
    }
    for (name, value, expected) in [
        ("ECB_FEED_URL", "ftp://shop:hidden@127.0.0.1/a.xml", "an http or https URL"),
        ("ECB_FEED_URL", "http://shop:hidden@127.0.0.1/a.xml", "without a password"),
        ("ECB_FEED_INTERVAL_S", "0", "1 to 86400"),
    ] {
        assert_refused("exchange-rate", &[DATABASE, BROKER, ("BIND", &free), (name, value)], &[name, expected]).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    assert_refused("purchase", &[DATABASE, BROKER, ("BIND", &taken)], &[&taken, "set BIND", "in use"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_wait_for_their_broker_and_database_and_log_their_settings_without_passwords() {
    let mut cluster = Cluster::not_started().await;
    for service in services() {
        cluster.launch(service, &[]);
        cluster.instance(service).wait_until_not_ready("the database: ").await;
    }
    cluster.servers.start_postgres().await;
    cluster.instance("ledger").wait_until_not_ready("broker").await;
    cluster.servers.rabbitmq(&["start"]).await;
    cluster.wait_until_ready().await;
    for service in services() {
        let printed = cluster.instance(service).stdout();
        let settings = LogEvent::parse(printed.lines().next().unwrap());
        assert_eq!(settings.message(), "settings");
        for (name, redacted) in [("database_url", "postgres://unbundled:***@"), ("amqp_url", "amqp://unbundled:***@")] {
            assert!(settings.text(name).starts_with(redacted), "{printed}");
        }
        assert!(!printed.contains("unbundled:unbundled"), "{printed}");
        assert!(!cluster.instance(service).has_logged("unbundled:unbundled"), "{service}");
    }
    cluster.finish().await;
}
