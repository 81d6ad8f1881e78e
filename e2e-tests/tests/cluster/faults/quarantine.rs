//! A message that is not a frame goes to the quarantine, and does not block the stream.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use super::{BATCHES, FaultTest};
use crate::cluster::harness::{Servers, metric_sum};
use crate::scenarios::harness::wait_until;

/// A message that is not a frame. It has a zero byte, which a text in Postgres cannot contain.
const BYTES: &[u8] = b"\x00\xff no frame \x80";
/// The same bytes, as Postgres encodes them.
const BYTES_IN_HEX: &str = "00ff206e6f206672616d652080";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_a_frame_is_quarantined_and_later_frames_are_processed() {
    let mut test = FaultTest::start_on_shared_servers().await;
    let targets = ["purchases/0", "credits/1", "outcomes/0"];
    for target in targets {
        publish(&test.cluster.servers, target).await;
        test.sending.wait_for_batches(BATCHES).await;
    }
    let mut cluster = test.assert_recovery().await;
    for (service, target) in ["ledger", "ledger", "purchase"].into_iter().zip(targets) {
        let mut database = cluster.database(service).await;
        let query = format!("SELECT encode(bytes, 'hex') FROM quarantine WHERE target = '{target}' AND place > 0");
        let quarantined = async || Some(database.texts(&query).await).filter(|messages| !messages.is_empty());
        assert_eq!(wait_until(&format!("{target} has a message in quarantine"), quarantined).await, [BYTES_IN_HEX]);
    }
    let addresses = cluster.client.addresses.clone();
    for (url, messages) in [(&addresses.ledger, 2), (&addresses.purchase, 1), (&addresses.exchange_rate, 0)] {
        for metric in ["stream_quarantine_messages", "stream_quarantined_messages_total"] {
            assert_eq!(metric_sum(&cluster.client, url, metric, "").await, messages, "{metric} of {url}");
        }
    }
    cluster.quarantined = 3;
    cluster.finish().await;
}

async fn publish(servers: &Servers, target: &str) {
    let connection = Connection::connect(&servers.broker_url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let exchange = servers.stream_prefix();
    let key = format!("{exchange}.{}", target.replace('/', "."));
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let sent = channel.basic_publish(exchange.into(), key.into(), options, BYTES, BasicProperties::default());
    let confirmed = sent.await.unwrap().await.unwrap();
    assert!(confirmed.is_ack() && confirmed.take_message().is_none(), "the broker did not accept the message");
    connection.close(200, "done".into()).await.unwrap();
}
