//! Tests the server on a real port with a client that writes raw bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::web::{Api, Problem, Readiness, Shell, bind, body, endpoints, serve};
use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use prometheus::Registry;

/// A quarter of the memory budget that a service has for bodies.
const UPLOAD_BYTES_MAX: usize = 16 << 20;
/// Longer than any step here takes: a test that waits this long fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[utoipa::path(post, path = "/take")]
async fn take(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let bytes = body(&request, payload, 1024).await?;
    Ok(HttpResponse::Ok().body(format!("{} bytes", bytes.len())))
}

#[utoipa::path(post, path = "/upload")]
async fn upload(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let bytes = body(&request, payload, UPLOAD_BYTES_MAX).await?;
    Ok(HttpResponse::Ok().body(format!("{} bytes", bytes.len())))
}

/// Bodies that the handler `keep` holds until `forget` drops them.
static KEPT: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());

#[utoipa::path(post, path = "/keep")]
async fn keep(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let bytes = body(&request, payload, UPLOAD_BYTES_MAX).await?;
    let response = format!("{} bytes", bytes.len());
    KEPT.lock().unwrap().push(bytes);
    Ok(HttpResponse::Ok().body(response))
}

#[utoipa::path(post, path = "/forget")]
async fn forget() -> HttpResponse {
    KEPT.lock().unwrap().clear();
    HttpResponse::Ok().finish()
}

#[utoipa::path(get, path = "/fail")]
async fn fail() -> HttpResponse {
    panic!("on purpose")
}

static COUNTED: AtomicUsize = AtomicUsize::new(0);

#[utoipa::path(post, path = "/count")]
async fn count() -> String {
    // Yields once, so that the server reads the pipelined requests before this one has its response.
    actix_web::rt::task::yield_now().await;
    (COUNTED.fetch_add(1, Ordering::SeqCst) + 1).to_string()
}

static SLOW_BEGAN: AtomicBool = AtomicBool::new(false);

#[utoipa::path(get, path = "/slow")]
async fn slow() -> HttpResponse {
    SLOW_BEGAN.store(true, Ordering::SeqCst);
    actix_web::rt::time::sleep(Duration::from_millis(300)).await;
    HttpResponse::Ok().body("done")
}

