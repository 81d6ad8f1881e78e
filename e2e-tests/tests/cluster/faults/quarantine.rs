//! A message that is no frame is put aside, and stops nobody.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use super::{BATCHES, FaultTest};
use crate::cluster::harness::metric_sum;
use crate::scenarios::harness::wait_until;

/// Nothing that anybody could take for a frame; with a zero, which a text in Postgres cannot hold.
const BYTES: &[u8] = b"\x00\xff no frame \x80";
/// The same, as Postgres shows it.
const SHOWN: &str = "00ff206e6f206672616d652080";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_no_frame_is_kept_aside_and_the_flow_goes_on() {
    let mut test = FaultTest::start().await;
    let targets = ["purchases/0", "credits/1", "outcomes/0"];
    for target in targets {
        publish(&test.cluster.servers.broker_url(), target).await;
        test.sending.wait_for_batches(BATCHES).await;
    }
    let mut cluster = test.assert_recovery().await;
    for (service, target) in ["ledger", "ledger", "purchase"].into_iter().zip(targets) {
        let mut database = cluster.database(service).await;
        let kept = format!("SELECT encode(bytes, 'hex') FROM quarantine WHERE target = '{target}' AND place > 0");
        let look = async || Some(database.texts(&kept).await).filter(|kept| !kept.is_empty());
        assert_eq!(wait_until(&format!("{target} has something in quarantine"), look).await, [SHOWN]);
    }
    let at = cluster.client.addresses.clone();
    for (url, messages) in [(&at.ledger, 2), (&at.purchase, 1), (&at.exchange_rate, 0)] {
        for metric in ["stream_quarantine_messages", "stream_quarantined_messages_total"] {
            assert_eq!(metric_sum(&cluster.client, url, metric, "").await, messages, "{metric} of {url}");
        }
    }
    cluster.quarantined = 3;
    cluster.finish().await;
}

async fn publish(url: &str, target: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let key = format!("unbundled.{}", target.replace('/', "."));
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let sent = channel.basic_publish("unbundled".into(), key.into(), options, BYTES, BasicProperties::default());
    let confirmed = sent.await.unwrap().await.unwrap();
    assert!(confirmed.is_ack() && confirmed.take_message().is_none(), "nobody took it");
    connection.close(200, "done".into()).await.unwrap();
}
