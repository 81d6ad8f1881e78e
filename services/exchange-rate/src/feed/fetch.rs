//! One HTTP request to the feed.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

/// The limits of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time to open a connection.
    pub connect: Duration,
    /// The longest time for the whole request, to the last byte.
    pub whole: Duration,
    /// The largest file, in bytes.
    pub bytes: usize,
    /// The largest number of redirects.
    pub redirects: usize,
}

impl Limits {
    /// The default limits. The XML of the history has 7 MB, which takes more than a minute at 1 Mbit/s.
    pub const USUAL: Self =
        Self { connect: Duration::from_secs(10), whole: Duration::from_secs(90), bytes: 16 << 20, redirects: 5 };
}

/// The validators of a file, as the server sent them. The next request sends them back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        Self { etag: headers.get(ETAG).cloned(), last_modified: headers.get(LAST_MODIFIED).cloned() }
    }

    /// The headers of a conditional request (RFC 9110 §13.1): the server sends a file only if it has changed.
    fn conditions(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let header = |name: HeaderName, value: &Option<HeaderValue>| value.clone().map(|value| (name, value));
        [header(IF_NONE_MATCH, &self.etag), header(IF_MODIFIED_SINCE, &self.last_modified)].into_iter().flatten()
    }

    fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// The response to a successful request.
#[derive(Debug)]
pub enum Fetched {
    /// The file is the one that was imported last.
    NotModified,
    /// A file.
    File {
        /// The content, complete as far as HTTP can tell.
        body: Vec<u8>,
        /// The validators for the next request.
        validators: Validators,
    },
}

/// Why a request has no file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There was no connection, the connection was cut, the response took too long, or there were too many redirects.
    #[error("there was no complete response")]
    Exchange {
        /// The error of the HTTP client, without the URL, which may contain a secret.
        source: reqwest::Error,
    },
    /// The status is neither 200 nor a 304 to a conditional request.
    #[error("the server responded with {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// The wait that the server requests.
        retry_after: Option<Duration>,
    },
    /// The media type is not one of an ECB file.
    #[error("the server sent `{media_type}`, which is not an ECB file")]
    MediaType {
        /// The media type, shortened to 40 characters.
        media_type: String,
    },
    /// The file is too large.
    #[error("the server sent more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Exchange { source: error.without_url() }
    }
}

/// Fetches the file of a feed.
pub struct Fetcher {
    /// The HTTP client. `None` before the first attempt, or when creating it failed (the system has no certificates);
    /// the next attempt tries again.
    client: Option<Client>,
    url: Url,
    limits: Limits,
}

impl Fetcher {
    /// A fetcher for the file at a URL.
    pub fn new(url: &Url, limits: Limits) -> Self {
        Self { client: None, url: url.clone(), limits }
    }

    fn client(&mut self) -> reqwest::Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let (url, limits) = (&self.url, self.limits);
        let client = Client::builder()
            .user_agent(concat!("unbundled/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            .timeout(limits.whole)
            .redirect(Policy::limited(limits.redirects))
            // No redirect may lead from https to http.
            .https_only(url.scheme() == "https");
        // A proxy from the environment cannot reach the ports of this machine.
        let client = if is_this_machine(url) { client.no_proxy() } else { client };
        Ok(self.client.insert(client.build()?).clone())
    }

    /// Fetches the file if it differs from the one with these validators.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&mut self, known: &Validators) -> Result<Fetched, FetchError> {
        let mut request = self.client()?.get(self.url.clone());
        for (name, value) in known.conditions() {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => self.file(response).await,
            StatusCode::NOT_MODIFIED if !known.is_empty() => Ok(Fetched::NotModified),
            status => {
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = retry_after.and_then(|text| wait_until(text, Utc::now()));
                Err(FetchError::Status { status, retry_after })
            }
        }
    }

    async fn file(&self, mut response: Response) -> Result<Fetched, FetchError> {
        let too_large = FetchError::TooLarge { limit: self.limits.bytes };
        let media_type = response.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        if let Some(media_type) = media_type.filter(|media_type| !is_media_type_of_a_file(media_type)) {
            return Err(FetchError::MediaType { media_type: media_type.chars().take(40).collect() });
        }
        if response.content_length().is_some_and(|length| length > self.limits.bytes as u64) {
            return Err(too_large);
        }
        let validators = Validators::of(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.limits.bytes {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched::File { body, validators })
    }
}

/// Whether a response of this media type can be an ECB file. Servers use many media types for such files, and generic
/// ones; the parser decides in the end. HTML and JSON are never ECB files.
fn is_media_type_of_a_file(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_html = essence.contains("html");
    let is_one = ["xml", "csv", "zip"].iter().any(|kind| essence.contains(kind));
    (is_one && !is_html) || ["text/plain", "application/octet-stream", "binary/octet-stream", ""].contains(&&*essence)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The wait of a `Retry-After` header, which is a number of seconds or a date (RFC 9110 §10.2.3).
fn wait_until(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text.trim()).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = "2026-10-30T15:00:00Z".parse().unwrap();
        let check = |text, expected: Option<u64>| {
            assert_eq!(wait_until(text, now), expected.map(Duration::from_secs), "{text}");
        };
        check("120", Some(120));
        check("0", Some(0));
        check("Fri, 30 Oct 2026 15:00:30 GMT", Some(30));
        check("Fri, 30 Oct 2026 14:00:00 GMT", Some(0));
        check("soon", None);
        check("-1", None);
        check("", None);
    }

    #[test]
    fn html_and_json_are_not_ecb_files() {
        for (media_type, expected) in [
            ("text/xml", true),
            ("application/xml; charset=utf-8", true),
            ("text/csv", true),
            ("application/zip", true),
            ("application/x-zip-compressed", true),
            ("application/octet-stream", true),
            ("Text/Plain", true),
            ("text/html; charset=utf-8", false),
            ("application/xhtml+xml", false),
            ("application/json", false),
            ("application/problem+json", false),
            ("image/png", false),
        ] {
            assert_eq!(is_media_type_of_a_file(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn a_proxy_is_used_only_for_other_machines() {
        for (url, expected) in [
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("https://www.ecb.europa.eu/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_this_machine(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
