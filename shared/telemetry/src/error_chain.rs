use std::error::Error;

/// Formats an error and all its sources in one line, joined by `": "`.
///
/// A source is left out if the text before it already ends with the same text: some libraries repeat their source.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn check(texts: &[&'static str], expected: &str) {
        let link = texts.iter().rev().fold(None, |source, &text| Some(Box::new(Link { text, source })));
        assert_eq!(error_chain(&*link.unwrap()), expected);
    }

    #[test]
    fn an_error_is_followed_by_its_sources() {
        check(&["cannot commit"], "cannot commit");
        check(&["cannot commit", "disk full", "os error 28"], "cannot commit: disk full: os error 28");
    }

    #[test]
    fn a_source_that_the_error_already_contains_is_not_repeated() {
        check(&["cannot commit: disk full", "disk full"], "cannot commit: disk full");
    }
}
