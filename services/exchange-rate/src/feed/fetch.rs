//! One exchange with the feed.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

/// What an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To get a connection.
    pub connect: Duration,
    /// For everything, to the last byte.
    pub whole: Duration,
    /// Bytes of a file.
    pub bytes: usize,
    /// Redirects followed.
    pub redirects: usize,
}

impl Limits {
    /// The history as XML has 7 MB, more than a minute over a line of 1 Mbit/s.
    pub const USUAL: Self =
        Self { connect: Duration::from_secs(10), whole: Duration::from_secs(90), bytes: 16 << 20, redirects: 5 };
}

/// What an answer said of its file, in its own words: a later question repeats them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        Self { etag: headers.get(ETAG).cloned(), last_modified: headers.get(LAST_MODIFIED).cloned() }
    }

    /// The headers of a question that is to be answered with a file only if it is another one (RFC 9110 §13.1).
    fn conditions(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let by = |name: HeaderName, value: &Option<HeaderValue>| value.clone().map(|value| (name, value));
        [by(IF_NONE_MATCH, &self.etag), by(IF_MODIFIED_SINCE, &self.last_modified)].into_iter().flatten()
    }

    fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// An answer that is one.
#[derive(Debug)]
pub enum Answer {
    /// The file is the one that was imported last.
    NotModified,
    /// A file.
    File {
        /// Its content, complete as far as HTTP can tell.
        body: Vec<u8>,
        /// To ask for a newer one.
        validators: Validators,
    },
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, a cut one, no answer in time, too many redirects.
    #[error("no complete answer")]
    Exchange {
        /// Why. Without the URL, which may have something to hide.
        source: reqwest::Error,
    },
    /// Neither a file nor that there is no newer one.
    #[error("it replies {status}")]
    Status {
        /// What it replies.
        status: StatusCode,
        /// When to ask again, by what it says.
        retry_after: Option<Duration>,
    },
    /// Says of itself that it is something else than a file of the ECB.
    #[error("it sends `{media_type}`, which is no file of the ECB")]
    MediaType {
        /// As it says, shortened to 40 characters.
        media_type: String,
    },
    /// Too much.
    #[error("it sends more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Exchange { source: error.without_url() }
    }
}

/// Asks for the file.
pub struct Fetcher {
    /// None: not yet, or it could not be made (the system has no certificates), which may change.
    client: Option<Client>,
    url: Url,
    limits: Limits,
}

impl Fetcher {
    /// For the file at a URL.
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
            // What began encrypted is not redirected to what is not.
            .https_only(url.scheme() == "https");
        // A proxy of the environment knows nothing of this machine's ports.
        let client = if is_this_machine(url) { client.no_proxy() } else { client };
        Ok(self.client.insert(client.build()?).clone())
    }

    /// The file, if it is another one than these describe.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&mut self, known: &Validators) -> Result<Answer, FetchError> {
        let mut request = self.client()?.get(self.url.clone());
        for (name, value) in known.conditions() {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => self.file(response).await,
            StatusCode::NOT_MODIFIED if !known.is_empty() => Ok(Answer::NotModified),
            status => {
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = retry_after.and_then(|text| wait_until(text, Utc::now()));
                Err(FetchError::Status { status, retry_after })
            }
        }
    }

    async fn file(&self, mut response: Response) -> Result<Answer, FetchError> {
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
        Ok(Answer::File { body, validators })
    }
}

/// Servers call such files by many names, and some do not know; what is in one shows when it is read. But a page or a
/// problem in JSON says clearly that it is none.
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

/// `Retry-After` is a number of seconds or a date (RFC 9110 §10.2.3).
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
    fn a_feed_can_ask_to_wait_in_seconds_or_until_a_date() {
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
    fn pages_and_problems_are_no_files() {
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
    fn a_proxy_is_for_other_machines() {
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
