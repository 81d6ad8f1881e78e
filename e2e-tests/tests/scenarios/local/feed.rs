//! The live feed: a rate in the file of a web server becomes a rate here, and prices a purchase.

use std::sync::{Arc, Mutex};

use chrono::NaiveTime;
use contracts::RateQuote;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::scenarios::harness::{Client, LocalSystem, Namespace, money, wait_until};

/// A web server with one file. It stops when dropped.
struct Server {
    url: String,
    /// The heads of all requests, in lower case.
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(file: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/eurofxref-daily.xml", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let received = requests.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                let response = if head.contains("if-none-match: \"today\"") {
                    "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_owned()
                } else {
                    let headers = "Content-Type: text/xml\r\nETag: \"today\"\r\nConnection: close";
                    format!("HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: {}\r\n\r\n{file}", file.len())
                };
                received.lock().unwrap().push(head);
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        Self { url, requests, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn fetches(client: &Client, result: &str) -> u64 {
    let metrics = client.get(&format!("{}/metrics", client.addresses.exchange_rate)).await.expect_status(200).body;
    let name = format!("ecb_feed_fetches_total{{result=\"{result}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_rate_from_the_feed_prices_a_purchase() {
    let namespace = Namespace::on_a_saturday(0);
    let date = namespace.moment.date_naive();
    let file = include_str!("../../../../services/exchange-rate/data/eurofxref-daily.xml");
    let file = file.replace("2025-05-09", &date.to_string()).replace("'0.84770'", "'0.83000'");
    let server = Server::start(file).await;
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--ecb-feed-url", server.url.as_str(), "--ecb-feed-interval-s", "1"];
    let local = LocalSystem::start_on(folder, &arguments).await;
    let client = &local.client;

    wait_until("the feed has been read", async || (fetches(client, "new").await == 1).then_some(())).await;
    let quote: RateQuote = client.rate_at("EUR/GBP", namespace.moment).await.expect_status(200).json();
    let midnight = date.and_time(NaiveTime::MIN).and_utc();
    assert_eq!((quote.rate.as_str(), quote.valid_from, quote.source.to_string()), ("0.83", midnight, "ecb".to_owned()));

    let sku = namespace.name("lantern");
    client.put_priced_offer(&sku, "10.00", "EUR").await;
    client.wait_for_rate_copy(&namespace, "EUR/GBP", "0.83", midnight).await;
    let bought = client
        .buy(&namespace.name("buys"), &namespace.order(&namespace.name("alice"), "GBP", &[&sku]))
        .await
        .expect_status(201);
    assert_eq!(bought.purchase().charged, Some(money("8.30 GBP")));

    wait_until("a 304 has been counted", async || (fetches(client, "unchanged").await >= 1).then_some(())).await;
    let requests = server.requests.lock().unwrap().clone();
    assert!(!requests[0].contains("if-none-match") && requests[1].contains("if-none-match: \"today\""), "{requests:?}");

    drop(server);
    wait_until("a fetch has failed", async || (fetches(client, "failed").await >= 1).then_some(())).await;
    client.get(&format!("{}/readyz", client.addresses.exchange_rate)).await.expect_status(200);
    assert_eq!(fetches(client, "new").await, 1);
    local.finish().await;
}
