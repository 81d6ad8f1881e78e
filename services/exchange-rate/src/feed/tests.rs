//! Tests of the service with a feed, against a real HTTP server with scripted replies.

mod server;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use ::web::{RunningService, ServiceSetup};
use contracts::RateQuote;
use dataflow::{Meta, Sqlite, Store, Transport, Wakeups};
use reqwest::StatusCode;
use stage::PartitionCount;
use telemetry::Traces;
use tempfile::TempDir;

use self::server::{Reply, Server};
use super::{Feed, Limits};
use crate::{SERVICE, definition, start};

/// Longer than any step of these tests takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Short, so that the tests can measure the waits.
const INTERVAL: Duration = Duration::from_millis(50);
const LIMITS: Limits =
    Limits { connect: Duration::from_millis(500), whole: Duration::from_millis(500), bytes: 100_000, redirects: 2 };

const GOOD: &str = "Date, USD, GBP, \n2 November 2026, 1.1500, 0.83000, \n";

/// A service under test.
struct Subject {
    running: RunningService,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Subject {
    /// Starts a service with a feed at `url` and waits until it is ready.
    async fn start(url: &str) -> Self {
        ::web::use_ring();
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta { service: SERVICE, partitions: PartitionCount::new(2).unwrap() };
        let store =
            Sqlite::open(&folder.path().join("store.sqlite"), meta, &definition(None).topology.tables()).await.unwrap();
        let store = Store::from(store);
        let transport = Transport::Journals([(SERVICE, store.clone())].into(), Wakeups::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let feed = Feed { url: url.parse().unwrap(), interval: INTERVAL, limits: LIMITS };
        let setup = ServiceSetup { store, transport, listener, workers: 1, traces: Traces::default() };
        let running = start(setup, Some(feed)).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let subject = Self { running, client, _folder: folder };
        subject.until("the history is imported", async || subject.get("/readyz").await.0 == StatusCode::OK).await;
        subject
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.client.get(format!("http://{}{path}", self.running.address())).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn until(&self, what: &str, mut look: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !look().await {
            assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            actix::clock::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The rate `EUR/GBP` as of a day that only the feed has a rate for.
    async fn pounds(&self) -> String {
        let quote: RateQuote =
            serde_json::from_str(&self.get("/rates/EUR/GBP?at=2026-11-02T12:00:00Z").await.1).unwrap();
        format!("{} since {} from {}", quote.rate, quote.valid_from.date_naive(), quote.source)
    }

    async fn fetches(&self, result: &str) -> u64 {
        self.metric(&format!("ecb_feed_fetches_total{{result=\"{result}\"}} ")).await
    }

    async fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").await.1;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}:\n{metrics}")).trim().parse().unwrap()
    }

    async fn stop(self) {
        RunningService::stop(vec![self.running]).await;
    }
}

fn check(scenario: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(scenario);
}

const OF_HISTORY: &str = "0.8338 since 2026-10-30 from ecb";
const OF_FEED: &str = "0.83 since 2026-11-02 from ecb";

#[test]
fn bad_responses_import_nothing_and_after_a_good_one_requests_are_conditional() {
    check(async {
        let bad: Vec<Reply> = vec![
            Reply::Silence,
            Reply::Bytes(server::response("500 Internal Server Error", "", "")),
            Reply::Bytes(server::response("503 Service Unavailable", "Retry-After: 1\r\n", "")),
            Reply::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len() + 1)),
            Reply::Bytes(server::response("200 OK", "Content-Type: text/html\r\n", GOOD)),
            Reply::Bytes(server::response(
                "200 OK",
                "Content-Type: text/csv\r\nETag: \"bad\"\r\n",
                &GOOD.replace("0.83", "x"),
            )),
        ];
        let failures = u64::try_from(bad.len()).unwrap();
        let headers = "ETag: W/\"7\"\r\nLast-Modified: Mon, 02 Nov 2026 15:00:00 GMT\r\nContent-Type: text/csv\r\n";
        let good = Reply::Bytes(server::response("200 OK", headers, GOOD));
        let same = Reply::Bytes(server::response("304 Not Modified", "", ""));
        let server = Server::start([bad, vec![good, same]].concat()).await;
        let subject = Subject::start(&server.url).await;

        subject.until("five attempts have failed", async || subject.fetches("failed").await >= 5).await;
        assert_eq!(subject.pounds().await, OF_HISTORY);
        assert_eq!(subject.get("/readyz").await.0, StatusCode::OK);
        assert_eq!(subject.metric("ecb_feed_last_success_timestamp_seconds ").await, 0);

        subject.until("a 304 is counted", async || subject.fetches("unchanged").await >= 2).await;
        assert_eq!(subject.pounds().await, OF_FEED);
        assert_eq!((subject.fetches("failed").await, subject.fetches("new").await), (failures, 1));
        assert!(subject.metric("ecb_feed_last_success_timestamp_seconds ").await > 1_700_000_000);

        let requests = server.requests();
        for request in &requests[..7] {
            assert!(!request.text.contains("if-"), "{}", request.text);
        }
        for request in &requests[7..] {
            assert!(request.text.contains("\r\nif-none-match: w/\"7\"\r\n"), "{}", request.text);
            assert!(
                request.text.contains("\r\nif-modified-since: mon, 02 nov 2026 15:00:00 gmt\r\n"),
                "{}",
                request.text
            );
        }
        // A wait begins at the end of an attempt, so each gap is at least the wait. The first attempt timed out.
        let gaps: Vec<_> = requests.windows(2).map(|pair| (pair[1].at - pair[0].at).as_millis()).collect();
        for (gap, least) in gaps.iter().zip([500, 100, 1_000, 400, 800, 1_600, 50, 50]) {
            assert!(*gap >= least, "{gaps:?}");
        }
        assert!(gaps[6] < 1_600, "a success did not reset the wait: {gaps:?}");
        subject.stop().await;
    });
}

