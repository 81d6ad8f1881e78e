//! The OpenAPI documents match the routes, and a page without external resources shows them.

use std::io::Read as _;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::harness::{Client, System};

/// The content security policy: a browser may fetch from the service and from nowhere else.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";
/// The keys of the operations in a document.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

async fn documents(client: &Client) -> Vec<(String, Value)> {
    let mut documents = Vec::new();
    for url in client.all_urls("/openapi.json") {
        let response = client.get(&url).await.expect_status(200);
        assert_eq!(response.header("content-type"), Some("application/json"), "{url}");
        documents.push((url.replace("/openapi.json", ""), response.json()));
    }
    documents
}

/// Fetches a file of the page; returns its headers and its decompressed content.
async fn file(client: &Client, url: &str) -> (HeaderMap, String) {
    let response = client.request(Method::GET, url).send().await.unwrap();
    assert_eq!(response.status(), 200, "{url}");
    let (headers, bytes) = (response.headers().clone(), response.bytes().await.unwrap());
    if headers.get("content-encoding").is_none() {
        return (headers, String::from_utf8(bytes.to_vec()).unwrap());
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    (headers, String::from_utf8_lossy(&text).into_owned())
}

/// The values of `src` and `href` in an HTML page.
fn references(page: &str) -> Vec<&str> {
    let parts = ["src=\"", "href=\""].into_iter().flat_map(|attribute| page.split(attribute).skip(1));
    parts.filter_map(|part| part.split('"').next()).collect()
}

#[tokio::test]
async fn every_service_serves_its_document_and_a_page_that_needs_no_network() {
    let system = System::start().await;
    let client = &system.client;
    for ((base, document), service) in documents(client).await.into_iter().zip(unbundled::services::all(None)) {
        assert_eq!((&document["openapi"], &document["info"]["title"]), (&"3.1.0".into(), &service.name().into()));

        let (headers, page) = file(client, &format!("{base}/docs")).await;
        assert_eq!(headers["content-type"], "text/html", "{base}/docs redirects to the page");
        let mut assets = references(&page);
        assert!(assets.len() >= 4, "{page}");
        assets.push("swagger-initializer.js");
        for asset in assets {
            let (headers, text) = file(client, &format!("{base}/swagger-ui/{}", asset.trim_start_matches("./"))).await;
            let expected = match asset.rsplit('.').next() {
                Some("css") => "text/css",
                Some("js") => "text/javascript",
                Some("png") => "image/png",
                _ => panic!("{asset}"),
            };
            assert_eq!(headers["content-type"], expected, "{asset}");
            assert_eq!(headers["content-security-policy"], POLICY, "{asset}");
            if asset.contains("initializer") {
                let settings = [r#""url": "../openapi.json""#, r#""validatorUrl": "none""#];
                assert!(settings.iter().all(|setting| text.contains(setting)) && !text.contains("://"), "{text}");
            }
        }
        assert!(!page.contains("://") && !page.contains("\"//"), "{page}");
        client.get(&format!("{base}/swagger-ui/nothing.js")).await.expect_status(404).problem();
    }
    system.finish().await;
}

/// Whether a path template of the document matches a path: `/purchases/{id}` matches `/purchases/batch`.
fn matches(template: &str, path: &str) -> bool {
    let (parts, other) = (template.split('/'), path.split('/'));
    parts.clone().count() == other.clone().count()
        && parts.zip(other).all(|(part, other)| part == other || part.starts_with('{'))
}

#[tokio::test]
async fn documented_operations_are_served_and_other_methods_are_not_allowed() {
    let system = System::start().await;
    let client = &system.client;
    for (base, document) in documents(client).await {
        let paths = document["paths"].as_object().unwrap();
        for path in paths.keys() {
            let matching = paths.iter().filter(|(template, _)| matches(template, path));
            let documented: Vec<_> = matching.flat_map(|(_, item)| item.as_object().unwrap().keys()).collect();
            let concrete = path.replace("{base}", "GBP").replace("{quote}", "EUR").replace(['{', '}'], "");
            for method in METHODS {
                let request = client.request(method.to_uppercase().parse().unwrap(), &format!("{base}{concrete}"));
                let response = client.send(request).await;
                let is_documented = documented.iter().any(|documented| *documented == method);
                assert_eq!(response.status != 405, is_documented, "{}: {}", response.request, response.status);
                assert_eq!(response.header("allow").is_some(), !is_documented, "{}", response.request);
                let known = !response.body.contains("there is nothing at this path");
                assert!(known, "{}: {}", response.request, response.body);
            }
        }
    }
    system.finish().await;
}
