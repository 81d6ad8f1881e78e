//! Names as path segments: any text, percent-encoded (RFC 3986 §2.1), is one segment.

use actix_web::HttpRequest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Problem;

/// All characters except the unreserved ones of RFC 3986 §2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes a name as a path segment, for example for `Location`.
///
/// No client can send the names `.` and `..`: clients resolve them, encoded or not, before they send a request.
pub fn encode(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

/// The path segment that the route names `{name}`, decoded exactly once.
///
/// # Errors
/// 400 when the path has a `%` without two hexadecimal digits or is not UTF-8; 404 when the route
/// has no such segment.
pub fn decode(request: &HttpRequest, name: &str) -> Result<String, Problem> {
    let raw = request.uri().path();
    let text = percent_decode_str(raw).decode_utf8();
    if text.is_err() || !is_well_formed(raw) {
        return Err(Problem::bad_request("the path is not percent-encoded UTF-8"));
    }
    // To match the route, actix has decoded everything except `%25`, `%2F` and `%2B`. In a well-formed path every
    // remaining `%` begins one of these three, so this second pass decodes nothing twice.
    let segment = request.match_info().get(name).unwrap_or_default();
    match percent_decode_str(segment).decode_utf8() {
        Ok(name) if !name.is_empty() => Ok(name.into_owned()),
        _ => Err(Problem::not_found("there is nothing at this path")),
    }
}

fn is_well_formed(raw: &str) -> bool {
    raw.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes().take(2);
        digits.len() == 2 && digits.all(|digit| digit.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use actix_web::rt::System;
    use actix_web::test::{TestRequest, call_and_read_body, init_service};
    use actix_web::{App, web};

    use super::*;

    async fn echo(request: HttpRequest) -> Result<String, Problem> {
        Ok(format!("<{}>", decode(&request, "sku")?))
    }

    fn check(raw: &str, expected: &str) {
        let response = System::new().block_on(async {
            let app = App::new().route("/offers/{sku}/price", web::get().to(echo));
            let app = init_service(app).await;
            let request = TestRequest::with_uri(&format!("/offers/{raw}/price")).to_request();
            call_and_read_body(&app, request).await
        });
        let response = String::from_utf8_lossy(&response);
        assert!(response.contains(expected), "{raw}: {response}");
    }

    #[test]
    fn a_segment_is_decoded_exactly_once() {
        check("85123A", "<85123A>");
        check("a%2Fb", "<a/b>");
        check("a%2fb", "<a/b>");
        check("a%252Fb", "<a%2Fb>");
        check("a%25252Fb", "<a%252Fb>");
        check("a%2541", "<a%41>");
        check("a%20b%3Fc%23", "<a b?c#>");
        check("a+b%2Bc", "<a+b+c>");
        check("%C3%A4", "<ä>");
        check("%2e%2E", "<..>");
    }

    #[test]
    fn any_encoded_name_is_decoded_to_itself() {
        for name in ["a/b", "%2F", "%", "100% a?b#c&d=e+f", "ä€", "a;b,c:d@e", "~-._", "\"<>\\^`{|}"] {
            check(&encode(name), &format!("<{name}>"));
        }
    }

    #[test]
    fn a_malformed_path_is_refused() {
        for raw in ["a%", "a%2", "a%2G", "%%341", "%2%35", "%FF", "%C3"] {
            check(raw, "the path is not percent-encoded UTF-8");
        }
    }
}