#[test]
fn redirect_loops_and_large_or_malformed_responses_fail_and_a_redirect_is_followed() {
    check(async {
        let redirect = |to: &str| Reply::Bytes(server::response("302 Found", &format!("Location: {to}\r\n"), ""));
        let large = Reply::Bytes(server::response("200 OK", "", &"x".repeat(100_001)));
        let endless = Reply::Bytes(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(100_001)));
        // Three redirects in a row are one too many.
        let bad = vec![redirect("/a"), redirect("/b"), redirect("/c"), large, endless, Reply::Bytes("nonsense".into())];
        let good = vec![redirect("/d"), Reply::Bytes(server::response("200 OK", "", GOOD))];
        let server = Server::start([bad, good].concat()).await;
        let subject = Subject::start(&server.url).await;
        subject.until("the redirect is followed", async || subject.fetches("new").await == 1).await;
        assert_eq!((subject.fetches("failed").await, subject.pounds().await), (4, OF_FEED.to_owned()));
        let paths: Vec<_> = server.requests().iter().map(|request| request.path()).collect();
        assert_eq!(paths[..8], ["/rates", "/a", "/b", "/rates", "/rates", "/rates", "/rates", "/d"], "{paths:?}");
        subject.stop().await;
    });
}

#[test]
fn a_server_that_starts_later_is_found() {
    check(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let subject = Subject::start(&format!("http://{address}/rates")).await;
        subject.until("two attempts have failed", async || subject.fetches("failed").await >= 2).await;
        assert_eq!(subject.get("/readyz").await.0, StatusCode::OK);
        let server = Server::start_at(address, vec![Reply::Bytes(server::response("200 OK", "", GOOD))]).await;
        subject.until("the file is imported", async || subject.fetches("new").await == 1).await;
        // Without a validator the server sends the whole file again, which changes nothing.
        subject.until("the file is unchanged", async || subject.fetches("unchanged").await >= 2).await;
        assert_eq!(subject.pounds().await, OF_FEED);
        assert!(server.requests().iter().all(|request| !request.text.contains("if-")));
        subject.stop().await;
    });
}

#[test]
fn the_feed_ends_at_once_with_the_service() {
    check(async {
        let server = Server::start(vec![Reply::Silence]).await;
        let subject = Subject::start(&server.url).await;
        subject.until("there is a request", async || !server.requests().is_empty()).await;
        let (stopping, before) = (Instant::now(), server.requests().len());
        subject.stop().await;
        assert!(stopping.elapsed() < PATIENCE, "{:?}", stopping.elapsed());
        // Longer than an attempt and the wait after it.
        actix::clock::sleep(LIMITS.whole + INTERVAL * 4).await;
        assert!(server.requests().len() <= before + 1, "the feed still sends requests");
    });
}
