//! Traces of all services in one process, as an OTLP receiver gets them.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::scenarios::harness::{
    Client, LocalSystem, Namespace, OtlpReceiver, PURCHASE_TREE, SAME_CURRENCY_SUBTREE, Span, Trace, run_to_end_with,
    startup_error, wait_until, wait_until_books_settle,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Starts a system with an offer, which sends its spans to this URL.
async fn traced(url: &str, more: &[(&str, &str)]) -> (LocalSystem, Namespace, String) {
    let local = LocalSystem::start_with_variables(&[[(ENDPOINT, url)].as_slice(), more].concat()).await;
    let namespace = Namespace::new();
    let sku = namespace.name("lantern");
    local.client.put_priced_offer(&sku, "39.75", "GBP").await;
    (local, namespace, sku)
}

/// Buys, with this `traceparent` header if there is one.
async fn buy(client: &Client, namespace: &Namespace, id: &str, pay_in: &str, sku: &str, traceparent: Option<&str>) {
    let order = namespace.order(&namespace.name("alice"), pay_in, &[sku]);
    let request = client.purchase_request(id, &order).header("Prefer", "wait=30");
    let request = traceparent.into_iter().fold(request, |request, value| request.header("traceparent", value));
    client.send(request).await.expect_status(201);
}

/// Stops the system once every credit is posted, which may be after the response; the stop sends the remaining spans.
async fn stop_when_settled(local: &mut LocalSystem) {
    wait_until_books_settle(&local.client).await;
    local.stop().await;
}

fn spans_of_request<'a>(spans: &'a [Span], id: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.text("unbundled.request_id") == id).collect()
}

#[tokio::test]
async fn one_purchase_is_one_tree_from_its_request_to_its_outcome() {
    let receiver = OtlpReceiver::start();
    let (mut local, namespace, sku) = traced(&receiver.url, &[]).await;
    let (client, id) = (local.client.clone(), namespace.name("buy"));
    client.set_rate("EUR/GBP", "0.848", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "EUR/GBP", "0.848", namespace.moment).await;
    buy(&client, &namespace, &id, "EUR", &sku, Some(&format!("00-{TRACE}-{CALLER}-01"))).await;
    client.send(client.purchase_request(&id, &namespace.order(&namespace.name("alice"), "EUR", &[&sku]))).await;
    client.get(&format!("{}/readyz", client.addresses.purchase)).await.expect_status(200);
    stop_when_settled(&mut local).await;

    let spans = receiver.spans();
    let trace = Trace::of(&spans, TRACE);
    eprintln!("{}", trace.render());
    assert_eq!(trace.render(), PURCHASE_TREE);
    let root = trace.root();
    assert_eq!(root.parent, CALLER);
    let port = client.addresses.purchase.rsplit(':').next().unwrap();
    for (name, expected) in [
        ("http.request.method", "POST"),
        ("http.route", "/purchases"),
        ("http.response.status_code", "201"),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("server.port", port),
    ] {
        assert_eq!(root.text(name), expected, "{name}");
    }
    trace.assert_request_id(&id);
    trace.assert_transport("journal");
    trace.assert_linked_with_batches(&spans);
    // The retry had no effect, so it has only its own span.
    let again: Vec<_> = spans_of_request(&spans, &id).into_iter().filter(|span| span.trace != TRACE).collect();
    assert!(again.len() == 1 && again[0].kind == "SERVER", "{again:?}");
    assert!(!spans.iter().any(|span| span.name.contains("readyz")), "readiness checks are not traced");
    let text = format!("{spans:?}");
    assert!(!text.contains(&namespace.name("alice")) && !text.contains(&sku), "a span contains a customer or an offer");

    local.start_again(&[]).await;
    local.finish().await;
}

#[tokio::test]
async fn the_caller_decides_about_sampling_and_otherwise_the_ratio_does() {
    let receiver = OtlpReceiver::start();
    let settings = [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=cellar"),
    ];
    let (mut local, namespace, sku) = traced(&receiver.url, &settings).await;
    let [yes, no, undecided] = ["yes", "no", "undecided"].map(|id| namespace.name(id));
    buy(&local.client, &namespace, &no, "GBP", &sku, Some(&format!("00-{TRACE}-{CALLER}-00"))).await;
    buy(&local.client, &namespace, &undecided, "GBP", &sku, None).await;
    buy(&local.client, &namespace, &yes, "GBP", &sku, Some(&format!("00-{TRACE}-{CALLER}-01"))).await;
    stop_when_settled(&mut local).await;
    let spans = receiver.spans();
    assert!(!spans_of_request(&spans, &yes).is_empty());
    let others: Vec<_> = spans.iter().filter(|span| span.trace != TRACE && !span.name.starts_with("batch ")).collect();
    assert!(others.is_empty() && spans_of_request(&spans, &no).is_empty(), "{others:?}");
    let trace = Trace::of(&spans, TRACE);
    assert!(trace.render().ends_with(SAME_CURRENCY_SUBTREE), "{}", trace.render());
    trace.assert_request_id(&yes);
    for span in &spans {
        let found = ["deployment.environment.name", "service.version"].map(|name| span.resource.get(name));
        assert_eq!(found.map(|text| text.map(String::as_str)), [Some("cellar"), Some(env!("CARGO_PKG_VERSION"))]);
    }
    local.start_again(&[]).await;
    local.finish().await;
}

