//! A receiver of spans, like a trace collector: OTLP over HTTP with protobuf.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{self as otlp, span::SpanKind, status::StatusCode};
use prost::Message as _;

/// The content of a span that tests look at.
#[derive(Clone, Debug)]
pub struct Span {
    /// The `service.name` of the resource.
    pub service: String,
    /// The attributes of the resource.
    pub resource: BTreeMap<String, String>,
    pub name: String,
    /// `SERVER`, `INTERNAL`, `PRODUCER` or `CONSUMER`.
    pub kind: String,
    /// The trace id in hexadecimal, like all ids here.
    pub trace: String,
    pub id: String,
    /// The id of the parent span; empty for a root.
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
    /// Trace id and span id of each link.
    pub links: Vec<(String, String)>,
    pub is_error: bool,
    /// The start in nanoseconds since 1970.
    pub started: u64,
    /// The end in nanoseconds since 1970.
    pub ended: u64,
}

impl Span {
    /// The value of an attribute; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    /// Descriptions of requests that are not valid OTLP.
    invalid: Vec<String>,
}

/// A receiver on a port of its own. It stops when dropped.
pub struct OtlpReceiver {
    /// `http://127.0.0.1:port`.
    pub url: String,
    received: Arc<Mutex<Received>>,
    server: ServerHandle,
}

impl OtlpReceiver {
    /// Starts a receiver.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Received>>::default();
        let (sender, receiver) = channel();
        let data = Data::from(received.clone());
        std::thread::spawn(move || {
            let app = move || {
                let traces = web::resource("/v1/traces").app_data(web::PayloadConfig::new(64 << 20));
                App::new().app_data(data.clone()).service(traces.route(web::post().to(receive)))
            };
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        let server = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        Self { url, received, server }
    }

    /// All spans so far.
    ///
    /// # Panics
    /// If a request was not valid OTLP.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        assert!(received.invalid.is_empty(), "{:?}", received.invalid);
        received.spans.clone()
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn receive(received: Data<Mutex<Received>>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let mut received = received.lock().unwrap();
    let media_type = request.headers().get("content-type").and_then(|value| value.to_str().ok());
    let decoded = ExportTraceServiceRequest::decode(body);
    match decoded {
        Ok(export) if media_type == Some("application/x-protobuf") => received.spans.extend(spans(export)),
        other => received.invalid.push(format!("{media_type:?}: {other:?}")),
    }
    // In protobuf an empty body is a valid, empty response.
    HttpResponse::Ok().content_type("application/x-protobuf").finish()
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for of_resource in export.resource_spans {
        let resource = texts(&of_resource.resource.unwrap_or_default().attributes);
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(convert(resource.clone(), span));
        }
    }
    all
}

fn convert(resource: BTreeMap<String, String>, span: otlp::Span) -> Span {
    let kind = SpanKind::try_from(span.kind).map_or("", |kind| kind.as_str_name());
    Span {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        resource,
        name: span.name,
        kind: kind.trim_start_matches("SPAN_KIND_").to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: texts(&span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        is_error: span.status.is_some_and(|status| status.code == StatusCode::Error as i32),
        started: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value| match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let value = |attribute: &KeyValue| attribute.value.clone()?.value.map(text);
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute).unwrap_or_default())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
