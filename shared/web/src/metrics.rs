use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::{InternalServerError, Problem, Shell};

/// Bucket limits in seconds, from the latency of an idle system to the longest wait for an outcome.
const BUCKETS_S: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The metrics of HTTP. Labels carry the route, never the path, so that clients cannot exhaust the memory.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl HttpMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests =
            IntCounterVec::new(Opts::new("http_requests_total", "Requests answered."), &["method", "route", "status"])?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "http_request_duration_seconds",
                "From the request's head to the start of its response.",
            )
            .buckets(BUCKETS_S.to_vec()),
            &["method", "route"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { requests, duration })
    }

    /// Counts and times a request that has a response. The route is a pattern such as `/offers/{sku}`; `None` if no
    /// route matches.
    pub(crate) fn observe(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let (method, route) = (known(method), route.unwrap_or(UNMATCHED));
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.duration.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    /// Counts input that was rejected because it is not HTTP.
    pub(crate) fn count_unreadable(&self, status: StatusCode) {
        self.requests.with_label_values(&[OTHER, UNREADABLE, status.as_str()]).inc();
    }
}

/// Adds `unbundled_build_info`, which is always 1. Its labels hold the service and its version.
pub(crate) fn register_build(registry: &Registry, service: &str) -> Result<(), prometheus::Error> {
    let opts = Opts::new("unbundled_build_info", "The service and its version, as labels; always 1.");
    let build =
        IntGauge::with_opts(opts.const_label("service", service).const_label("version", env!("CARGO_PKG_VERSION")))?;
    build.set(1);
    registry.register(Box::new(build))
}

/// The label `route` of a request that no route matches.
pub(crate) const UNMATCHED: &str = "unmatched";

/// The label `route` of input that is not an HTTP request.
const UNREADABLE: &str = "unreadable";

/// The label `method` of every uncommon method.
pub(crate) const OTHER: &str = "other";

/// The label `method`. Clients can invent methods, and the number of label values must not grow with them.
pub(crate) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

/// The metrics, in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "get_metrics",
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
        InternalServerError
    )
)]
pub(crate) async fn scrape(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let families = request.app_data().map(|shell: &Shell| shell.registry.gather());
    let text = TextEncoder::new()
        .encode_to_string(&families.unwrap_or_default())
        .map_err(|error| Problem::internal(&error))?;
    Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text))
}
