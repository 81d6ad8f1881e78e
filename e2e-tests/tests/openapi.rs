//! The documents in `docs/openapi` are those that the services serve, so that a review shows every change of an API.

use std::path::Path;
use std::{env, fs};

use ::web::Api;
use similar::TextDiff;

/// If this variable is set, the tests write the documents instead of comparing them. `make openapi` sets it.
const WRITE: &str = "UNBUNDLED_WRITE_OPENAPI";

fn check(service: &str, api: &Api) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi").join(format!("{service}.json"));
    let served = str::from_utf8(api.document()).unwrap();
    if env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, served).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let diff = TextDiff::from_lines(stored.as_str(), served);
    let diff = diff.unified_diff().context_radius(5).header("stored", "served").to_string();
    assert!(
        diff.is_empty(),
        "The API of {service} differs from docs/openapi/{service}.json:\n\n{diff}\n\
         Clients rely on the lines with -. If they may change, run `make openapi` to store the new document."
    );
}

#[test]
fn each_service_serves_its_stored_document() {
    for service in unbundled::services::all(None) {
        check(service.name(), &(service.api)());
    }
}
