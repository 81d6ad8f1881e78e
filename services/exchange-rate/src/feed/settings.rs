//! The command line settings of the feed.

use std::time::Duration;

use clap::Args;
use cluster::BadSetting;
use reqwest::Url;

use super::{Feed, Limits};

/// The default interval between two attempts. The ECB publishes once a day, in the afternoon.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// The longest interval in seconds: the rates of a day should arrive before those of the next day.
const INTERVAL_S_MAX: u64 = 86_400;

const URL: &str = "an http or https URL of a file of the ECB, without a password, \
    for example https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml";

/// The settings as given on the command line or in the environment, not checked yet.
#[derive(Args, Clone, Debug, Default)]
pub struct FeedSettings {
    /// URL to fetch new rates from: an ECB file in any of its formats, http or https. Without it there is no feed.
    #[arg(long, value_name = "URL", env = "ECB_FEED_URL", hide_env_values = true)]
    pub ecb_feed_url: Option<String>,
    /// Seconds from one fetch to the next, 1 to 86400. The default is 3600.
    #[arg(long, value_name = "SECONDS", env = "ECB_FEED_INTERVAL_S")]
    pub ecb_feed_interval_s: Option<String>,
}

impl FeedSettings {
    /// Checks the settings. `None` without a URL.
    ///
    /// # Errors
    /// [`BadSetting`], also for a bad interval without a URL.
    pub fn check(&self) -> Result<Option<Feed>, BadSetting> {
        let wrong = |name, expected: String| BadSetting::Wrong { name, expected };
        let given = |text: &'_ Option<String>| text.clone().filter(|text| !text.is_empty());
        let bad_interval = || wrong("ECB_FEED_INTERVAL_S", format!("a number of seconds, 1 to {INTERVAL_S_MAX}"));
        let interval = match given(&self.ecb_feed_interval_s).map(|text| text.parse()) {
            None => INTERVAL,
            Some(Ok(seconds)) if (1..=INTERVAL_S_MAX).contains(&seconds) => Duration::from_secs(seconds),
            Some(_) => return Err(bad_interval()),
        };
        let Some(text) = given(&self.ecb_feed_url) else { return Ok(None) };
        let is_fit = |url: &Url| {
            ["http", "https"].contains(&url.scheme()) && url.username().is_empty() && url.password().is_none()
        };
        let url = Url::parse(&text).ok().filter(is_fit);
        let url = url.ok_or_else(|| wrong("ECB_FEED_URL", URL.to_owned()))?;
        Ok(Some(Feed { url, interval, limits: Limits::USUAL }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: Option<&str>, interval: Option<&str>, expected: Result<Option<(&str, u64)>, &str>) {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let settings = FeedSettings { ecb_feed_url: text(url), ecb_feed_interval_s: text(interval) };
        match (settings.check(), expected) {
            (Ok(feed), Ok(expected)) => {
                let feed = feed.map(|feed| (feed.url.to_string(), feed.interval.as_secs()));
                assert_eq!(feed, expected.map(|(url, interval)| (url.to_owned(), interval)));
            }
            (Err(error), Err(start)) => {
                let text = error.to_string();
                assert!(text.starts_with(start) && !text.contains("secret"), "{text}");
            }
            (found, expected) => panic!("{url:?} {interval:?}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn without_a_url_there_is_no_feed() {
        check(None, None, Ok(None));
        check(Some(""), Some(""), Ok(None));
        check(None, Some("60"), Ok(None));
    }

    #[test]
    fn a_feed_has_an_interval() {
        check(Some("https://ecb.example/a.xml"), None, Ok(Some(("https://ecb.example/a.xml", 3_600))));
        check(Some("http://127.0.0.1:80/a?b=c"), Some("1"), Ok(Some(("http://127.0.0.1/a?b=c", 1))));
        check(Some("http://ecb.example"), Some("86400"), Ok(Some(("http://ecb.example/", 86_400))));
    }

    #[test]
    fn the_error_of_a_bad_setting_names_what_is_expected_and_does_not_repeat_the_value() {
        for url in ["ecb.example/a.xml", "ftp://ecb.example/a", "http://", "secret", "http://user:secret@ecb.example/"]
        {
            check(Some(url), None, Err("ECB_FEED_URL cannot be used: an http or https URL"));
        }
        for interval in ["0", "86401", "-1", "1.5", "secret", "99999999999999999999"] {
            let error = "ECB_FEED_INTERVAL_S cannot be used: a number of seconds, 1 to 86400";
            check(Some("http://ecb.example/"), Some(interval), Err(error));
            check(None, Some(interval), Err(error));
        }
    }
}
