//! One trace across three processes, which exchange only facts.

use std::net::TcpListener;

use crate::cluster::harness::{Cluster, Programs};
use crate::scenarios::harness::{Namespace, OtlpReceiver, PURCHASE_TREE, Trace};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Starts a cluster that sends its spans to this URL.
async fn traced(url: &str) -> Cluster {
    let mut cluster = Cluster::on_shared_servers(Programs::unbundled()).await;
    cluster.start_all(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_purchase_is_one_tree_across_the_processes() {
    let receiver = OtlpReceiver::start();
    let cluster = traced(&receiver.url).await;
    let (client, namespace) = (cluster.client.clone(), Namespace::new());
    let (id, sku) = (namespace.name("buy"), namespace.name("lantern"));
    client.put_priced_offer(&sku, "39.75", "GBP").await;
    client.set_rate("EUR/GBP", "0.848", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "EUR/GBP", "0.848", namespace.moment).await;
    let order = namespace.order(&namespace.name("alice"), "EUR", &[&sku]);
    let request = client.purchase_request(&id, &order).header("Prefer", "wait=30");
    client.send(request.header("traceparent", format!("00-{TRACE}-{CALLER}-01"))).await.expect_status(201);
    // The services send the remaining spans when they stop.
    cluster.finish().await;

    let spans = receiver.spans();
    let trace = Trace::of(&spans, TRACE);
    eprintln!("{}", trace.render());
    assert_eq!(trace.render(), PURCHASE_TREE);
    assert_eq!(trace.root().parent, CALLER);
    trace.assert_request_id(&id);
    trace.assert_transport("rabbitmq");
    trace.assert_linked_with_batches(&spans);
    // The rate came from the third process, in a trace of its own.
    let rates = spans.iter().find(|span| span.name == "process rates").expect("there is no span of the copied rate");
    let rates = Trace::of(&spans, &rates.trace);
    let services: Vec<_> = rates.render().lines().map(|line| line.trim().to_owned()).collect();
    assert_eq!(
        services,
        [
            "exchange-rate: PUT /rates/{base}/{quote} (SERVER)",
            "exchange-rate: record-rates (INTERNAL)",
            "exchange-rate: send rates (PRODUCER)",
            "purchase: process rates (CONSUMER)",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_never_responds_does_not_delay_the_stop_of_the_processes() {
    // It accepts connections and never reads from them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cluster = traced(&format!("http://{}", listener.local_addr().unwrap())).await;
    let (client, namespace) = (cluster.client.clone(), Namespace::new());
    let sku = namespace.name("lantern");
    client.put_priced_offer(&sku, "15.30", "GBP").await;
    client
        .buy(&namespace.name("buy"), &namespace.order(&namespace.name("alice"), "GBP", &[&sku]))
        .await
        .expect_status(201);
    cluster.finish().await;
}
