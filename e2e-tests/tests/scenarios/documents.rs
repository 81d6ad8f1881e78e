//! The OpenAPI documents, the page that shows them, and that they say what is served.

use std::io::Read as _;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::harness::{Client, System};

/// What a browser is allowed to fetch: from the service and nowhere else.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";
/// What operations of a document have for keys.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

async fn documents(client: &Client) -> Vec<(String, Value)> {
    let mut documents = Vec::new();
    for url in client.everywhere("/openapi.json") {
        let answer = client.get(&url).await.is(200);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{url}");
        documents.push((url.replace("/openapi.json", ""), answer.json()));
    }
    documents
}

/// A file of the page: its headers, and its content unpacked.
async fn file(client: &Client, url: &str) -> (HeaderMap, String) {
    let answer = client.ask(Method::GET, url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    let (headers, bytes) = (answer.headers().clone(), answer.bytes().await.unwrap());
    if headers.get("content-encoding").is_none() {
        return (headers, String::from_utf8(bytes.to_vec()).unwrap());
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    (headers, String::from_utf8_lossy(&text).into_owned())
}

/// What a page of HTML names with `src` and `href`.
fn named(page: &str) -> Vec<&str> {
    let parts = ["src=\"", "href=\""].into_iter().flat_map(|attribute| page.split(attribute).skip(1));
    parts.filter_map(|part| part.split('"').next()).collect()
}

#[tokio::test]
async fn every_service_serves_its_document_and_a_page_that_needs_no_network() {
    let system = System::start().await;
    let client = &system.client;
    let titles = ["exchange-rate", "purchase", "ledger"];
    for ((base, document), title) in documents(client).await.into_iter().zip(titles) {
        assert_eq!((&document["openapi"], &document["info"]["title"]), (&"3.1.0".into(), &title.into()));

        let (headers, page) = file(client, &format!("{base}/docs")).await;
        assert_eq!(headers["content-type"], "text/html", "{base}/docs leads to the page");
        let mut assets = named(&page);
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
        client.get(&format!("{base}/swagger-ui/nothing.js")).await.is(404).problem();
    }
    system.finish().await;
}

/// Whether a path of the document also takes this one: `/purchases/{id}` takes `/purchases/batch`.
fn takes(template: &str, path: &str) -> bool {
    let (parts, other) = (template.split('/'), path.split('/'));
    parts.clone().count() == other.clone().count()
        && parts.zip(other).all(|(part, other)| part == other || part.starts_with('{'))
}

#[tokio::test]
async fn what_is_documented_is_served_and_no_other_method_of_it() {
    let system = System::start().await;
    let client = &system.client;
    for (base, document) in documents(client).await {
        let paths = document["paths"].as_object().unwrap();
        for path in paths.keys() {
            let takers = paths.iter().filter(|(template, _)| takes(template, path));
            let documented: Vec<_> = takers.flat_map(|(_, item)| item.as_object().unwrap().keys()).collect();
            let concrete = path.replace("{base}", "GBP").replace("{quote}", "EUR").replace(['{', '}'], "");
            for method in METHODS {
                let request = client.ask(method.to_uppercase().parse().unwrap(), &format!("{base}{concrete}"));
                let answer = client.send(request).await;
                let is_documented = documented.iter().any(|documented| *documented == method);
                assert_eq!(answer.status != 405, is_documented, "{}: {}", answer.asked, answer.status);
                assert_eq!(answer.header("allow").is_some(), !is_documented, "{}", answer.asked);
                let known = !answer.body.contains("there is nothing at this path");
                assert!(known, "{}: {}", answer.asked, answer.body);
            }
        }
    }
    system.finish().await;
}