#[tokio::test]
async fn each_line_of_a_batch_is_a_trace_of_its_own_linked_with_the_request() {
    let receiver = OtlpReceiver::start();
    let (mut local, namespace, sku) = traced(&receiver.url, &[]).await;
    let ids: Vec<_> = (1..=3).map(|number| namespace.name(number)).collect();
    let line = |id: &String| {
        let mut order = namespace.order(&namespace.name("alice"), "GBP", &[&sku]);
        order["request_id"] = json!(id);
        format!("{order}\n")
    };
    let url = format!("{}/purchases/batch", local.client.addresses.purchase);
    let request = local.client.request(reqwest::Method::POST, &url).header("Content-Type", "application/x-ndjson");
    let request = request.header("Prefer", "wait=30").header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    local.client.send(request.body(ids.iter().map(line).collect::<String>() + "{}\n")).await.expect_status(200);
    stop_when_settled(&mut local).await;

    let spans = receiver.spans();
    let whole = Trace::of(&spans, TRACE);
    assert_eq!(whole.render(), "purchase: POST /purchases/batch (SERVER)\n");
    for (number, id) in (1..).zip(&ids) {
        let of_line = spans_of_request(&spans, id);
        let trace = Trace::of(&spans, &of_line[0].trace);
        let root = trace.root();
        assert_eq!(trace.render(), format!("purchase: POST /purchases/batch line (INTERNAL)\n{SAME_CURRENCY_SUBTREE}"));
        assert_eq!((root.parent.as_str(), root.text("unbundled.line")), ("", number.to_string().as_str()));
        assert_eq!(root.links, [(TRACE.to_owned(), whole.root().id.clone())]);
        trace.assert_request_id(id);
        trace.assert_linked_with_batches(&spans);
    }
    let accepted: Vec<_> = spans.iter().filter(|span| span.name == "batch accept" && span.links.len() == 3).collect();
    assert_eq!(accepted.len(), 1, "all lines are accepted in one commit");
    local.start_again(&[]).await;
    local.finish().await;
}

/// Asserts that purchases and the stop are not slower than without traces: they take less time than any wait for a
/// receiver.
async fn assert_no_delay(url: &str, reason: &str) {
    let quick = [("OTEL_BSP_MAX_QUEUE_SIZE", "16"), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let (mut local, namespace, sku) = traced(url, &quick).await;
    let client = local.client.clone();
    let dropped = format!("otel_spans_dropped_total{{reason=\"{reason}\"}}");
    let mut bought = 0;
    wait_until(&format!("{dropped} grows"), async || {
        let started = Instant::now();
        buy(&client, &namespace, &namespace.name(bought), "GBP", &sku, None).await;
        assert!(started.elapsed() < Duration::from_secs(5), "a purchase took {:?}", started.elapsed());
        bought += 1;
        let metrics = client.get(&format!("{}/metrics", client.addresses.ledger)).await.expect_status(200);
        let line = metrics.body.lines().find(|line| line.starts_with(&dropped)).map(str::to_owned);
        line.filter(|line| !line.ends_with(" 0"))
    })
    .await;
    let ended = local.terminate().await;
    assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "stopped"), "{ended:?} {}", local.log_tail());
    assert!(ended.took < Duration::from_secs(6), "the stop took {:?}", ended.took);
    eprintln!("{bought} purchases, stopped in {:?}", ended.took);
    local.start_again(&[]).await;
    local.finish().await;
}

#[tokio::test]
async fn a_receiver_that_never_responds_delays_nothing() {
    // It accepts connections and never reads from them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_no_delay(&format!("http://{}", listener.local_addr().unwrap()), "queue_full").await;
}

#[tokio::test]
async fn an_unreachable_receiver_delays_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_no_delay(&url, "not_taken").await;
}

#[tokio::test]
async fn settings_that_would_lose_every_span_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let here = (ENDPOINT, "http://127.0.0.1:4318");
    for (variables, expected) in [
        (vec![(ENDPOINT, "hidden:4318")], [ENDPOINT, "http://localhost:4318"]),
        (vec![(ENDPOINT, "https://hidden:4318")], [ENDPOINT, "https is not supported"]),
        (vec![here, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], ["OTEL_EXPORTER_OTLP_PROTOCOL", "only http/protobuf"]),
    ] {
        let arguments = ["run", "--base-port", "0", "--data", data.to_str().unwrap()];
        let output = run_to_end_with(&arguments, &variables).await;
        let (error, stderr) = (startup_error(&output), String::from_utf8_lossy(&output.stderr));
        assert!(
            expected.iter().all(|word| error.contains(word)) && !stderr.contains("hidden"),
            "{variables:?}: {stderr}"
        );
    }
    assert!(!data.exists(), "the data folder was created");
}
