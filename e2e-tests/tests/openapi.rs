//! The documents in `docs/openapi` are what the services serve, so that a change of an API is seen in review.

use std::path::Path;
use std::{env, fs};

use ::web::Api;
use similar::TextDiff;

/// Set by `make openapi`: the documents are written instead of compared.
const WRITE: &str = "UNBUNDLED_WRITE_OPENAPI";

fn check(service: &str, api: &Api) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi").join(format!("{service}.json"));
    let served = str::from_utf8(api.document()).unwrap();
    if env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, served).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let diff = TextDiff::from_lines(kept.as_str(), served);
    let diff = diff.unified_diff().context_radius(5).header("kept", "served").to_string();
    assert!(
        diff.is_empty(),
        "The API of {service} is not what docs/openapi/{service}.json says:\n\n{diff}\n\
         Lines with - are promises that clients rely on. If they may go, `make openapi` keeps what is served now."
    );
}

#[test]
fn exchange_rate_serves_what_is_kept() {
    check(exchange_rate::SERVICE, &exchange_rate::api());
}

#[test]
fn purchase_serves_what_is_kept() {
    check(purchase::SERVICE, &purchase::api());
}

#[test]
fn ledger_serves_what_is_kept() {
    check(ledger::SERVICE, &ledger::api());
}
