//! Tests of the shell around a small service, from a client's point of view.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::rt::System;
use actix_web::test::{TestRequest, call_and_read_body, call_service, init_service, read_body};
use actix_web::{HttpRequest, HttpResponse, web};
use prometheus::Registry;
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt;

use crate::{Api, IdempotencyKey, Problem, Readiness, Shell, State, Traceparent, app, endpoints, segment};

#[utoipa::path(method(get, put), path = "/offers/{sku}")]
async fn offer(request: HttpRequest, trace: Traceparent) -> Result<HttpResponse, Problem> {
    let sku = segment::decode(&request, "sku")?;
    if sku == "away" {
        return Err(Problem::unavailable("the database does not answer", Duration::from_secs(1)));
    }
    Ok(HttpResponse::Ok().json(json!({ "sku": sku, "trace": trace.as_str() })))
}

#[utoipa::path(post, path = "/purchases")]
async fn buy(key: IdempotencyKey) -> Result<HttpResponse, Problem> {
    Err(Problem::conflict(format!("{key} was something else")))
}

#[utoipa::path(get, path = "/typed/{number}")]
async fn typed(number: web::Path<u8>) -> String {
    number.to_string()
}

fn api() -> Api {
    Api::new("shop", "Sells.", endpoints![offer, buy, typed])
}

fn shell() -> Shell {
    Shell::new("shop", Registry::new(), Readiness::default()).unwrap()
}

/// Sends a request. Returns the status, the headers `Allow` and `Retry-After` if present, and the body.
fn send(shell: &Shell, request: TestRequest) -> (u16, Vec<String>, Value) {
    send_to(shell, &api(), request)
}

fn send_to(shell: &Shell, api: &Api, request: TestRequest) -> (u16, Vec<String>, Value) {
    System::new().block_on(async {
        let app = init_service(app(shell.clone(), api, &State::of(()))).await;
        let response = call_service(&app, request.to_request()).await;
        let status = response.status();
        let header = |name| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let headers = ["allow", "retry-after"].into_iter().filter_map(header).collect();
        let media_type = header("content-type");
        let body = serde_json::from_slice(&read_body(response).await).unwrap();
        if status.as_u16() >= 400 {
            assert_eq!(media_type.as_deref(), Some("application/problem+json"));
        }
        (status.as_u16(), headers, body)
    })
}

fn check(request: TestRequest, status: u16, headers: &[&str], detail: &str) {
    let (found_status, found_headers, body) = send(&shell(), request);
    assert_eq!((found_status, body["status"].as_u64()), (status, Some(status.into())), "{body}");
    assert_eq!(found_headers, headers);
    assert_eq!(body["detail"], detail);
}

#[test]
fn every_error_response_is_a_problem() {
    let get = |path| TestRequest::get().uri(path);
    check(get("/nothing"), 404, &[], "there is nothing at this path");
    check(get("/typed/many"), 404, &[], "there is nothing at this path");
    check(get("/offers/a%"), 400, &[], "the path is not percent-encoded UTF-8");
    let other_method = "this path does not support this method: see the header Allow";
    check(TestRequest::delete().uri("/offers/a"), 405, &["GET, HEAD, PUT"], other_method);
    check(get("/purchases"), 405, &["POST"], other_method);
    let post = TestRequest::post().uri("/purchases");
    check(post, 400, &[], "the header Idempotency-Key is required");
    let post = TestRequest::post().uri("/purchases").insert_header(("Idempotency-Key", "r1"));
    check(post, 409, &[], "r1 was something else");
}

#[test]
fn health_is_always_alive() {
    let (status, _, body) = send(&shell(), TestRequest::get().uri("/healthz"));
    assert_eq!((status, body), (200, json!({ "status": "alive" })));
}

#[test]
fn readiness_lists_the_conditions_that_are_not_met() {
    let shell = shell();
    let ready = || send(&shell, TestRequest::get().uri("/readyz"));
    let rates = shell.readiness.require("rates", "the history is not complete");
    let store = shell.readiness.clone().require("store", "it is being opened");
    let (status, headers, body) = ready();
    assert_eq!((status, headers), (503, vec!["1".to_owned()]));
    assert_eq!(body["detail"], "rates: the history is not complete; store: it is being opened");
    assert_eq!(body["type"], "urn:unbundled:problem:not-ready");

    rates.met();
    store.met();
    assert_eq!(ready().2, json!({ "status": "ready" }));
    assert!(shell.readiness.is_ready());

    store.unmet("it was lost");
    assert_eq!(ready().2["detail"], "store: it was lost");
    assert_eq!(shell.readiness.missing(), [("store".to_owned(), "it was lost".to_owned())]);
}