/// A server that runs in a thread of its own during a test.
struct TestServer {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl TestServer {
    fn start() -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            System::new().block_on(async {
                let shell = Shell::new("shop", Registry::new(), Readiness::default()).unwrap();
                let api = Api::new("shop", "Sells.", endpoints![take, upload, keep, forget, fail, count, slow]);
                let server = serve(shell, listener, 1, api, ::web::State::of(())).unwrap();
                send.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        let handle = receive.recv().unwrap();
        Self { address, handle, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Stops the server as `main` does and returns how long that took.
    fn stop(&mut self) -> Duration {
        let since = Instant::now();
        System::new().block_on(self.handle.stop(true));
        self.thread.take().unwrap().join().unwrap();
        since.elapsed()
    }
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// Writes all parts and only then reads the response to its end, as simple clients do.
fn exchange(stream: &mut TcpStream, parts: &[&[u8]]) -> String {
    for part in parts {
        stream.write_all(part).unwrap();
    }
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    // The files of the Swagger UI page are compressed and therefore not UTF-8.
    String::from_utf8_lossy(&response).into_owned()
}

#[test]
fn a_client_that_sends_far_too_much_still_gets_the_response() {
    let mut server = TestServer::start();
    let megabyte = vec![b' '; 1 << 20];

    let head = format!("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 10 << 20);
    let mut parts = vec![head.as_bytes()];
    parts.extend([megabyte.as_slice()].repeat(10));
    let mut stream = server.connect();
    for part in &parts {
        stream.write_all(part).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let response = exchange(&mut stream, &[]);
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert!(response.contains(r#""detail":"a request may have at most 1024 bytes","limit":1024"#), "{response}");

    let chunk_head = b"100000\r\n".as_slice();
    let mut parts =
        vec![b"POST /take HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice()];
    for _ in 0..10 {
        parts.extend([chunk_head, &megabyte, b"\r\n"]);
    }
    parts.push(b"0\r\n\r\n");
    let response = exchange(&mut server.connect(), &parts);
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");

    server.stop();
}

/// Sends a whole body of this size and returns the response.
fn post_of(server: &TestServer, path: &str, bytes: usize) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n");
    exchange(&mut server.connect(), &[head.as_bytes(), &vec![b' '; bytes]])
}

#[test]
fn all_bodies_share_one_memory_budget_and_return_their_bytes() {
    let mut server = TestServer::start();
    // Clients that only announce large bodies take nothing from the budget.
    let idle: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = server.connect();
            write!(stream, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {UPLOAD_BYTES_MAX}\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for _ in 0..4 {
        let response = post_of(&server, "/keep", UPLOAD_BYTES_MAX);
        assert!(response.ends_with("16777216 bytes"), "{response}");
    }
    let response = post_of(&server, "/upload", 17 << 10);
    assert!(
        response.starts_with("HTTP/1.1 429 ") && response.contains(r#""type":"urn:unbundled:problem:busy""#),
        "{response}"
    );
    assert!(response.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{response}");
    let response = post_of(&server, "/upload", 16 << 10);
    assert!(response.ends_with("16384 bytes"), "{response}");

    assert!(post_of(&server, "/forget", 0).starts_with("HTTP/1.1 200 "));
    drop(idle);
    // A body that breaks off returns its bytes to the budget a moment later.
    for _ in 0..8 {
        let mut stream = server.connect();
        write!(stream, "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        write!(stream, "{:x}\r\n", UPLOAD_BYTES_MAX).unwrap();
        // The server may reject the body before it is complete.
        let _ = stream.write_all(&vec![b' '; UPLOAD_BYTES_MAX - 1]);
    }
    let since = Instant::now();
    let mut kept = 0;
    while kept < 4 {
        let response = post_of(&server, "/keep", UPLOAD_BYTES_MAX);
        kept += usize::from(response.ends_with("16777216 bytes"));
        assert!(since.elapsed() < PATIENCE, "{response}");
    }
    assert!(post_of(&server, "/forget", 0).starts_with("HTTP/1.1 200 "));
    server.stop();
}

#[test]
fn a_panic_costs_one_connection_and_nothing_else() {
    let mut server = TestServer::start();
    assert_eq!(exchange(&mut server.connect(), &[get_request("/fail").as_bytes()]), "");
    let response = exchange(&mut server.connect(), &[get_request("/healthz").as_bytes()]);
    assert!(response.ends_with(r#"{"status":"alive"}"#), "{response}");
    server.stop();
}

/// The lines of the response head, as a set and without the date, and the body.
fn head_and_body(response: &str) -> (BTreeSet<&str>, &str) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.lines().filter(|line| !line.starts_with("date: ")).collect(), body)
}

#[test]
fn head_has_the_same_response_as_get_without_the_body() {
    let mut server = TestServer::start();
    for path in
        ["/healthz", "/readyz", "/openapi.json", "/docs", "/swagger-ui/index.html", "/slow", "/nothing", "/take"]
    {
        let get = exchange(&mut server.connect(), &[get_request(path).as_bytes()]);
        let head = get_request(path).replacen("GET", "HEAD", 1);
        let head = exchange(&mut server.connect(), &[head.as_bytes()]);
        assert_eq!(head_and_body(&head), (head_and_body(&get).0, ""), "{path}");
        assert!(path == "/docs" || !head_and_body(&get).1.is_empty(), "{path}");
    }
    let metrics = exchange(&mut server.connect(), &[get_request("/metrics").replacen("GET", "HEAD", 1).as_bytes()]);
    assert!(metrics.starts_with("HTTP/1.1 200 ") && head_and_body(&metrics).1.is_empty(), "{metrics}");
    server.stop();
}

#[test]
fn a_request_behind_the_last_one_of_a_connection_is_not_executed() {
    let mut server = TestServer::start();
    let post = |version: &str, connection: &str| {
        format!("POST /count HTTP/{version}\r\nHost: x\r\n{connection}Content-Length: 0\r\n\r\n")
    };
    let (open, last) = (post("1.1", ""), post("1.1", "Connection: close\r\n"));
    let counted = || COUNTED.load(Ordering::SeqCst);
    for (requests, executed) in [
        (vec![open.clone(), open.clone(), last.clone()], 3),
        (vec![last.clone(), open.clone(), open.clone()], 1),
        (vec![open.clone(), last.clone(), last.clone()], 2),
        (vec![post("1.0", ""), open], 1),
        (vec![post("1.0", "Connection: keep-alive\r\n"), last], 2),
    ] {
        let before = counted();
        let response = exchange(&mut server.connect(), &[requests.concat().as_bytes()]);
        assert_eq!(counted() - before, executed, "{requests:?}: {response}");
        assert!(response.starts_with("HTTP/1."), "{response}");
        assert_eq!(response.matches(" 200 OK").count(), executed, "{requests:?}: {response}");
    }
    server.stop();
}

#[test]
fn input_that_is_not_http_is_refused_and_counted() {
    let mut server = TestServer::start();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
    for (nonsense, status) in [
        ("GET\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (&long, 431),
    ] {
        let mut stream = server.connect();
        // The server may close the connection before everything is sent and read.
        let _closed = stream.write_all(nonsense.as_bytes());
        let mut response = Vec::new();
        let _reset = stream.read_to_end(&mut response);
        let response = String::from_utf8(response).unwrap();
        assert!(response.is_empty() || response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
    let count_of = |status: u16| {
        let metrics = exchange(&mut server.connect(), &[get_request("/metrics").as_bytes()]);
        let name = format!("http_requests_total{{method=\"other\",route=\"unreadable\",status=\"{status}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    };
    let since = Instant::now();
    while (count_of(400), count_of(431)) != (Some("3".to_owned()), Some("1".to_owned())) {
        assert!(since.elapsed() < PATIENCE, "{:?} {:?}", count_of(400), count_of(431));
    }
    server.stop();
}

#[test]
fn a_stop_finishes_requests_in_progress_and_does_not_wait_for_idle_connections() {
    let mut server = TestServer::start();
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    let mut busy = server.connect();
    busy.write_all(get_request("/slow").as_bytes()).unwrap();
    let reader = thread::spawn(move || exchange(&mut busy, &[]));
    while !SLOW_BEGAN.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let took = server.stop();
    assert!(reader.join().unwrap().ends_with("done"));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn the_error_of_a_port_in_use_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let what_to_do = "stop the program that uses it, or choose other ports with --base-port";
    assert_eq!(
        bind(address).unwrap_err().to_string(),
        format!("port {} on 127.0.0.1 is in use: {what_to_do}", address.port())
    );
    let elsewhere = bind("192.0.2.1:8082".parse().unwrap()).unwrap_err();
    assert_eq!(elsewhere.to_string(), "cannot listen on 192.0.2.1:8082");
}
