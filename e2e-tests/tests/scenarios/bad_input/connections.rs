//! Clients that break off, stall, or speak no HTTP.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Shop, nothing_was_done, shop};
use crate::scenarios::harness::connect;

/// More than the pools of connections to a database have.
const CLIENTS: usize = 100;

fn head(key: &str, order: &Value, announced: usize) -> String {
    format!(
        "POST /purchases HTTP/1.1\r\nHost: unbundled\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n\
         Prefer: wait=30\r\nContent-Length: {announced}\r\n\r\n{order}"
    )
}

#[tokio::test]
async fn clients_that_break_off_before_the_end_of_a_request_leave_nothing_behind() {
    let Shop { system, corner, order } = shop().await;
    let mut open = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = connect(&system.client.at.purchase).await;
        let cut_off = head(&corner.name("key"), &order, order.to_string().len() + 1);
        stream.write_all(cut_off.as_bytes()).await.unwrap();
        open.push(stream);
    }
    drop(open);
    nothing_was_done(&system.client, &corner).await;
    system.finish().await;
}

#[tokio::test]
async fn clients_that_do_not_wait_for_the_answer_get_it_when_they_ask_again() {
    let Shop { system, corner, order } = shop().await;
    let client = &system.client;
    let mut open = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = connect(&client.at.purchase).await;
        let whole = head(&corner.name(number), &order, order.to_string().len());
        stream.write_all(whole.as_bytes()).await.unwrap();
        open.push(stream);
    }
    drop(open);
    for number in 0..CLIENTS {
        client.buy(&corner.name(number), &order).await.is(201);
    }
    assert_eq!(client.entries_of(&corner.name("alice")).await.len(), CLIENTS);
    system.finish().await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_with_an_error_or_closed_and_counted() {
    let Shop { system, corner, .. } = shop().await;
    for base in [&system.client.at.exchange_rate, &system.client.at.purchase, &system.client.at.ledger] {
        for nonsense in [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            b"GET\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nbad header\r\n\r\n".to_vec(),
            [b"GET /".as_slice(), &vec![b'a'; 1 << 20], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
        ] {
            let mut stream = connect(base).await;
            // It may be closed before all is sent.
            let _closed = stream.write_all(&nonsense).await;
            let _half = stream.shutdown().await;
            let mut answer = Vec::new();
            let _reset = stream.read_to_end(&mut answer).await;
            let text = String::from_utf8_lossy(&answer);
            let refused = text.is_empty() || text.starts_with("HTTP/1.1 4");
            assert!(refused, "{}: {text}", String::from_utf8_lossy(&nonsense[..10.min(nonsense.len())]));
        }
    }
    for url in system.client.everywhere("/metrics") {
        let metrics = system.client.get(&url).await.is(200).body;
        for status in [400, 431] {
            let counted = format!("http_requests_total{{method=\"other\",route=\"unreadable\",status=\"{status}\"}}");
            assert!(metrics.contains(&counted), "{url}: {metrics}");
        }
    }
    nothing_was_done(&system.client, &corner).await;
    system.finish().await;
}