fn metrics(shell: &Shell) -> String {
    let text = System::new().block_on(async {
        let app = init_service(app(shell.clone(), &api(), &State::of(()))).await;
        call_and_read_body(&app, TestRequest::get().uri("/metrics").to_request()).await
    });
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn metrics_count_by_route_and_never_by_path() {
    let shell = shell();
    let strange = Method::from_bytes(b"STEAL").unwrap();
    for request in [
        TestRequest::get().uri("/offers/secret-1"),
        TestRequest::get().uri("/offers/secret-2"),
        TestRequest::get().uri("/secret"),
        TestRequest::default().method(strange).uri("/offers/secret-3"),
    ] {
        send(&shell, request);
    }
    let text = metrics(&shell);
    for line in [
        r#"http_requests_total{method="GET",route="/offers/{sku}",status="200"} 2"#,
        r#"http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"http_requests_total{method="other",route="/offers/{sku}",status="405"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/offers/{sku}"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains("secret") && !text.contains("STEAL"), "{text}");
}

#[test]
fn a_registry_serves_one_service() {
    let shell = shell();
    assert!(Shell::new("other", shell.registry, Readiness::default()).is_err());
}

#[test]
fn a_handler_gets_the_callers_trace() {
    let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = TestRequest::get().uri("/offers/a%2Fb").insert_header(("traceparent", header));
    assert_eq!(send(&shell(), request).2, json!({ "sku": "a/b", "trace": header }));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(requests: Vec<TestRequest>) -> Vec<Value> {
    logged_of(&shell(), requests)
}

/// The log lines of these requests, without their times.
fn logged_of(shell: &Shell, requests: Vec<TestRequest>) -> Vec<Value> {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
    let log = tracing_subscriber::registry()
        .with(tracing_subscriber::EnvFilter::new("off,web=debug"))
        .with(layer.without_time());
    tracing::subscriber::with_default(log, || {
        for request in requests {
            send(shell, request);
        }
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_request_is_one_line_with_its_ids_and_its_outcome() {
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let lines = logged(vec![
        TestRequest::post()
            .uri("/purchases?secret")
            .insert_header(("Idempotency-Key", "r1"))
            .insert_header(("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))),
    ]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((&lines[0]["level"], &lines[0]["fields"]["message"]), (&json!("DEBUG"), &json!("request answered")));
    assert!(lines[0]["fields"]["elapsed_us"].is_u64());
    let span = json!({
        "name": "request", "service": "shop", "method": "POST", "route": "/purchases",
        "request_id": "r1", "trace_id": trace_id, "status": 409,
    });
    assert_eq!(lines[0]["span"], span);
}

#[test]
fn only_failures_outside_the_health_paths_are_logged_above_debug_level() {
    let get = |path| TestRequest::get().uri(path);
    let shell = shell();
    let waits = shell.readiness.require("rates", "the history is not complete");
    let lines = logged_of(&shell, vec![get("/healthz"), get("/readyz"), get("/nothing"), get("/offers/away")]);
    waits.met();
    let levels = lines.iter().map(|line| (line["level"].as_str().unwrap(), &line["span"]["status"]));
    let levels: Vec<_> = levels.map(|(level, status)| format!("{level} {status}")).collect();
    assert_eq!(levels, ["DEBUG 200", "DEBUG 503", "DEBUG 404", "WARN 503"]);
    assert_eq!(lines[3]["span"]["route"], "/offers/{sku}", "a route that fails keeps its name");
}

#[test]
fn a_request_to_an_inactive_instance_keeps_the_name_of_its_route() {
    async fn not_active() -> Result<&'static str, Problem> {
        Err(Problem::unavailable("this instance is not active", Duration::from_secs(1)))
    }
    let (shell, api) = (shell(), api().with_handler(|| web::to(not_active)));
    let status = |request| send_to(&shell, &api, request).0;
    assert_eq!(status(TestRequest::get().uri("/offers/a")), 503);
    assert_eq!(status(TestRequest::put().uri("/offers/a")), 503);
    assert_eq!(status(TestRequest::post().uri("/purchases")), 503);
    assert_eq!(status(TestRequest::get().uri("/healthz")), 200);
    assert_eq!(status(TestRequest::get().uri("/nothing")), 404);
    let metrics = metrics(&shell);
    for line in [
        r#"http_requests_total{method="GET",route="/offers/{sku}",status="503"} 1"#,
        r#"http_requests_total{method="POST",route="/purchases",status="503"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[test]
fn an_invalid_key_is_not_logged() {
    let request = TestRequest::post().uri("/purchases").insert_header(("Idempotency-Key", "r 1"));
    let lines = logged(vec![request]);
    assert_eq!(
        (&lines[0]["span"]["request_id"], &lines[0]["span"]["status"]),
        (&Value::Null, &json!(StatusCode::BAD_REQUEST.as_u16()))
    );
}
