//! Clients that disconnect early or do not speak HTTP.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Shop, assert_no_effect, shop};
use crate::scenarios::harness::connect;

/// More clients than there are connections in the database pools.
const CLIENTS: usize = 100;

fn raw_request(key: &str, order: &Value, content_length: usize) -> String {
    format!(
        "POST /purchases HTTP/1.1\r\nHost: unbundled\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n\
         Prefer: wait=30\r\nContent-Length: {content_length}\r\n\r\n{order}"
    )
}

#[tokio::test]
async fn requests_that_are_cut_off_have_no_effect() {
    let Shop { system, namespace, order } = shop().await;
    let mut open = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = connect(&system.client.addresses.purchase).await;
        let cut_off = raw_request(&namespace.name("key"), &order, order.to_string().len() + 1);
        stream.write_all(cut_off.as_bytes()).await.unwrap();
        open.push(stream);
    }
    drop(open);
    assert_no_effect(&system.client, &namespace).await;
    system.finish().await;
}

#[tokio::test]
async fn clients_that_disconnect_before_the_response_get_it_on_a_retry() {
    let Shop { system, namespace, order } = shop().await;
    let client = &system.client;
    let mut open = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = connect(&client.addresses.purchase).await;
        let whole = raw_request(&namespace.name(number), &order, order.to_string().len());
        stream.write_all(whole.as_bytes()).await.unwrap();
        open.push(stream);
    }
    drop(open);
    for number in 0..CLIENTS {
        client.buy(&namespace.name(number), &order).await.expect_status(201);
    }
    assert_eq!(client.customer_entries(&namespace.name("alice")).await.len(), CLIENTS);
    system.finish().await;
}

#[tokio::test]
async fn input_that_is_not_http_gets_an_error_or_a_closed_connection_and_is_counted() {
    let Shop { system, namespace, .. } = shop().await;
    for base in
        [&system.client.addresses.exchange_rate, &system.client.addresses.purchase, &system.client.addresses.ledger]
    {
        for nonsense in [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            b"GET\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nbad header\r\n\r\n".to_vec(),
            [b"GET /".as_slice(), &vec![b'a'; 1 << 20], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
        ] {
            let mut stream = connect(base).await;
            // The service may close the connection before all is sent.
            let _closed = stream.write_all(&nonsense).await;
            let _half = stream.shutdown().await;
            let mut response = Vec::new();
            let _reset = stream.read_to_end(&mut response).await;
            let text = String::from_utf8_lossy(&response);
            let refused = text.is_empty() || text.starts_with("HTTP/1.1 4");
            assert!(refused, "{}: {text}", String::from_utf8_lossy(&nonsense[..10.min(nonsense.len())]));
        }
    }
    for url in system.client.all_urls("/metrics") {
        let metrics = system.client.get(&url).await.expect_status(200).body;
        for status in [400, 431] {
            let counted = format!("http_requests_total{{method=\"other\",route=\"unreadable\",status=\"{status}\"}}");
            assert!(metrics.contains(&counted), "{url}: {metrics}");
        }
    }
    assert_no_effect(&system.client, &namespace).await;
    system.finish().await;
}
